"""Bids and what is done where they fail: fall back, keep the share, come back without flapping."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.bidding import HOLD_S, HOLD_S_MAX, LOST_MAX, bid_records, lost_per_hour, ways_to_rent
from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup, Offer, RentalType, Worker
from functions.core.plan import STOPPED_BY_MARKETPLACE, Destroy, Drain, Fault, Plan, Rent
from functions.core.scaler_state import BidRecord, ScalerState
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from tests.core.builders import NOW_S, a_group, a_snapshot, a_state, a_worker, an_autogroup, an_offer, worker_id

_S = WorkerState
BIDS = an_autogroup(rental_type=RentalType.INTERRUPTIBLE, max_bid_micro_usd=500_000, on_demand_fallback=True)
NONE = BidRecord()
ALONE = replace(BIDS, on_demand_fallback=False)


def _bid(offer_id: int, price: int = 200_000) -> Offer:
    return an_offer(offer_id, running_micro_usd_per_hour=price, bid_micro_usd_per_hour=price - 5_000)


def _rented(snapshot: Snapshot) -> list[Offer]:
    return [action.offer for action in _plan(snapshot).actions if isinstance(action, Rent)]


def _plan(snapshot: Snapshot) -> Plan:
    return decide(snapshot, now_s=NOW_S)


def _short(
    *offers: Offer, autogroup: Autogroup = BIDS, load_per_s: float = 150.0, record: BidRecord = NONE, **group: Any
) -> Snapshot:
    state = a_state(load_per_s=load_per_s, bids={"a": record})
    return a_snapshot(group=a_group(**group), autogroups=(autogroup,), state=state, offers={"a": offers})


def _bidding(number: int, state: WorkerState = _S.READY) -> Worker:
    return a_worker(number, state, bid_micro_usd_per_hour=195_000, running_micro_usd_per_hour=200_000)


def _lost(state: ScalerState, *numbers: int, at_s: float = NOW_S) -> ScalerState:
    workers = [_bidding(number) for number in numbers]
    drains = [Drain(worker_id=one.worker_id, to=_S.STOPPING, reason=STOPPED_BY_MARKETPLACE) for one in workers]
    return replace(state, bids=bid_records(state, workers, drains, now_s=at_s), bids_at_s=at_s)


# Falling back


def test_where_bids_can_be_had_nothing_is_rented_on_demand() -> None:
    assert [offer.offer_id for offer in _rented(_short(an_offer(100), _bid(200), _bid(201)))] == [200, 201]


def test_what_bids_do_not_cover_is_rented_on_demand() -> None:
    assert [offer.offer_id for offer in _rented(_short(an_offer(100), _bid(200)))] == [200, 100]


def test_no_bid_within_the_limit_means_on_demand() -> None:
    assert [offer.offer_id for offer in _rented(_short(an_offer(100), an_offer(101)))] == [100, 101]


def test_on_demand_too_the_ceiling_holds() -> None:
    assert _rented(_short(an_offer(100), max_hourly_cost_micro_usd=399_999)) == []


def test_bids_lost_one_after_the_other_hold_bidding_for_a_while() -> None:
    state = _lost(ScalerState(), *range(1, LOST_MAX + 1))
    held = _short(an_offer(100), _bid(200), record=state.bids["a"], load_per_s=50.0)

    assert [offer.offer_id for offer in _rented(held)] == [100]
    assert "Autogroup a rents on demand for a while: 3 bids were lost within 30 minutes." in _plan(held).sentences


def test_without_the_fallback_it_goes_on_bidding() -> None:
    held = BidRecord(hold_until_s=NOW_S + 60, hold_s=HOLD_S)

    assert [offer.offer_id for offer in _rented(_short(_bid(200), autogroup=ALONE, record=held, load_per_s=50.0))] == [200]


def test_after_the_hold_it_bids_again() -> None:
    over = BidRecord(hold_until_s=NOW_S - 1, hold_s=HOLD_S)

    assert [offer.offer_id for offer in _rented(_short(an_offer(100), _bid(200), record=over, load_per_s=50.0))] == [200]


def test_losses_far_apart_are_no_reason_to_hold() -> None:
    state = ScalerState()
    for number in range(1, LOST_MAX + 1):
        state = _lost(state, number, at_s=NOW_S + 2_000.0 * number)

    assert state.bids["a"].hold_until_s == 0.0


def test_a_hold_that_follows_another_is_twice_as_long_up_to_a_limit() -> None:
    state, holds, at_s = ScalerState(), [], NOW_S
    for _ in range(5):
        state = _lost(state, *range(1, LOST_MAX + 1), at_s=at_s)
        holds.append(state.bids["a"].hold_s)
        at_s = state.bids["a"].hold_until_s + 60.0

    assert holds == [HOLD_S, 2 * HOLD_S, 4 * HOLD_S, HOLD_S_MAX, HOLD_S_MAX]


def test_losses_during_a_hold_do_not_lengthen_it() -> None:
    held = _lost(ScalerState(), *range(1, LOST_MAX + 1))

    assert _lost(held, *range(1, LOST_MAX + 1), at_s=NOW_S + 60).bids["a"].hold_until_s == NOW_S + HOLD_S


def test_a_hold_long_after_another_is_as_long_as_the_first() -> None:
    held = _lost(ScalerState(), *range(1, LOST_MAX + 1))

    assert _lost(held, *range(1, LOST_MAX + 1), at_s=NOW_S + HOLD_S + HOLD_S_MAX).bids["a"].hold_s == HOLD_S


# The rate


def test_how_often_bids_are_lost_is_learned_over_the_hours_of_bidding() -> None:
    state = ScalerState(bids_at_s=NOW_S - 100)
    for step in range(36):
        now_s = NOW_S + 100.0 * step
        state = replace(state, bids=bid_records(state, [_bidding(1), _bidding(2)], (), now_s=now_s), bids_at_s=now_s)

    assert state.bids["a"].hours == pytest.approx(2.0)
    assert lost_per_hour(state, "a") < lost_per_hour(ScalerState(), "a") < lost_per_hour(_lost(state, 1, 2, 3), "a")


def test_a_machine_that_is_taken_while_it_boots_is_a_lost_bid_and_one_on_demand_is_none() -> None:
    on_demand = a_worker(2, _S.BOOTING)
    taken = [Destroy(worker_id=worker_id(number), instance_id=number, reason="x", fault=Fault.TAKEN) for number in (1, 2)]

    assert bid_records(ScalerState(), [_bidding(1, _S.BOOTING), on_demand], taken, now_s=NOW_S)["a"].lost == 1.0


def test_bids_that_are_lost_all_the_time_are_worth_less_than_what_stays() -> None:
    unlucky = BidRecord(lost=60.0, hours=10.0)

    assert [offer.offer_id for offer in _rented(_short(an_offer(100), _bid(200, 380_000), record=unlucky, load_per_s=50.0))] == [
        100
    ]


# The share


@pytest.mark.parametrize(("share", "bids"), [(1.0, 4), (0.75, 3), (0.5, 2), (0.0, 0)])
def test_no_more_than_their_share_is_rented_by_bids(share: float, bids: int) -> None:
    offers = [*(an_offer(number) for number in range(100, 104)), *(_bid(number) for number in range(200, 204))]
    rented = _rented(_short(*offers, load_per_s=400.0, interruptible_share_max=share))

    assert sum(offer.bid_micro_usd_per_hour is not None for offer in rented) == bids
    assert len(rented) == 4


def test_where_nothing_runs_and_nothing_else_can_be_had_a_bid_beyond_the_share_is_better_than_none() -> None:
    assert len(_rented(_short(_bid(200), load_per_s=50.0, interruptible_share_max=0.5))) == 1


# Coming back


def _settled(*offers: Offer, looked_ago_s: float = 601.0, **changes: Any) -> Snapshot:
    record = BidRecord(hold_until_s=NOW_S - 60, hold_s=HOLD_S, looked_at_s=NOW_S - looked_ago_s)
    state = a_state(load_per_s=90.0, bids={"a": record})
    return a_snapshot(a_worker(1), **{"autogroups": (BIDS,), "state": state, "offers": {"a": offers} if offers else {}} | changes)


def test_a_machine_on_demand_is_replaced_by_a_bid_that_can_be_had_again() -> None:
    plan = _plan(_settled(_bid(200)))

    assert [type(action) for action in plan.actions] == [Rent]
    assert plan.state.bids["a"].returning == worker_id(1)


def test_once_the_bid_serves_the_machine_on_demand_leaves() -> None:
    snapshot = _settled()
    record = replace(snapshot.state.bids["a"], returning=worker_id(1), looked_at_s=NOW_S - 60)
    both = _settled(state=replace(snapshot.state, bids={"a": record}), workers=(a_worker(1), _bidding(2)), listing=None)

    assert [action.worker_id for action in _plan(both).actions if isinstance(action, Drain)] == [worker_id(1)]


@pytest.mark.parametrize("offer", [_bid(200, 380_000), an_offer(100, running_micro_usd_per_hour=100_000)])
def test_a_bid_that_is_hardly_cheaper_and_an_offer_that_is_no_bid_replace_nothing(offer: Offer) -> None:
    assert _rented(_settled(offer)) == []


def test_offers_are_looked_at_for_coming_back_every_ten_minutes() -> None:
    assert _plan(_settled()).wanted == {"a"}
    assert _plan(_settled(looked_ago_s=500.0)).wanted == frozenset()
    assert _plan(_settled(autogroups=(ALONE,))).wanted == frozenset()


@pytest.mark.parametrize(
    "workers",
    [(_bidding(1),), (a_worker(1, _S.DRAINING, drain_to=_S.STOPPING),), (a_worker(1), a_worker(2, _S.BOOTING))],
    ids=["all bid", "it leaves anyway", "something comes"],
)
def test_where_nothing_is_to_come_back_no_offers_are_looked_at(workers: tuple[Worker, ...]) -> None:
    calm = a_state(load_per_s=50.0, bids=_settled().state.bids)

    assert _plan(a_snapshot(*workers, autogroups=(BIDS,), state=calm)).wanted == frozenset()


def test_while_bidding_is_held_nothing_comes_back() -> None:
    held = BidRecord(hold_until_s=NOW_S + 60, hold_s=HOLD_S, returning=worker_id(1))
    plan = _plan(_settled(_bid(200), state=a_state(load_per_s=90.0, bids={"a": held})))

    assert (plan.actions, plan.state.bids["a"].looked_at_s) == ((), 0.0)


def test_the_dearest_of_the_autogroups_own_on_demand_comes_back_first() -> None:
    dear = [
        a_worker(2, running_micro_usd_per_hour=450_000),
        a_worker(3, running_micro_usd_per_hour=900_000, bid_micro_usd_per_hour=890_000),
        a_worker(4, running_micro_usd_per_hour=900_000, autogroup="b"),
    ]
    both = (BIDS, an_autogroup("b"))
    plan = _plan(_settled(_bid(200), workers=(a_worker(1), *dear), autogroups=both, listing=None))

    assert plan.state.bids["a"].returning == worker_id(2)


def test_one_that_is_there_no_longer_is_not_waited_for() -> None:
    record = replace(_settled().state.bids["a"], looked_at_s=NOW_S - 60, returning=worker_id(9))

    assert _plan(_settled(state=a_state(load_per_s=90.0, bids={"a": record}))).state.bids["a"].returning == ""


def test_an_autogroup_that_may_fall_back_is_searched_for_both_ways() -> None:
    assert [way.rental_type for way in ways_to_rent(BIDS)] == [RentalType.INTERRUPTIBLE, RentalType.ON_DEMAND]
    assert ways_to_rent(ALONE) == (ALONE,)
