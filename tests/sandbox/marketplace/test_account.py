"""Keys, credit, and the simulator's own controls."""

from __future__ import annotations

import json

import pytest

from sandbox.marketplace.api import BODY_BYTES_MAX, Request
from sandbox.marketplace.faults import Fate
from sandbox.marketplace.routes import ROUTES
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import CREATE, KEY, QUIET, START_S, Shop, told


@pytest.fixture
def shop() -> Shop:
    """A quiet market."""
    return Shop()


def _path(pattern: str) -> str:
    plain = pattern.replace("#", "1").replace("*", "x.log")
    return f"/api/{plain}/" if plain.startswith("v") else f"/{plain}"


@pytest.mark.parametrize(("method", "pattern"), [route for route, what in ROUTES.items() if not what.open])
def test_every_route_that_is_not_open_needs_the_key(shop: Shop, method: str, pattern: str) -> None:
    for key in (None, "wrong"):
        reply = shop.ask(method, _path(pattern), {}, key=key)
        assert (reply.status, told(reply)) == (401, {"success": False, "error": "auth_error", "msg": "Invalid user key"})


def test_the_key_may_be_in_the_query(shop: Shop) -> None:
    assert shop.ask("GET", "/api/v0/users/current", key=None, query={"api_key": KEY}).status == 200


def test_the_key_may_be_in_the_body(shop: Shop) -> None:
    assert shop.ask("POST", "/api/v0/bundles/", {"api_key": KEY}, key=None).status == 200


def test_a_wrong_key_in_the_header_is_not_saved_by_a_right_one_in_the_body(shop: Shop) -> None:
    assert shop.ask("POST", "/api/v0/bundles/", {"api_key": KEY}, key="wrong").status == 401


def test_gpu_names_need_no_key(shop: Shop) -> None:
    answer = told(shop.ask("GET", "/api/v0/gpu_names/unique/", key=None))

    assert answer["success"] is True
    assert "RTX 4090" in answer["gpu_names"]


@pytest.mark.parametrize(("method", "pattern"), list(ROUTES))
def test_every_route_works_with_and_without_the_final_slash(method: str, pattern: str) -> None:
    with_slash, without = Shop(), Shop()
    path = _path(pattern).rstrip("/")

    assert with_slash.ask(method, f"{path}/", {}).body == without.ask(method, path, {}).body


@pytest.mark.parametrize(("method", "pattern"), [route for route in ROUTES if route[1] != "instance_logs/*"])
def test_every_answer_is_exactly_json(shop: Shop, method: str, pattern: str) -> None:
    reply = shop.ask(method, _path(pattern), {})

    assert reply.content_type == "application/json"
    json.loads(reply.body)


def test_an_unknown_route_is_404_in_the_apis_shape(shop: Shop) -> None:
    reply = shop.ask("GET", "/api/v0/nothing/here/")

    assert (reply.status, told(reply)["error"]) == (404, "not_found")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b" " * BODY_BYTES_MAX + b"{}"])
def test_a_body_that_is_no_object_is_400_in_the_apis_shape(shop: Shop, body: bytes) -> None:
    request = Request(method="POST", path="/api/v0/bundles/", authorization=f"Bearer {KEY}", body=body)

    reply = shop.api.handle(request, now_s=START_S)

    assert (reply.status, told(reply)["error"]) == (400, "invalid_args")


def test_a_query_that_is_not_json_is_refused(shop: Shop) -> None:
    assert shop.ask("GET", "/api/v0/bundles/", query={"q": "{"}).status == 400


def test_credit_goes_down_as_money_is_spent() -> None:
    shop = Shop(WorldOptions(market=QUIET, credit_usd=25.0))
    before = shop.get("/api/v0/users/current")["credit"]
    shop.rent_running()

    after = shop.get("/api/v0/users/current")["credit"]

    assert before == 25.0
    assert after == pytest.approx(25.0 - shop.get("/_sim/bill")["total_micro_usd"] / 1e6)
    assert after < 25.0


def test_without_credit_everything_stops_and_nothing_is_destroyed() -> None:
    shop = Shop(WorldOptions(market=QUIET, credit_usd=0.5))
    contract_id = shop.rent_running()
    shop.wait(7 * 86_400)

    row = shop.row(contract_id)

    assert (row["actual_status"], row["intended_status"]) == ("exited", "stopped")
    assert shop.get("/api/v0/users/current")["credit"] < 0


def test_without_credit_nothing_starts() -> None:
    shop = Shop(WorldOptions(market=QUIET, credit_usd=0.5))
    contract_id = shop.rent_running()
    shop.wait(7 * 86_400)
    ask_id = shop.offers()[0]["id"]

    start = shop.ask("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"})
    create = shop.ask("PUT", f"/api/v0/asks/{ask_id}/", CREATE)

    assert (start.status, told(start)["error"]) == (400, "missing_billing")
    assert (create.status, told(create)["error"]) == (400, "missing_billing")


def test_after_a_payment_it_starts_again() -> None:
    shop = Shop(WorldOptions(market=QUIET, credit_usd=0.5))
    contract_id = shop.rent_running()
    shop.wait(7 * 86_400)
    shop.post("/_sim/credit", {"usd": 50})
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "running"})
    shop.wait(60)

    assert shop.row(contract_id)["actual_status"] == "running"


def test_the_spend_rate_is_what_runs_now(shop: Shop) -> None:
    contract_id = shop.rent_running()

    rate = shop.get("/api/v0/users/spend_rate/")["spend_rate"]

    assert rate == pytest.approx(shop.row(contract_id)["dph_total"], abs=1e-6)


def test_the_controls_list_every_contract_ever(shop: Shop) -> None:
    gone, kept = shop.rent(), shop.rent()
    shop.delete(f"/api/v0/instances/{gone}/")

    rows = {row["id"]: row for row in shop.get("/_sim/contracts")["contracts"]}

    assert rows[gone]["phase"] == "destroyed"
    assert rows[gone]["destroyed_s"] is not None
    assert rows[kept]["destroyed_s"] is None


def test_a_vanish_may_read_as_an_exit(shop: Shop) -> None:
    contract_id = shop.rent_running()

    shop.post(f"/_sim/instances/{contract_id}/vanish", {"as": "exited"})

    assert shop.row(contract_id)["actual_status"] == "exited"


def test_traffic_is_billed_per_gb(shop: Shop) -> None:
    contract_id = shop.rent_running()
    before, row = shop.bill(contract_id)["bandwidth_micro_usd"], shop.row(contract_id)

    shop.post(f"/_sim/instances/{contract_id}/traffic", {"up_bytes": 10**12, "down_bytes": 10**12})

    expected = 1_000 * (row["inet_up_cost"] + row["inet_down_cost"]) * 1e6
    assert shop.bill(contract_id)["bandwidth_micro_usd"] - before == pytest.approx(expected, abs=2)


def test_faults_can_be_added_while_it_runs(shop: Shop) -> None:
    call = shop.post("/_sim/faults", {"operation": "search", "fault": "rate_limited", "after": 1})["call"]
    shop.post("/_sim/faults", {"operation": "list", "fault": "server_error_before", "probability": 1.0})

    assert call == 2
    assert [shop.ask("POST", "/api/v0/bundles/", {}).status for _ in range(3)] == [200, 429, 200]
    assert shop.ask("GET", "/api/v1/instances/").status >= 500


def test_a_preset_replaces_all_faults(shop: Shop) -> None:
    shop.post("/_sim/faults", {"operation": "search", "fault": "rate_limited", "probability": 1.0})
    shop.post("/_sim/faults", {"preset": "none"})

    assert shop.ask("POST", "/api/v0/bundles/", {}).status == 200
    assert shop.get("/_sim/faults")["chances"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/_sim/faults", {"preset": "some"}),
        ("/_sim/faults", {"operation": "search", "fault": "nonsense"}),
        ("/_sim/faults", {"operation": "search", "fault": "offer_gone_404"}),
        ("/_sim/faults", {"operation": "destroy", "fault": "exits", "probability": 0.5}),
        ("/_sim/faults", {"operation": "search", "fault": "rate_limited", "probability": 2}),
        ("/_sim/credit", {"usd": "much"}),
        ("/_sim/instances/1/vanish", {"as": "ghost"}),
        ("/_sim/instances/1/fate", {"fate": "happiness"}),
        ("/_sim/instances/1/traffic", {"up_bytes": -1}),
        ("/_sim/instances/1/use", {"busy": 2}),
        ("/_sim/instances/1/use", {"busy": "very"}),
    ],
)
def test_controls_refuse_nonsense_in_words(shop: Shop, path: str, body: object) -> None:
    reply = shop.ask("POST", path, body)

    assert reply.status == 400
    assert told(reply)["msg"]


@pytest.mark.parametrize("fate", list(Fate))
def test_any_fate_can_strike_at_once(shop: Shop, fate: Fate) -> None:
    contract_id = shop.rent_running()

    assert shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": fate}) == {"success": True}


def test_answers_are_compact_json(shop: Shop) -> None:
    body = shop.ask("GET", "/api/v0/users/current").body

    assert body == json.dumps(json.loads(body), separators=(",", ":")).encode()
