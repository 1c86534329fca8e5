"""We keep the documented pauses, take advice where a 429 comes all the same, and do not ask against a used-up quota."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from functions.adapters.vast import VastMarketplace
from functions.adapters.vast_pace import INTERVAL_S, MARGIN_S, OVERSLEPT_S_MAX, WAIT_S_MAX
from functions.core.memory import ACCOUNT_CODES
from functions.ports import MarketplaceRefused, MarketplaceThrottled
from sandbox.marketplace.api import Reply, Request
from tests.fakes.marketplace import WorldSession, make_api, make_world, marketplace_over
from tests.simulation.clock import SimulatedClock
from tests.vast.scripted import AUTOGROUP, START_S, Scripted, adapter, rent_request

RENTED = [Scripted(body={"success": True, "new_contract": number}) for number in (5, 6, 7)]
LIMITED = Scripted(status=429, body=b"API requests too frequent")
CALLS: dict[str, Callable[[VastMarketplace], object]] = {
    "search": lambda market: market.search(AUTOGROUP),
    "create": lambda market: market.create(rent_request()),
    "list": lambda market: market.instances(""),
    "show": lambda market: market.instance(5),
    "change": lambda market: market.start(5),
    "destroy": lambda market: market.destroy(5),
    "reboot": lambda market: market.reboot(5),
    "recycle": lambda market: market.recycle(5),
    "bid": lambda market: market.change_bid(5, bid_micro_usd_per_hour=1_000),
    "account": lambda market: market.credit_micro_usd(),
}
DONE = Scripted(body={"success": True, "new_contract": 5, "offers": [], "instances": [], "credit": 1.0})


@pytest.mark.parametrize("kind", CALLS)
def test_two_calls_of_a_kind_lie_a_documented_pause_apart(kind: str) -> None:
    answer = DONE if kind != "show" else Scripted(body={"instances": None})
    marketplace, session, clock = adapter(*[answer] * 4)
    begun_s = clock.now_s()
    CALLS[kind](marketplace)
    CALLS[kind](marketplace)

    assert clock.now_s() - begun_s == pytest.approx((INTERVAL_S[kind] + MARGIN_S) * (len(session.asked) - 1))


def test_calls_of_different_kinds_do_not_wait_for_each_other() -> None:
    marketplace, _, clock = adapter(*[DONE] * 3)
    begun_s = clock.now_s()
    marketplace.search(AUTOGROUP)
    marketplace.instances("")
    marketplace.destroy(5)

    assert clock.now_s() == begun_s


def test_time_that_has_passed_anyway_is_not_waited_again() -> None:
    marketplace, _, clock = adapter(*RENTED)
    marketplace.create(rent_request())
    clock.wait_s(60.0)
    begun_s = clock.now_s()
    marketplace.create(rent_request())

    assert clock.now_s() == begun_s


def test_a_marketplace_of_one_s_own_needs_no_pauses_until_it_asks_for_some() -> None:
    marketplace, _, clock = adapter(*RENTED[:2], LIMITED, *RENTED, pace_factor=0.0)
    begun_s = clock.now_s()
    marketplace.create(rent_request())
    marketplace.create(rent_request())
    unpaced_s = clock.now_s() - begun_s
    with pytest.raises(MarketplaceThrottled):
        marketplace.create(rent_request())
    marketplace.create(rent_request())
    marketplace.create(rent_request())

    assert unpaced_s == 0.0
    assert clock.now_s() - begun_s == pytest.approx(2 * INTERVAL_S["create"] + MARGIN_S)


@pytest.mark.parametrize(
    ("body", "retry_after_s"),
    [
        (b"API requests too frequent", 4.5),
        (b"API requests too frequent: endpoint threshold=6.5", 6.5),
        (b"API requests too frequent: endpoint threshold=0.1", 4.5),
        (b'{"detail":"API requests too frequent endpoint threshold=7.0"}', 7.0),
        (b'{"success":false,"error":"rate_limit_exceeded","msg":"API requests too frequent endpoint threshold=5.0"}', 5.0),
        (b"threshold=99999999999999999999999999", 9999.0),
        (b"\xff\xfe", 4.5),
    ],
)
def test_a_rate_limit_is_read_in_all_its_shapes(body: bytes, retry_after_s: float) -> None:
    marketplace, _, _ = adapter(Scripted(status=429, body=body))

    with pytest.raises(MarketplaceThrottled) as told:
        marketplace.create(rent_request())
    assert told.value.retry_after_s == retry_after_s


@pytest.mark.parametrize(
    ("header", "retry_after_s"), [("30", 30.0), ("1", 4.5), ("Wed, 21 Oct 2026 07:28:00 GMT", 4.5), ("-5", 4.5)]
)
def test_the_marketplace_s_own_advice_is_followed_if_it_is_longer(header: str, retry_after_s: float) -> None:
    marketplace, _, _ = adapter(Scripted(status=429, body=b"", headers={"Retry-After": header}))

    with pytest.raises(MarketplaceThrottled) as told:
        marketplace.create(rent_request())
    assert told.value.retry_after_s == retry_after_s


def test_a_rate_limit_on_a_read_is_waited_out() -> None:
    marketplace, session, _ = adapter(LIMITED, LIMITED, Scripted(body={"instances": None}))

    assert marketplace.instance(5) is None
    assert len(session.asked) == 3


def test_a_rate_limit_on_a_read_is_not_waited_out_for_ever() -> None:
    marketplace, session, _ = adapter(*[LIMITED] * 9)

    with pytest.raises(MarketplaceThrottled):
        marketplace.instance(5)
    assert len(session.asked) == 3


def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    marketplace, session, clock = adapter(Scripted(status=429, body=b"", headers={"Retry-After": "600"}))
    begun_s = clock.now_s()
    for _ in range(2):
        with pytest.raises(MarketplaceThrottled):
            marketplace.create(rent_request())

    assert len(session.asked) == 1
    assert clock.now_s() - begun_s <= WAIT_S_MAX


@pytest.mark.parametrize(("late_s", "asked"), [(OVERSLEPT_S_MAX - 0.1, 2), (OVERSLEPT_S_MAX + 0.1, 1)])
def test_who_was_suspended_while_it_waited_sends_nothing(late_s: float, asked: int) -> None:
    marketplace, session, clock = adapter(*RENTED)
    marketplace.create(rent_request())
    clock.after(0.1, lambda: clock.run_until(clock.now_s() + INTERVAL_S["create"] + MARGIN_S - 0.1 + late_s))
    with nullcontext() if asked == 2 else pytest.raises(MarketplaceThrottled, match="overslept"):
        marketplace.create(rent_request())

    assert len(session.asked) == asked


def quota(**headers: str) -> Scripted:
    return Scripted(status=429, body={"success": False, "error": "search_quota_exceeded"}, headers=headers)


def test_a_used_up_quota_is_a_refusal_that_halts_renting() -> None:
    marketplace, _, _ = adapter(quota())

    with pytest.raises(MarketplaceRefused) as told:
        marketplace.search(AUTOGROUP)
    assert told.value.code in ACCOUNT_CODES


@pytest.mark.parametrize(
    ("headers", "renewed_s"),
    [
        ({}, START_S // 86_400 * 86_400 + 86_400),
        ({"X-RateLimit-Reset": str(START_S + 1_000)}, START_S + 1_000),
        ({"X-RateLimit-Reset": str(START_S - 1_000)}, START_S // 86_400 * 86_400 + 86_400),
        ({"X-RateLimit-Reset": "1e300"}, START_S // 86_400 * 86_400 + 86_400),
    ],
    ids=["midnight", "as told", "told late", "told nonsense"],
)
def test_nothing_is_searched_before_the_quota_is_renewed(headers: dict[str, str], renewed_s: float) -> None:
    marketplace, session, clock = adapter(quota(**headers), DONE)
    with pytest.raises(MarketplaceRefused):
        marketplace.search(AUTOGROUP)
    clock.run_until(renewed_s - 1)
    with pytest.raises(MarketplaceRefused):
        marketplace.search(AUTOGROUP)
    asked_before = len(session.asked)
    clock.run_until(renewed_s)

    assert (asked_before, marketplace.search(AUTOGROUP)) == (1, [])


def test_other_calls_go_on_without_the_quota() -> None:
    marketplace, _, _ = adapter(quota(), DONE)
    with pytest.raises(MarketplaceRefused):
        marketplace.search(AUTOGROUP)

    assert marketplace.instances("") == []


def test_a_marketplace_that_enforces_its_limits_never_has_to() -> None:
    clock = SimulatedClock(START_S)
    refused: list[Any] = []

    def note(_asked: Request, reply: Reply | None) -> None:
        if reply is not None and reply.status == 429:
            refused.append(reply)

    session = WorldSession(make_api(make_world(now_s=START_S), rate_limits=True), clock, on_call=note)
    marketplace = marketplace_over(session, clock)
    for number in range(3):
        offer = marketplace.search(replace(AUTOGROUP, search_params="verified=any"))[0]
        instance_id = marketplace.create(rent_request(offer))
        marketplace.label(instance_id, f"x{number}")
        marketplace.stop(instance_id)
        assert marketplace.instance(instance_id) is not None
        assert len(marketplace.instances("")) == 1
        marketplace.destroy(instance_id)

    assert refused == []
