"""The marketplace adapter against scripted answers: every quirk of the API that a simulator would not show."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from urllib3 import HTTPResponse

from functions.adapters.vast import VastMarketplace
from functions.adapters.vast_http import BODY_BYTES_MAX, CALL_S_MAX, PACED_WAIT_S_MAX, VastHttp
from functions.core.model import Autogroup, Offer
from functions.ports import (
    InstanceGone,
    MarketplaceBusy,
    MarketplaceRefused,
    MarketplaceThrottled,
    OfferGone,
    RentRequest,
)
from tests.core.builders import an_offer
from tests.simulation.clock import SimulatedClock

KEY = "key-that-nobody-may-see"
AUTOGROUP = Autogroup(name="a", search_params="num_gpus=1", image="tgi:1", disk_gb=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer. A `body` that is no bytes is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None


class ScriptedSession(requests.Session):
    """Gives the scripted answers in turn, and keeps what was asked."""

    def __init__(self, *script: Scripted) -> None:
        super().__init__()
        self.script = list(script)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, *words: Any, **options: Any) -> requests.Response:
        """Answer as scripted."""
        self.asked.append((words[0], words[1], options))
        now = self.script.pop(0)
        if now.error is not None:
            raise now.error
        raw = now.body if isinstance(now.body, bytes) else json.dumps(now.body).encode()
        response = requests.Response()
        response.status_code = now.status
        response.headers.update(now.headers)
        response.raw = HTTPResponse(io.BytesIO(raw), preload_content=False)
        return response

    def body(self, index: int = -1) -> dict[str, Any]:
        """Return the JSON body of a request."""
        sent: dict[str, Any] = self.asked[index][2]["json"]
        return sent


def _adapter(*script: Scripted) -> tuple[VastMarketplace, ScriptedSession, SimulatedClock]:
    session, clock = ScriptedSession(*script), SimulatedClock(1_900_000_000.0)
    http = VastHttp("https://market.test/", api_key=lambda: KEY, clock=clock, session=session)
    return VastMarketplace(http, clock=clock), session, clock


def _request(offer: Offer | None = None, **changes: Any) -> RentRequest:
    autogroup = replace(AUTOGROUP, **changes)
    return RentRequest(offer=offer or an_offer(17), label="headgate/t/chat/w0-x", autogroup=autogroup, env={"A": "ours"})


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "label": "headgate/t/chat/w0-x \n",
        "machine_id": 9,
        "actual_status": "running",
        "intended_status": "running",
        "status_msg": None,
        "dph_total": 0.4,
        "storage_total_cost": 0.005,
    } | changes


def _offer_row(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "machine_id": 2,
        "host_id": 3,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "dph_base": 0.4,
        "dph_total": 0.405,
        "storage_cost": 0.18,
        "dlperf": 100.5,
        "reliability": 0.99,
        "geolocation": "Quebec, CA",
    } | changes


# What is asked


def test_the_key_travels_in_the_header_and_nowhere_else() -> None:
    marketplace, session, _ = _adapter(Scripted(body={"offers": []}))
    marketplace.search(AUTOGROUP)
    _, url, options = session.asked[0]

    assert options["headers"]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in url + json.dumps([options["json"], options["params"]])
    assert session.trust_env is False


def test_a_create_rents_on_demand_and_only_what_can_start_now() -> None:
    marketplace, session, _ = _adapter(Scripted(body={"success": True, "new_contract": 5}))
    marketplace.create(_request())
    method, url, _ = session.asked[0]
    body = session.body()

    assert (method, url) == ("PUT", "https://market.test/api/v0/asks/17/")
    assert (body["price"], body["cancel_unavail"], body["disk"], body["runtype"]) == (None, True, 20.0, "args")
    assert (body["image"], body["label"], body["env"]) == ("tgi:1", "headgate/t/chat/w0-x", {"A": "ours"})


def test_launch_args_fill_in_what_the_autogroup_leaves_open_and_never_win() -> None:
    flags = "--image other --env '-e A=theirs -e B=b -p 8000:8000' --onstart-cmd 'run it' --login '-u me -p x reg' --direct --ssh"
    marketplace, session, _ = _adapter(Scripted(body={"success": True, "new_contract": 5}))
    marketplace.create(_request(launch_args=flags))
    body = session.body()

    assert body["env"] == {"A": "ours", "B": "b", "-p 8000:8000": "1"}
    assert (body["image"], body["onstart"], body["runtype"]) == ("tgi:1", "run it", "ssh_direc ssh_proxy")
    assert body["image_login"] == "-u me -p x reg"


def test_a_template_says_itself_how_it_is_run() -> None:
    marketplace, session, _ = _adapter(Scripted(body={"success": True, "new_contract": 5}))
    marketplace.create(_request(image=None, template_hash="abc"))

    assert session.body()["template_hash_id"] == "abc"
    assert "runtype" not in session.body()


def test_a_bid_in_the_launch_args_is_refused_before_anything_is_asked() -> None:
    marketplace, session, _ = _adapter()

    with pytest.raises(MarketplaceRefused, match="interruptible"):
        marketplace.create(_request(launch_args="--bid_price 0.1"))
    assert session.asked == []


def test_a_search_names_the_disk_that_prices_are_for() -> None:
    marketplace, session, _ = _adapter(Scripted(body={"offers": []}))
    marketplace.search(replace(AUTOGROUP, gpu_ram=24.0))
    body = session.body()

    assert (body["allocated_storage"], body["disk_space"], body["gpu_ram"]) == (20.0, {"gte": 20.0}, {"gte": 24_000.0})
    assert body["type"] == "on-demand"


# What is made of the answers


def test_a_price_is_rounded_up_to_the_micro_dollar_and_never_below_what_adds_up() -> None:
    low = _offer_row(dph_base=0.1666666666666666667, dph_total=0.1)  # storage: 0.18 * 20 / 720 = 0.005
    marketplace, _, _ = _adapter(Scripted(body={"offers": [low]}))
    (offer,) = marketplace.search(AUTOGROUP)

    assert offer.running_micro_usd_per_hour == 171_667
    assert offer.stopped_micro_usd_per_hour == 5_000


def test_offers_that_the_server_should_have_left_out_are_left_out_here() -> None:
    rows = [
        _offer_row(),
        _offer_row(id=2, num_gpus=2),
        _offer_row(id=3, verification="unverified"),
        _offer_row(id=4, rentable=False),
    ]
    marketplace, _, _ = _adapter(Scripted(body={"offers": rows}))

    assert [offer.offer_id for offer in marketplace.search(AUTOGROUP)] == [1]


@pytest.mark.parametrize(
    "broken", [{"dph_total": None}, {"machine_id": None}, {"dph_base": -1.0, "dph_total": 0.0}, {"gpu_name": 7}]
)
def test_an_offer_that_cannot_be_read_or_priced_is_left_out(broken: dict[str, Any]) -> None:
    marketplace, _, _ = _adapter(Scripted(body={"offers": [_offer_row(**broken), _offer_row(id=2)]}))

    assert [offer.offer_id for offer in marketplace.search(AUTOGROUP)] == [2]


def test_garbage_in_an_offer_s_figures_does_no_harm() -> None:
    marketplace, _, _ = _adapter(Scripted(body={"offers": [_offer_row(dlperf=-1.8e12, reliability=7.0, geolocation=None)]}))
    (offer,) = marketplace.search(AUTOGROUP)

    assert (offer.dlperf, offer.reliability, offer.geolocation) == (0.0, 1.0, "")


def test_success_false_with_a_contract_is_a_contract() -> None:
    marketplace, _, _ = _adapter(Scripted(body={"success": False, "new_contract": 5, "error": "x"}))

    assert marketplace.create(_request()) == 5


def test_success_without_a_contract_is_no_certain_answer() -> None:
    marketplace, _, _ = _adapter(Scripted(body={"success": True}))

    with pytest.raises(MarketplaceBusy):
        marketplace.create(_request())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Scripted(status=404, body={"success": False, "error": "no_such_ask", "msg": "gone"}), OfferGone),
        (Scripted(status=410, body={"success": False, "error": "no_such_ask", "msg": "gone"}), OfferGone),
        (
            Scripted(status=400, body={"success": False, "error": "invalid_args", "msg": "error 400/3603: no_such_ask 17"}),
            OfferGone,
        ),
        (Scripted(status=200, body={"success": False, "error": "no_such_ask", "msg": "gone"}), OfferGone),
        (Scripted(status=401, body={"success": False, "error": "auth_error", "msg": "Invalid user key"}), MarketplaceRefused),
        (Scripted(status=404, body={"success": False, "msg": "Invalid user key"}), MarketplaceRefused),
        (Scripted(status=400, body={"error": "missing_billing", "msg": "You lack credit"}), MarketplaceRefused),
        (Scripted(status=400, body=b"plain text"), MarketplaceRefused),
        (Scripted(status=429, body=b"API requests too frequent"), MarketplaceThrottled),
        (Scripted(status=429, body={"detail": "API requests too frequent endpoint threshold=2.0"}), MarketplaceThrottled),
        (Scripted(status=500, body=b"<html>"), MarketplaceBusy),
        (Scripted(status=502, body={"success": False, "error": "no_such_ask"}), MarketplaceBusy),
        (Scripted(status=302, headers={"Location": "https://elsewhere.test/"}, body=b""), MarketplaceBusy),
        (Scripted(status=200, body=b"<html>maintenance</html>"), MarketplaceBusy),
        (Scripted(status=200, body=[1, 2]), MarketplaceBusy),
        (Scripted(error=requests.ReadTimeout("at https://market.test")), MarketplaceBusy),
        (Scripted(error=requests.ConnectionError(f"Bearer {KEY}")), MarketplaceBusy),
        (Scripted(error=OSError("reset")), MarketplaceBusy),
    ],
)
def test_every_refusal_of_a_create_becomes_one_of_our_errors_and_is_asked_once(answer: Scripted, error: type[Exception]) -> None:
    marketplace, session, _ = _adapter(answer)

    with pytest.raises(error) as told:
        marketplace.create(_request())
    assert type(told.value) is error
    assert len(session.asked) == 1
    assert KEY not in f"{told.value!r} {told.value.__cause__!r}"


def test_a_key_that_is_not_accepted_is_told_apart_whatever_the_status() -> None:
    marketplace, _, _ = _adapter(Scripted(status=404, body={"success": False, "msg": "Invalid user key"}))

    with pytest.raises(MarketplaceRefused) as told:
        marketplace.search(AUTOGROUP)
    assert told.value.code == "auth_error"


def test_an_answer_that_is_too_large_is_cut_off() -> None:
    marketplace, _, _ = _adapter(Scripted(body=b" " * (BODY_BYTES_MAX + 1)))

    with pytest.raises(MarketplaceBusy):
        marketplace.search(AUTOGROUP)


def test_an_answer_that_trickles_is_cut_off() -> None:
    marketplace, session, clock = _adapter(Scripted(body={"offers": []}))
    answered = session.request

    def slow(*words: Any, **options: Any) -> requests.Response:
        response = answered(*words, **options)
        clock.wait_s(CALL_S_MAX + 1)
        return response

    session.request = slow  # type: ignore[method-assign]

    with pytest.raises(MarketplaceBusy):
        marketplace.search(AUTOGROUP)


def test_every_call_has_a_deadline_and_follows_no_redirect() -> None:
    marketplace, session, _ = _adapter(Scripted(body={"success": True}))
    marketplace.destroy(5)
    options = session.asked[0][2]

    assert all(seconds > 0 for seconds in options["timeout"])
    assert options["allow_redirects"] is False


# Rate limits


def test_after_a_rate_limit_calls_of_that_kind_are_paced() -> None:
    marketplace, _, clock = _adapter(
        Scripted(status=429, body=b"API requests too frequent: endpoint threshold=4.5"),
        *(Scripted(body={"success": True, "new_contract": number}) for number in (5, 6)),
    )
    begun_s = clock.now_s()
    with pytest.raises(MarketplaceThrottled) as told:
        marketplace.create(_request())
    marketplace.create(_request())
    marketplace.create(_request())

    assert told.value.retry_after_s == 4.5
    assert clock.now_s() - begun_s == 9.0


def test_before_any_rate_limit_nothing_is_delayed() -> None:
    marketplace, _, clock = _adapter(*(Scripted(body={"success": True, "new_contract": number}) for number in (5, 6)))
    begun_s = clock.now_s()
    marketplace.create(_request())
    marketplace.create(_request())

    assert clock.now_s() == begun_s


def test_the_marketplace_s_own_advice_is_followed_if_it_is_longer() -> None:
    marketplace, _, _ = _adapter(Scripted(status=429, body=b"", headers={"Retry-After": "30"}))

    with pytest.raises(MarketplaceThrottled) as told:
        marketplace.create(_request())
    assert told.value.retry_after_s == 30.0


def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    marketplace, session, clock = _adapter(Scripted(status=429, body=b"", headers={"Retry-After": "600"}))
    begun_s = clock.now_s()
    for _ in range(2):
        with pytest.raises(MarketplaceThrottled):
            marketplace.create(_request())

    assert len(session.asked) == 1
    assert clock.now_s() - begun_s <= PACED_WAIT_S_MAX


# Instances


def test_labels_lose_their_blanks() -> None:
    marketplace, _, _ = _adapter(Scripted(body={"instances": _row()}))
    instance = marketplace.instance(5)

    assert instance is not None
    assert instance.label == "headgate/t/chat/w0-x"


@pytest.mark.parametrize(
    ("changes", "running", "wants_running", "failed"),
    [
        ({}, True, True, False),
        ({"actual_status": None}, False, True, False),
        ({"actual_status": "loading", "status_msg": "59729b65119e: Pull complete\n"}, False, True, False),
        ({"actual_status": "loading", "status_msg": "Error response from daemon: EOF"}, False, True, True),
        ({"actual_status": "created", "status_msg": "…: OCI runtime create failed: …"}, False, True, True),
        ({"actual_status": "exited", "intended_status": "stopped"}, False, False, False),
        ({"actual_status": "running", "intended_status": "stopped"}, True, False, False),
        ({"actual_status": "exited"}, False, True, False),
        ({"actual_status": "offline"}, False, True, True),
        ({"actual_status": "unknown", "intended_status": "stopped"}, True, False, False),
        ({"status_msg": "success, running, 0 errors"}, True, True, False),
    ],
)
def test_a_status_says_what_an_instance_does_and_whether_it_failed(
    changes: dict[str, Any], *, running: bool, wants_running: bool, failed: bool
) -> None:
    marketplace, _, _ = _adapter(Scripted(body={"instances": _row(**changes)}))
    instance = marketplace.instance(5)

    assert instance is not None
    assert (instance.running, instance.wants_running, instance.failed) == (running, wants_running, failed)


@pytest.mark.parametrize(
    "answer", [Scripted(body={"instances": None}), Scripted(status=404, body={"success": False, "error": "no_such_instance"})]
)
def test_both_ways_of_saying_that_an_instance_does_not_exist_are_understood(answer: Scripted) -> None:
    marketplace, _, _ = _adapter(answer)

    assert marketplace.instance(5) is None


@pytest.mark.parametrize("body", [{}, {"instances": {"id": "five"}}, {"instances": {}}])
def test_an_answer_that_cannot_be_read_does_not_mean_that_the_instance_is_gone(body: dict[str, Any]) -> None:
    marketplace, _, _ = _adapter(Scripted(body=body))

    with pytest.raises(MarketplaceBusy):
        marketplace.instance(5)


def test_a_list_with_a_row_that_cannot_be_read_is_no_list() -> None:
    marketplace, _, _ = _adapter(Scripted(body={"instances": [_row(), {"label": "x"}], "next_token": None}))

    with pytest.raises(MarketplaceBusy):
        marketplace.instances("headgate/")


def test_a_list_whose_second_page_fails_is_no_list() -> None:
    marketplace, _, _ = _adapter(Scripted(body={"instances": [_row()], "next_token": "t"}), Scripted(status=503, body=b""))

    with pytest.raises(MarketplaceBusy):
        marketplace.instances("headgate/")


@pytest.mark.parametrize(
    "act",
    [lambda market: market.stop(5), lambda market: market.destroy(5), lambda market: market.start(5)],
    ids=["stop", "destroy", "start"],
)
def test_success_false_is_no_success(act: Callable[[VastMarketplace], object]) -> None:
    marketplace, _, _ = _adapter(Scripted(body={"success": False, "error": "odd", "msg": "no"}))

    with pytest.raises(MarketplaceRefused):
        act(marketplace)


def test_a_destroy_that_comes_too_late_says_that_it_is_gone() -> None:
    marketplace, _, _ = _adapter(
        Scripted(status=404, body={"success": False, "error": "no_such_instance", "msg": "Instance 5 not found."})
    )

    with pytest.raises(InstanceGone):
        marketplace.destroy(5)


def test_logs_are_fetched_without_the_key() -> None:
    marketplace, session, _ = _adapter(
        Scripted(body={"success": True, "result_url": "https://files.test/log"}),
        Scripted(status=404, body=b""),
        Scripted(body=b"line\n"),
    )

    assert marketplace.logs(5, lines=10) == "line\n"
    assert all("headers" not in options or KEY not in str(options["headers"]) for _, _, options in session.asked[1:])
