"""What leaves, and what keeps each from leaving: one rule of releasing a test."""

from __future__ import annotations

from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointGroup, Worker
from functions.core.plan import Destroy, Drain, Plan
from functions.core.scaler_state import LoadPeak
from functions.core.scaling import decide
from tests.core.builders import CENTS_40, NOW_S, a_group, a_snapshot, a_state, a_worker, worker_id

_S = WorkerState
LONG_AGO_S = NOW_S - 9_000


def _plan(*workers: Worker, load_per_s: float = 0.0, group: EndpointGroup | None = None, **state: Any) -> Plan:
    seen = a_snapshot(*workers, group=group or a_group(max_workers=20), state=a_state(load_per_s=load_per_s, **state))
    return decide(seen, now_s=NOW_S)


def _leaving(plan: Plan) -> list[str]:
    return [action.worker_id for action in plan.actions if isinstance(action, Drain | Destroy)]


def _fleet(count: int) -> list[Worker]:
    return [a_worker(number) for number in range(1, count + 1)]


# Ceilings


@pytest.mark.parametrize(
    ("ceiling", "changes"),
    [("max_workers", {"max_workers": 2}), ("max_hourly_cost_usd", {"max_hourly_cost_micro_usd": 2 * CENTS_40})],
)
def test_of_a_fleet_above_a_ceiling_no_more_leaves_than_is_above_it(ceiling: str, changes: dict[str, int]) -> None:
    plan = _plan(*_fleet(3), load_per_s=290.0, group=a_group(**changes))

    assert len(_leaving(plan)) == 1
    assert f"More is held than {ceiling} of chat allows: releasing." in plan.sentences


@pytest.mark.parametrize("changes", [{"max_workers": 2}, {"max_hourly_cost_micro_usd": 2 * CENTS_40}])
def test_what_is_leaving_already_counts_as_gone_where_a_ceiling_is_broken(changes: dict[str, int]) -> None:
    going = (a_worker(3, _S.DESTROYING), a_worker(4, _S.DRAINING, drain_to=_S.DESTROYING))

    assert not {worker_id(1), worker_id(2)} & set(_leaving(_plan(*_fleet(2), *going, load_per_s=190.0, group=a_group(**changes))))


# Surplus


@pytest.mark.parametrize(("load_per_s", "leave"), [(1_590.0, 0), (1_490.0, 1), (1_390.0, 2), (800.0, 2)])
def test_as_many_leave_at_a_time_as_the_rest_can_spare_an_eighth_at_most(load_per_s: float, leave: int) -> None:
    assert len(_leaving(_plan(*_fleet(16), load_per_s=load_per_s))) == leave


def test_when_nothing_has_been_asked_for_long_enough_all_go_at_once() -> None:
    plan = _plan(*_fleet(3), last_demand_at_s=LONG_AGO_S)

    assert {action.reason for action in plan.actions if isinstance(action, Drain)} == {"nothing has been asked for long enough"}
    assert len(_leaving(plan)) == 3


def test_demand_that_was_not_watched_for_a_whole_window_is_no_surplus() -> None:
    young = (LoadPeak(from_s=NOW_S - 60, load_per_s=50.0),)

    assert _leaving(_plan(*_fleet(2), load_per_s=50.0, peaks=young)) == []
    assert len(_leaving(_plan(*_fleet(2), load_per_s=50.0))) == 1


@pytest.mark.parametrize(
    ("load_per_s", "age_s", "leaves"),
    [(50.0, 150.0, True), (50.0, 30.0, False), (150.0, 150.0, False)],
    ids=["not needed", "begun within the window", "needed"],
)
def test_what_boots_leaves_if_it_was_begun_before_the_window_and_others_carry_the_load(
    load_per_s: float, age_s: float, *, leaves: bool
) -> None:
    booting = a_worker(2, _S.BOOTING, age_s=age_s)

    assert _leaving(_plan(a_worker(1), booting, load_per_s=load_per_s)) == ([worker_id(2)] if leaves else [])


def test_what_boots_in_order_to_be_measured_stays() -> None:
    unmeasured = a_worker(2, _S.BOOTING, age_s=150.0, gpu_name="H100", dlperf=0.0)

    assert _leaving(_plan(a_worker(1), unmeasured, load_per_s=50.0)) == []


# What is no longer configured


@pytest.mark.parametrize(("load_per_s", "leaves"), [(90.0, True), (150.0, False)])
def test_a_serving_worker_of_a_removed_autogroup_leaves_once_the_others_carry_the_load(load_per_s: float, *, leaves: bool) -> None:
    removed = a_worker(1, autogroup="gone")

    assert (worker_id(1) in _leaving(_plan(removed, a_worker(2), load_per_s=load_per_s))) is leaves


def test_the_last_that_serves_stays_until_another_does_where_one_is_always_to_run() -> None:
    removed, always = a_worker(1, autogroup="gone"), a_group(inactivity_timeout=-1.0)

    assert _leaving(_plan(removed, a_worker(2, _S.BOOTING), group=always)) == []


def test_while_the_demand_is_unknown_a_removed_autogroup_serves_on() -> None:
    assert _leaving(_plan(a_worker(1, autogroup="gone"), a_worker(2), samples=())) == []
