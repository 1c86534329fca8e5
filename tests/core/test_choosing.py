"""Which offer is rented next: value, and what a trial may teach."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.choosing import LESSON_SHARE_MAX, expected_saving
from functions.core.lifecycle import WorkerState
from functions.core.model import Offer
from functions.core.plan import Drain, Rent
from functions.core.scaler_state import LearnedPerf
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from tests.core.builders import NOW_S, a_group, a_snapshot, a_state, a_worker, an_autogroup, an_offer

KNOWN = {"a|RTX 4090|1": LearnedPerf(perf=100.0, samples=12, dlperf=100.0, measured_at_s=NOW_S, deviations=0.1)}


def _rented(snapshot: Snapshot) -> list[Offer]:
    return [action.offer for action in decide(snapshot, now_s=NOW_S).actions if isinstance(action, Rent)]


def _hungry(*offers: Offer, load_per_s: float = 500.0, held: int = 0, **group: Any) -> Snapshot:
    workers = tuple(a_worker(number) for number in range(1, held + 1))
    state = a_state(load_per_s=load_per_s, learned=KNOWN)
    big = a_group(**{"max_workers": 50, "max_hourly_cost_micro_usd": 10**9} | group)
    return a_snapshot(*workers, group=big, state=state, offers={"a": offers})


def _a4000(offer_id: int, *, dearer: float = 1.0) -> Offer:
    """Return a GPU that was never measured: half the benchmark for half the price, times so much."""
    return an_offer(offer_id, gpu_name="RTX A4000", dlperf=50.0, running_micro_usd_per_hour=int(200_000 * dearer))


def test_a_large_fleet_tries_a_gpu_that_looks_a_little_dearer_once() -> None:
    known = [an_offer(number) for number in range(100, 110)]
    rented = _rented(_hungry(*known, *(_a4000(number, dearer=1.2) for number in range(200, 204))))

    assert [offer.gpu_name for offer in rented].count("RTX A4000") == 1
    assert [offer.gpu_name for offer in rented].count("RTX 4090") == 5


def test_one_that_looks_three_times_as_dear_is_not_tried() -> None:
    rented = _rented(_hungry(*(an_offer(number) for number in range(100, 110)), _a4000(200, dearer=3.0)))

    assert {offer.gpu_name for offer in rented} == {"RTX 4090"}


def test_a_fleet_of_one_does_not_pay_for_what_it_cannot_use() -> None:
    assert [offer.gpu_name for offer in _rented(_hungry(an_offer(100), _a4000(200, dearer=1.4), load_per_s=99.0))] == ["RTX 4090"]


def test_an_idle_group_tries_nothing() -> None:
    snapshot = _hungry(_a4000(200, dearer=0.1), load_per_s=0.0)

    assert _rented(snapshot) == []


def test_while_one_trial_boots_there_is_no_other_of_any_gpu() -> None:
    snapshot = _hungry(*(an_offer(number) for number in range(100, 110)), _a4000(200, dearer=0.5))
    trial = a_worker(1, WorkerState.BOOTING, gpu_name="RTX A5000", dlperf=60.0)
    watched = replace(snapshot, workers=(trial,), listing=a_snapshot(trial).listing)

    assert {offer.gpu_name for offer in _rented(watched)} == {"RTX 4090"}


def test_what_was_measured_and_is_worse_is_not_tried_again() -> None:
    worse = {**KNOWN, "a|RTX A4000|1": LearnedPerf(perf=30.0, samples=3, dlperf=50.0, measured_at_s=NOW_S)}
    snapshot = _hungry(*(an_offer(number) for number in range(100, 110)), _a4000(200), load_per_s=480.0)

    assert {offer.gpu_name for offer in _rented(replace(snapshot, state=replace(snapshot.state, learned=worse)))} == {"RTX 4090"}


def test_where_only_unmeasured_gpus_are_to_be_had_they_are_rented_for_all_that_is_missing() -> None:
    assert len(_rented(_hungry(*(_a4000(number) for number in range(200, 220)), load_per_s=150.0))) == 3


def test_of_two_autogroups_the_cheaper_load_wins_with_its_traffic_reckoned() -> None:
    learned = {f"{name}|RTX 4090|1": KNOWN["a|RTX 4090|1"] for name in ("a", "b")}
    sends = an_autogroup("a", traffic_gb_per_hour=50.0)
    snapshot = a_snapshot(
        autogroups=(sends, an_autogroup("b")),
        state=a_state(load_per_s=50.0, learned=learned),
        offers={
            "a": (an_offer(100, up_micro_usd_per_gb=10_000),),
            "b": (an_offer(200, running_micro_usd_per_hour=500_000, up_micro_usd_per_gb=10_000),),
        },
    )

    assert [offer.offer_id for offer in _rented(snapshot)] == [200]


def test_of_two_workers_the_one_whose_traffic_is_billed_goes_first() -> None:
    free, billed = a_worker(1), a_worker(2, up_micro_usd_per_gb=10_000)
    sends = an_autogroup("a", traffic_gb_per_hour=50.0)
    plan = decide(a_snapshot(billed, free, autogroups=(sends,), state=a_state(load_per_s=90.0)), now_s=NOW_S)

    assert [action.worker_id for action in plan.actions if isinstance(action, Drain)] == [billed.worker_id]


@pytest.mark.parametrize(("log_ratio", "sd"), [(0.0, 0.45), (0.2, 0.45), (-0.3, 0.2), (1.0, 0.8)])
def test_the_expected_saving_is_the_mean_over_what_may_turn_out(log_ratio: float, sd: float) -> None:
    rng = random.Random(1)
    draws = [max(0.0, 1.0 - rng.lognormvariate(log_ratio, sd)) for _ in range(40_000)]

    assert expected_saving(log_ratio, sd) == pytest.approx(sum(draws) / len(draws), abs=0.004)


@given(st.floats(-5, 5), st.floats(0, 3))
def test_a_saving_is_a_share(log_ratio: float, sd: float) -> None:
    assert 0.0 <= expected_saving(log_ratio, sd) <= 1.0


def test_no_lesson_is_worth_more_than_its_share_of_a_price() -> None:
    known = [an_offer(number) for number in range(100, 110)]
    rented = _rented(_hungry(*known, _a4000(200, dearer=1.1 / (1 - LESSON_SHARE_MAX)), load_per_s=5_000.0))

    assert {offer.gpu_name for offer in rented} == {"RTX 4090"}
