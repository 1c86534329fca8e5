"""Everything that can be sent to the router's URL, and what it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.core.model import EndpointGroup
from functions.ports import StoreUnavailable, UnreadableItem
from functions.route.answer import answer
from protocol.ticket import parse_ticket
from tests.fakes.store import MemoryStore
from tests.functions.events import an_event
from tests.functions.reporter import PEM, PUBLIC_KEYS
from tests.functions.router import API_KEY, EXPIRED_KEY, READ_KEY, VERIFY_KEY, Router, ready

READS_ONLY = {"api_key", "group", "workers", "waiting", "request", "scaler_state"}


@pytest.fixture
def router() -> Router:
    """Return a router of a group with one ready worker, whose table has just been looked at by nobody."""
    router = Router()
    router.holds(*ready(1))
    router.store.calls.clear()
    return router


def send(router: Router, event: dict[str, Any]) -> HttpReply:
    """Send an event."""
    return answer(HttpRequest.of_event(event), ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS)


def post(router: Router, body: Any, **event: Any) -> HttpReply:
    """Send a body to /route/ with a valid key."""
    return send(router, an_event("/route/", body, **{"bearer": API_KEY} | event))


@pytest.mark.parametrize("path", ["/route/", "/route"])
def test_a_route_is_answered_with_a_ticket_that_verifies(router: Router, path: str) -> None:
    reply = send(router, an_event(path, {"endpoint": "chat", "cost": 16}, bearer=API_KEY))
    ticket, signature = parse_ticket(reply.body)

    assert reply.status == 200
    VERIFY_KEY.verify(ticket.signed_bytes(), signature)


def test_the_body_of_an_older_client_is_understood(router: Router) -> None:
    body = {"endpoint": "chat", "api_key": API_KEY, "cost": 16, "request_idx": 0, "replay_timeout": 60.0, "guid": "x"}

    assert post(router, body, bearer=None).status == 200


def test_cost_comes_back_as_a_number(router: Router) -> None:
    assert post(router, {"endpoint": "chat", "cost": 242}).body["cost"] == 242


def test_without_a_cost_it_is_one(router: Router) -> None:
    assert post(router, {"endpoint": "chat"}).body["cost"] == 1


def test_a_base64_body_is_read(router: Router) -> None:
    assert post(router, {"endpoint": "chat"}, as_base64=True).status == 200


def test_a_key_in_the_query_is_accepted(router: Router) -> None:
    assert post(router, {"endpoint": "chat"}, bearer=None, query={"api_key": API_KEY}).status == 200


def test_the_header_counts_before_the_body(router: Router) -> None:
    assert post(router, {"endpoint": "chat", "api_key": API_KEY}, bearer="wrong").status == 401


def test_a_waiting_answer_is_a_success_without_a_url(router: Router) -> None:
    post(router, {"endpoint": "chat", "cost": 3_000})
    reply = post(router, {"endpoint": "chat", "cost": 3_000})

    assert (reply.status, reply.outcome) == (200, "waiting")
    assert set(reply.body) == {"endpoint", "request_idx", "status", "waiting_ahead"}


@pytest.mark.parametrize("path", ["/pubkey/", "/pubkey"])
def test_who_asks_for_json_is_served_every_key_by_its_id(router: Router, path: str) -> None:
    reply = send(router, an_event(path, method="GET", accept="application/json"))

    assert (reply.status, reply.body) == (200, {"keys": list(PUBLIC_KEYS.keys)})


@pytest.mark.parametrize("accept", [None, "*/*", "text/html"])
def test_who_does_not_is_served_the_rsa_key_as_text(router: Router, accept: str | None) -> None:
    result = send(router, an_event("/pubkey/", method="GET", accept=accept)).result(__request_id="id")

    assert (result["body"], result["headers"]["content-type"]) == (PEM, "application/x-pem-file")


def test_before_any_key_was_published_asking_for_one_is_a_fault_of_ours(router: Router) -> None:
    with pytest.raises(UnreadableItem, match="no key has been published"):
        router.store.public_keys()


# What is refused, and what that costs

LONG = "x" * 10_000
GUESS = "hg-a-guess"


def to_route(body: Any = None, **event: Any) -> dict[str, Any]:
    """Return the event of a call to /route/ with a valid key."""
    return an_event("/route/", body, **{"bearer": API_KEY} | event)


def raw(**event: Any) -> dict[str, Any]:
    """Return the event of a call with a valid key, some of its fields as given."""
    return to_route() | event


UNAUTHORIZED = {
    "no key": (an_event("/route/", {"endpoint": "chat"}), "missing_api_key"),
    "an empty key": (to_route({"endpoint": "chat"}, bearer=""), "missing_api_key"),
    "a wrong key": (to_route({"endpoint": "chat"}, bearer=GUESS), "invalid_api_key"),
    "a wrong key in the body": (an_event("/route/", {"endpoint": "chat", "api_key": GUESS}), "invalid_api_key"),
    "a key that is no text": (an_event("/route/", {"endpoint": "chat", "api_key": 7}), "missing_api_key"),
    "a key without end": (to_route({"endpoint": "chat"}, bearer=LONG), "invalid_api_key"),
    "a wrong key before a broken body": (to_route("{", bearer=GUESS), "invalid_api_key"),
}
NO_JSON = {
    "no body": to_route(),
    "no JSON": to_route("endpoint=chat"),
    "a list": to_route("[]"),
    "half a body": to_route('{"endpoint": "chat"'),
    "a field twice": to_route('{"cost": 1, "cost": 2}'),
    "NaN": to_route('{"endpoint": "chat", "cost": NaN}'),
    "infinity": to_route('{"endpoint": "chat", "cost": -Infinity}'),
    "a number of 5,000 digits": to_route(f'{{"cost": {"9" * 5_000}}}'),
    "too deep": to_route('{"a":' + "[" * 2_000 + "]" * 2_000 + "}"),
    "broken base64": raw(body="%", isBase64Encoded=True),
    "no UTF-8": raw(body="/////w==", isBase64Encoded=True),
}
BAD_ENDPOINTS: list[Any] = [15, None, "", "a#b", "a b", "-a", "x" * 65, "a\n", "\ud800"]
BAD_COSTS: list[Any] = [-1, -0.001, "5", "", None, True, [1], {}, 1e9 + 1, 10**400]
BAD_IDXS: list[Any] = [-1, 1.5, "7", True, 2**53, [], 1e300]
REFUSED: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    **{name: (event, 401, code, None) for name, (event, code) in UNAUTHORIZED.items()},
    **{name: (event, 400, "invalid_json", None) for name, event in NO_JSON.items()},
    **{f"endpoint {it!r}": (to_route({"endpoint": it}), 400, "invalid_field", "endpoint") for it in BAD_ENDPOINTS},
    **{f"cost {it!r:.20}": (to_route({"endpoint": "chat", "cost": it}), 400, "invalid_field", "cost") for it in BAD_COSTS},
    **{
        f"number {it!r}": (to_route({"endpoint": "chat", "request_idx": it}), 400, "invalid_field", "request_idx")
        for it in BAD_IDXS
    },
    "no endpoint": (to_route({}), 400, "invalid_field", "endpoint"),
    "a cost beyond floats": (to_route('{"endpoint": "chat", "cost": 1e999}'), 400, "invalid_field", "cost"),
    "a large body": (to_route({"endpoint": LONG}), 413, "body_too_large", None),
    "a large base64 body": (to_route({"endpoint": LONG}, as_base64=True), 413, "body_too_large", None),
    "a huge base64 body": (to_route(LONG * 10, as_base64=True), 413, "body_too_large", None),
    "an expired key": (to_route({"endpoint": "chat"}, bearer=EXPIRED_KEY), 401, "expired_api_key", None),
    "a key that may only read": (to_route({"endpoint": "chat"}, bearer=READ_KEY), 403, "missing_scope", None),
    "a key that may only read, before a broken body": (to_route("{", bearer=READ_KEY), 403, "missing_scope", None),
    "an unknown endpoint": (to_route({"endpoint": "images"}), 404, "unknown_endpoint", "endpoint"),
    "another's endpoint": (to_route({"endpoint": "others"}), 404, "unknown_endpoint", "endpoint"),
    "an unknown path": (an_event("/nothing/", {}, bearer=API_KEY), 404, "unknown_path", None),
    "the root": (an_event("/", {}, bearer=API_KEY), 404, "unknown_path", None),
    "a wrong method": (to_route(method="GET"), 405, "wrong_method", None),
    "a post of the keys": (an_event("/pubkey/", {}), 405, "wrong_method", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_names_its_fault(router: Router, case: str) -> None:
    event, status, code, field = REFUSED[case]
    reply = send(router, event)

    assert (reply.status, reply.body["error"], reply.body.get("field")) == (status, code, field)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_writes_nothing_and_wakes_nobody(router: Router, case: str) -> None:
    send(router, REFUSED[case][0])

    assert set(router.store.calls) <= READS_ONLY
    assert router.waker.woken == []


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_told_in_a_sentence_that_repeats_no_secret(router: Router, case: str) -> None:
    reply = send(router, REFUSED[case][0])
    told = reply.result()["body"]

    assert len(reply.body["error_msg"]) > 10
    assert API_KEY not in told
    assert GUESS not in told


def test_guessing_keys_costs_one_read_each_and_repeating_a_guess_none(router: Router) -> None:
    for guess in ("a", "b", "a", "b", "a"):
        post(router, {"endpoint": "chat"}, bearer=guess)

    assert list(router.store.calls) == ["api_key", "api_key"]


def test_a_key_is_live_within_seconds_of_being_made(router: Router) -> None:
    fresh = Router(store=MemoryStore(), clock=router.clock)
    fresh.holds(*ready(1))
    fresh.store._keys.clear()  # noqa: SLF001 - a stack without keys
    assert post(fresh, {"endpoint": "chat"}).status == 401
    Router(store=fresh.store)  # writes the key
    fresh.clock.advance(5.1)

    assert post(fresh, {"endpoint": "chat"}).status == 200


def test_a_table_that_does_not_answer_is_told_as_503() -> None:
    class Unavailable(MemoryStore):
        def group(self, endpoint: str) -> EndpointGroup | None:
            raise StoreUnavailable(endpoint)

    reply = post(Router(store=Unavailable()), {"endpoint": "chat"})

    assert (reply.status, reply.body["error"]) == (503, "store_unavailable")


def test_a_refusal_for_want_of_a_key_says_how_to_send_one(router: Router) -> None:
    assert send(router, an_event("/route/", {})).result()["headers"]["www-authenticate"] == "Bearer"


def test_the_facts_for_the_log_hold_neither_signature_nor_url(router: Router) -> None:
    reply = post(router, {"endpoint": "chat"})

    assert set(reply.facts) == {"endpoint", "request_idx", "worker_id", "reqnum", "cost"}


def test_a_request_hides_its_key_and_body_in_its_repr() -> None:
    request = HttpRequest.of_event(an_event("/route/", {"prompt": "p"}, bearer=API_KEY, query={"api_key": API_KEY}))

    assert repr(request) == "HttpRequest(method='POST', path='/route/')"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [("cost", -1, "-1"), ("cost", "much", "'much'"), ("cost", [1], "an array"), ("request_idx", "x" * 900, "…")],
)
def test_a_refused_field_is_told_with_its_value_and_the_remedy(router: Router, field: str, value: object, shown: str) -> None:
    told = post(router, {"endpoint": "chat", field: value}).body

    assert told["field"] == field
    assert shown in told["error_msg"]
    assert len(told["error_msg"]) < 120
    assert told["remedy"]


def test_a_free_request_costs_a_trifle_so_that_the_totals_tell_of_it(router: Router) -> None:
    assert post(router, {"endpoint": "chat", "cost": 0}).body["cost"] == 0.001
