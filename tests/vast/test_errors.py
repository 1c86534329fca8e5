"""Refusals and lost answers become errors that say what to do next; none of them, and nothing else, ever holds a secret."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest
import requests

from functions.adapters.vast import VastMarketplace
from functions.adapters.vast_http import Call, VastHttp
from functions.ports import (
    InstanceGone,
    MarketplaceBusy,
    MarketplaceRefused,
    MarketplaceThrottled,
    OfferGone,
    PortError,
)
from tests.simulation.clock import SimulatedClock
from tests.vast.scripted import AUTOGROUP, KEY, LOGIN, START_S, Scripted, adapter, rent_request

NO_SUCH_ASK = {"success": False, "error": "no_such_ask", "msg": "gone"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Scripted(status=404, body=NO_SUCH_ASK), OfferGone),
        (Scripted(status=410, body=NO_SUCH_ASK), OfferGone),
        (
            Scripted(status=400, body={"success": False, "error": "invalid_args", "msg": "error 400/3603: no_such_ask 17"}),
            OfferGone,
        ),
        (Scripted(status=200, body=NO_SUCH_ASK), OfferGone),
        (Scripted(status=401, body={"success": False, "error": "auth_error", "msg": "Invalid user key"}), MarketplaceRefused),
        (Scripted(status=404, body={"success": False, "msg": "Invalid user key"}), MarketplaceRefused),
        (Scripted(status=400, body={"error": "missing_billing", "msg": "You lack credit"}), MarketplaceRefused),
        (Scripted(status=403, body={"error": "invalid_args", "message": "Offer 17 is not your own."}), MarketplaceRefused),
        (Scripted(status=400, body=b"plain text"), MarketplaceRefused),
        (Scripted(status=400, body={"error": {"odd": 1}, "msg": ["odd"]}), MarketplaceRefused),
        (Scripted(status=429, body=b"API requests too frequent"), MarketplaceThrottled),
        (Scripted(status=429, body={"detail": "API requests too frequent endpoint threshold=2.0"}), MarketplaceThrottled),
        (Scripted(status=500, body=b"<html>"), MarketplaceBusy),
        (Scripted(status=502, body=NO_SUCH_ASK), MarketplaceBusy),
        (Scripted(status=408, body=b""), MarketplaceBusy),
        (Scripted(status=302, headers={"Location": "https://elsewhere.test/"}, body=b""), MarketplaceBusy),
        (Scripted(status=200, body=b"<html>maintenance</html>"), MarketplaceBusy),
        (Scripted(status=200, body=[1, 2]), MarketplaceBusy),
        (Scripted(status=200, body=b"[" * 100_000), MarketplaceBusy),
        (Scripted(error=requests.ReadTimeout("at https://market.test")), MarketplaceBusy),
        (Scripted(error=requests.ConnectionError(f"Bearer {KEY}")), MarketplaceBusy),
        (Scripted(error=OSError("reset")), MarketplaceBusy),
    ],
)
def test_every_refusal_of_a_create_becomes_one_of_our_errors_and_is_asked_once(answer: Scripted, error: type[Exception]) -> None:
    marketplace, session, _ = adapter(answer)

    with pytest.raises(error) as told:
        marketplace.create(rent_request())
    assert type(told.value) is error
    assert len(session.asked) == 1


def test_a_key_that_is_not_accepted_is_told_apart_whatever_the_status() -> None:
    marketplace, _, _ = adapter(Scripted(status=404, body={"success": False, "msg": "Invalid user key"}))

    with pytest.raises(MarketplaceRefused) as told:
        marketplace.search(AUTOGROUP)
    assert told.value.code == "auth_error"


def test_the_key_travels_in_the_header_and_nowhere_else() -> None:
    marketplace, session, _ = adapter(Scripted(body={"offers": []}))
    marketplace.search(AUTOGROUP)
    _, url, options = session.asked[0]
    headers = options.pop("headers")

    assert headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{url}{options}"


def test_every_call_has_a_deadline_and_follows_no_redirect() -> None:
    marketplace, session, _ = adapter(Scripted(body={"success": True}))
    marketplace.destroy(5)
    options = session.asked[0][2]

    assert all(seconds > 0 for seconds in options["timeout"])
    assert options["allow_redirects"] is False


# Whatever may go wrong, told with everything that is secret in it.
TOKEN = "token-of-the-worker"
SECRETS = (KEY, LOGIN, LOGIN.split()[3], TOKEN)
ECHO = f"you sent {KEY} and {LOGIN} with {TOKEN}"
FAILURES = {
    "refused": Scripted(status=400, body={"error": KEY, "msg": ECHO}),
    "refused in detail": Scripted(status=403, body={"detail": ECHO, "error": "invalid_args"}),
    "refused under 200": Scripted(body={"success": False, "error": f"odd {LOGIN}", "message": ECHO}),
    "gone": Scripted(status=404, body={"error": "no_such_ask", "msg": ECHO}),
    "no such instance": Scripted(status=404, body={"error": "no_such_instance", "msg": ECHO}),
    "key": Scripted(status=401, body={"msg": f"Invalid user key {KEY}"}),
    "rate": Scripted(status=429, body=ECHO.encode(), headers={"Retry-After": KEY}),
    "quota": Scripted(status=429, body={"error": "search_quota_exceeded", "msg": ECHO}),
    "server": Scripted(status=500, body=ECHO.encode()),
    "redirect": Scripted(status=307, headers={"Location": f"https://elsewhere.test/?api_key={KEY}"}, body=b""),
    "no json": Scripted(body=ECHO.encode()),
    "no contract": Scripted(body={"success": True, "msg": ECHO}),
    "timeout": Scripted(error=requests.Timeout(ECHO)),
    "connection": Scripted(error=requests.ConnectionError(ECHO, request=requests.Request(headers={"Authorization": KEY}))),
    "socket": Scripted(error=OSError(ECHO)),
}
CALLS: dict[str, Callable[[VastMarketplace], object]] = {
    "search": lambda market: market.search(AUTOGROUP),
    "create": lambda market: market.create(rent_request(image_login=LOGIN, env={"MASTER_TOKEN": TOKEN})),
    "list": lambda market: market.instances(""),
    "show": lambda market: market.instance(5),
    "start": lambda market: market.start(5),
    "destroy": lambda market: market.destroy(5),
    "logs": lambda market: market.logs(5, lines=1),
    "credit": lambda market: market.credit_micro_usd(),
}


def chain(error: BaseException) -> list[BaseException]:
    """Return the error and everything that it keeps, shown in a traceback or not."""
    kept = [error]
    for one in kept:
        kept += [other for other in (one.__cause__, one.__context__) if other is not None and other not in kept]
    return kept


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_failure_tells_a_secret(
    call: Callable[[VastMarketplace], object], failure: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    marketplace, _, _ = adapter(*[failure] * 3)
    told = ""
    with caplog.at_level(logging.DEBUG):
        try:
            call(marketplace)
        except PortError as error:
            told = "".join(f"{one!r} {vars(one)} {one.args}" for one in chain(error)) + "".join(traceback.format_exception(error))

    secrets = SECRETS if call is CALLS["create"] else (KEY,)
    assert [secret for secret in secrets if secret in told + caplog.text] == []


def test_no_repr_tells_the_key() -> None:
    http = VastHttp("https://market.test", api_key=lambda: KEY, clock=SimulatedClock(START_S))
    call = Call(kind="create", method="PUT", path="/", body={"env": KEY}, secrets=(KEY,))

    assert KEY not in f"{http!r} {vars(http)} {call!r} {VastMarketplace(http, clock=SimulatedClock(START_S))!r}"


def test_an_error_says_what_the_marketplace_said() -> None:
    marketplace, _, _ = adapter(Scripted(status=400, body={"error": "invalid_args", "msg": f"disk is too small, {KEY}"}))

    with pytest.raises(MarketplaceRefused, match="invalid_args: disk is too small, …"):
        marketplace.create(rent_request())


def test_a_show_of_what_is_gone_is_no_error() -> None:
    marketplace, _, _ = adapter(Scripted(status=404, body={"error": "no_such_instance"}))

    assert marketplace.instance(5) is None


def test_a_destroy_that_comes_too_late_says_that_it_is_gone() -> None:
    marketplace, _, _ = adapter(Scripted(status=404, body={"error": "no_such_instance", "msg": "Instance 5 not found."}))

    with pytest.raises(InstanceGone):
        marketplace.destroy(5)
