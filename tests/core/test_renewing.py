"""How outdated workers are replaced: in which order, how many at a time, and what stops it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointState
from functions.core.plan import Destroy, Drain, Plan, Rent, Start
from functions.core.renewing import surge
from functions.core.rollout import PROVING_S
from functions.core.scaler_state import Edition, Halt
from functions.core.scaling import decide
from functions.core.snapshot import from_json, to_json
from tests.core.builders import (
    NOW_S,
    a_condition,
    a_group,
    a_request,
    a_snapshot,
    a_state,
    a_worker,
    an_autogroup,
    an_offer,
    worker_id,
)
from tests.core.rolling import (
    NEW,
    OFFERS,
    V1,
    V2,
    decided,
    failed,
    new,
    old,
    proven,
    proving,
    rented_versions,
    rolling,
    steady,
    told,
)

_S = WorkerState
ONE_FULL = a_group(max_workers=1)


def _drained(plan: Plan) -> list[str]:
    return [action.worker_id for action in plan.actions if isinstance(action, Drain)]


def _destroyed(plan: Plan) -> list[str]:
    return [action.worker_id for action in plan.actions if isinstance(action, Destroy)]


# Trial


def test_a_changed_autogroup_is_tried_beside_what_serves() -> None:
    plan = decided(old(1), old(2), rollout=proving(), load_per_s=190.0)

    assert (rented_versions(plan), _drained(plan)) == ([V2], [])
    assert "to prove version" in plan.sentences[0]


def test_one_trial_is_enough() -> None:
    plan = decided(old(1), old(2), new(3, _S.BOOTING), rollout=proving(), load_per_s=190.0)

    assert plan.actions == ()


def test_a_trial_that_failed_is_followed_by_another() -> None:
    plan = decided(old(1), old(2), rollout=proving(failed_workers=("x",)), load_per_s=190.0)

    assert rented_versions(plan) == [V2]


def test_a_trial_that_is_too_slow_and_serves_alone_is_followed_by_another() -> None:
    plan = decided(new(1), rollout=proving(failed_workers=(worker_id(1),)), load_per_s=90.0)

    assert rented_versions(plan) == [V2]


def test_nothing_is_tried_where_there_is_nothing_to_replace() -> None:
    assert decided(rollout=proving()).actions == ()


def test_a_reserve_that_nobody_asks_for_is_replaced_too() -> None:
    idle = a_state(last_demand_at_s=NOW_S - 9_000, rollouts={"a": proving()})
    plan = decided(old(1, _S.STOPPED), rollout=proving(), state=idle)

    assert rented_versions(plan) == [V2]


def test_what_boots_as_a_version_that_was_overtaken_is_given_up() -> None:
    overtaken = a_worker(2, _S.BOOTING, autogroup_version="between")
    plan = decided(old(1), overtaken, rollout=proving(), load_per_s=90.0)

    assert _destroyed(plan) == [overtaken.worker_id]


# Replace


def test_a_proven_version_is_rented_within_the_surge() -> None:
    workers = [old(number) for number in range(1, 9)]
    plan = decided(*workers, rollout=proven(), load_per_s=790.0, group=a_group(max_workers=20))

    assert (rented_versions(plan), _drained(plan)) == ([V2, V2], [])


def test_those_that_come_and_those_that_drain_take_their_part_of_the_surge() -> None:
    workers = [old(number) for number in range(1, 7)]
    leaving = replace(old(7, _S.DRAINING, drain_to=_S.DESTROYING), condition=a_condition(in_flight=1))
    plan = decided(*workers, leaving, new(8, _S.BOOTING), rollout=proven(), load_per_s=590.0, group=a_group(max_workers=20))

    assert plan.actions == ()


def test_an_old_worker_leaves_once_a_new_one_serves_in_its_place() -> None:
    plan = decided(old(1), new(2), rollout=proven(), load_per_s=90.0)

    assert (_drained(plan), rented_versions(plan)) == ([worker_id(1)], [])


def test_an_old_worker_stays_while_the_new_one_only_boots() -> None:
    plan = decided(old(1), new(2, _S.BOOTING), rollout=proven(), load_per_s=90.0)

    assert plan.actions == ()


def test_two_slower_new_ones_replace_an_old_one() -> None:
    slow = replace(new(2), condition=a_condition(perf=80.0))
    first = decided(old(1), slow, rollout=proven(), load_per_s=90.0)
    second = decided(old(1), slow, replace(slow, worker_id=worker_id(3)), rollout=proven(), load_per_s=90.0)

    assert (rented_versions(first), _drained(first), _drained(second)) == ([V2], [], [worker_id(1)])


def test_what_is_missing_is_rented_as_the_new_version() -> None:
    plan = decided(new(1), rollout=proven(), load_per_s=250.0)

    assert rented_versions(plan) == [V2, V2]


def test_a_surplus_is_released_from_the_older_version_first() -> None:
    dear = new(1, running_micro_usd_per_hour=900_000)
    plan = decided(dear, old(2), old(3), rollout=proven(), load_per_s=190.0)

    assert _drained(plan) == [worker_id(2)]


def test_an_old_stopped_worker_is_replaced_by_a_newer_one_that_is_stopped() -> None:
    two = a_group(cold_workers=2)
    first = decided(new(1), old(2, _S.STOPPED), rollout=proven(), load_per_s=90.0, group=two)
    second = decided(new(1), old(2, _S.STOPPED), new(3), rollout=proven(), load_per_s=90.0, group=two)

    assert (rented_versions(first), _destroyed(first)) == ([V2], [])
    assert (rented_versions(second), _destroyed(second), len(_drained(second))) == ([], [worker_id(2)], 1)


def test_a_stopped_worker_of_the_new_version_is_started_before_one_of_the_old() -> None:
    dear = new(2, _S.STOPPED, running_micro_usd_per_hour=900_000)
    plan = decided(old(1, _S.STOPPED), dear, rollout=proven(), load_per_s=50.0)

    assert [action.worker_id for action in plan.actions if isinstance(action, Start)] == [worker_id(2)]


def test_a_stopped_worker_of_the_old_version_is_started_before_a_machine_is_waited_for() -> None:
    plan = decided(old(1, _S.STOPPED), rollout=proven(), load_per_s=50.0)

    assert [action.worker_id for action in plan.actions if isinstance(action, Start)] == [worker_id(1)]


def test_nothing_leaves_while_the_need_is_unknown() -> None:
    plan = decided(old(1), new(2), rollout=proven(), state=a_state(samples=(), rollouts={"a": proven()}))

    assert _drained(plan) == []


def test_nothing_leaves_while_nobody_is_heard() -> None:
    silent = a_condition(reported_at_s=NOW_S - 60)
    workers = [replace(worker, condition=silent) for worker in (old(1), new(2))]
    plan = decided(*workers, rollout=proven(), state=a_state(last_demand_at_s=NOW_S - 9_000, rollouts={"a": proven()}))

    assert _drained(plan) == []


def test_a_version_that_failed_halfway_is_taken_back() -> None:
    plan = decided(old(1), new(2), rollout=failed(), load_per_s=90.0)

    assert (_drained(plan), rented_versions(plan)) == ([worker_id(2)], [])


def test_what_boots_as_a_version_that_failed_is_given_up() -> None:
    plan = decided(old(1), new(2, _S.BOOTING), rollout=failed(), load_per_s=90.0)

    assert _destroyed(plan) == [worker_id(2)]


def test_workers_that_were_born_before_an_update_was_asked_for_are_replaced() -> None:
    asked = Edition(version=V1, asked_at_s=NOW_S - 700)
    rollout = steady(wanted=asked, good=asked)
    older, newer = old(1, created_at_s=NOW_S - 800), old(2, created_at_s=NOW_S - 600)
    plan = decided(
        older, newer, rollout=rollout, autogroup=an_autogroup(image="tgi:1"), updates={"a": NOW_S - 700}, load_per_s=90.0
    )

    assert _drained(plan) == [worker_id(1)]


def test_two_autogroups_are_replaced_at_once_each_within_its_surge() -> None:
    fleet = [old(1), old(2), replace(old(3), rental=replace(old(3).rental, autogroup="b"))]
    state = a_state(load_per_s=290.0, rollouts={"a": proven(), "b": proven()})
    offers = {**OFFERS, "b": tuple(an_offer(number) for number in range(200, 220))}
    plan = decide(a_snapshot(*fleet, autogroups=(NEW, an_autogroup("b", image="tgi:2")), state=state, offers=offers), now_s=NOW_S)

    assert [(action.autogroup, action.version) for action in plan.actions if isinstance(action, Rent)] == [("a", V2), ("b", V2)]


# Room


def test_without_a_place_one_leaves_that_the_others_can_do_without() -> None:
    full = a_group(max_workers=2)
    plan = decided(old(1), old(2, running_micro_usd_per_hour=500_000), rollout=proving(), load_per_s=90.0, group=full)

    assert (_drained(plan), rented_versions(plan)) == ([worker_id(2)], [])


def test_a_stopped_worker_gives_its_place_first() -> None:
    plan = decided(old(1), old(2, _S.STOPPED), rollout=proving(), load_per_s=90.0, group=a_group(max_workers=2, cold_workers=2))

    assert (_destroyed(plan), _drained(plan)) == ([worker_id(2)], [])


def test_one_place_at_a_time_is_made() -> None:
    leaving = old(3, _S.DESTROYING)
    plan = decided(
        old(1), old(2), leaving, rollout=proving(), load_per_s=90.0, group=a_group(max_workers=3, scale_down_window=3_600.0)
    )

    assert _drained(plan) == []


def test_where_nobody_can_be_spared_nothing_moves_and_the_remedy_is_told() -> None:
    plan = decided(old(1), rollout=proving(), load_per_s=90.0, group=ONE_FULL)

    assert plan.actions == ()
    assert "max_workers (1) leaves no place" in told(plan)
    assert "Raise max_workers by one" in told(plan)


def test_where_the_budget_has_no_room_nothing_moves_and_the_remedy_is_told() -> None:
    plan = decided(old(1), rollout=proving(), load_per_s=90.0, group=a_group(max_hourly_cost_micro_usd=700_000))

    assert plan.actions == ()
    assert "Raise max_hourly_cost_usd by the price of one" in told(plan)


def test_a_group_of_one_is_updated_when_nobody_needs_it() -> None:
    idle = a_state(last_demand_at_s=NOW_S - 9_000, rollouts={"a": proving()})
    plan = decided(old(1), rollout=proving(), state=idle, group=ONE_FULL)

    assert _drained(plan) == [worker_id(1)]


TRIAL_FAILED: dict[str, Any] = {"rollout": proving(failed_workers=(worker_id(2),)), "group": ONE_FULL}
GONE = new(2, _S.DESTROYED)


def test_after_a_trial_failed_in_the_only_place_whoever_waits_gets_the_version_before() -> None:
    plan = decided(GONE, waiting=(a_request(),), **TRIAL_FAILED)

    assert rented_versions(plan) == [V1]


def test_after_a_trial_failed_in_the_only_place_the_next_one_waits_while_the_version_before_serves() -> None:
    plan = decided(GONE, old(1, age_s=60.0), load_per_s=90.0, **TRIAL_FAILED)

    assert (rented_versions(plan), _drained(plan)) == ([], [])


def test_after_a_trial_failed_in_the_only_place_the_next_one_takes_it_when_nobody_asks() -> None:
    idle = a_state(last_demand_at_s=NOW_S - 9_000, rollouts={"a": TRIAL_FAILED["rollout"]})
    plan = decided(GONE, old(1, _S.STOPPED, age_s=60.0), state=idle, **TRIAL_FAILED)

    assert _destroyed(plan) == [worker_id(1)]


def test_while_nobody_asks_a_trial_that_failed_in_the_only_place_is_followed_by_another() -> None:
    idle = a_state(last_demand_at_s=NOW_S - 9_000, rollouts={"a": TRIAL_FAILED["rollout"]})
    plan = decided(GONE, old(1, _S.STOPPED), state=idle, rollout=TRIAL_FAILED["rollout"], group=a_group(max_workers=2))

    assert rented_versions(plan) == [V2]


BOTH_CHANGED: dict[str, Any] = {
    "autogroups": (NEW, replace(NEW, name="b")),
    "offers": OFFERS | {"b": (an_offer(200),)},
    "group": a_group(max_workers=2),
}


def test_beside_the_trial_of_another_autogroup_whoever_waits_gets_the_version_before() -> None:
    trial = new(2, _S.BOOTING, autogroup="b", age_s=60.0)
    rollouts = {"a": proving(), "b": proving()}
    plan = decided(trial, rollout=proving(), waiting=(a_request(),), state=a_state(rollouts=rollouts), **BOTH_CHANGED)

    assert rented_versions(plan) == [V1]


def test_the_last_one_that_serves_gives_its_place_to_no_trial_beside_another_trial() -> None:
    trial = new(2, _S.BOOTING, autogroup="b", age_s=60.0)
    idle = a_state(last_demand_at_s=NOW_S - 9_000, rollouts={"a": proving(), "b": proving()})
    plan = decided(old(1), trial, rollout=proving(), state=idle, **(BOTH_CHANGED | {"group": a_group(max_workers=2, min_load=0.0)}))

    assert not any("gives its place" in sentence for sentence in plan.sentences)


def test_a_halt_of_renting_is_told_as_what_the_update_waits_for() -> None:
    halted = a_state(
        load_per_s=90.0, rollouts={"a": proving()}, halted_autogroups={"a": Halt(until_s=NOW_S + 60, reason="x is off")}
    )
    plan = decided(old(1), rollout=proving(), state=halted)

    assert "it waits, since x is off" in told(plan)


@pytest.mark.parametrize("state", [EndpointState.SUSPENDED, EndpointState.STOPPED])
def test_an_endpoint_that_is_not_active_is_not_updated(state: EndpointState) -> None:
    plan = decided(old(1), rollout=proving(), load_per_s=90.0, group=a_group(endpoint_state=state))

    assert rented_versions(plan) == []


# Surge


@pytest.mark.parametrize(
    ("text", "running", "workers"),
    [("25%", 8, 2), ("25%", 9, 3), ("25%", 1, 1), ("1%", 0, 1), ("100%", 7, 7), ("3", 100, 3)],
)
def test_a_surge_is_a_number_or_a_share_of_those_that_run(text: str, running: int, workers: int) -> None:
    assert surge(a_group(update_surge=text), running) == workers


# Until it is over


def test_a_trial_that_has_proven_itself_is_followed_by_the_rest_at_once() -> None:
    plan = decided(old(1), old(2), new(3, age_s=PROVING_S), rollout=proving(), load_per_s=190.0)

    assert (_drained(plan), rented_versions(plan)) == ([worker_id(1)], [])


def test_an_update_that_is_over_says_nothing() -> None:
    assert told(decided(new(1), rollout=proven(), load_per_s=90.0)) == ""


def test_a_worker_that_has_not_come_up_yet_leaves_for_what_serves() -> None:
    late = old(2, _S.BOOTING)
    plan = decided(new(1), late, rollout=proven(), load_per_s=90.0)

    assert _destroyed(plan) == [late.worker_id]


def test_a_decision_about_an_update_replays_from_its_record() -> None:
    snapshot = rolling(old(1), old(2), new(3, age_s=PROVING_S), rollout=proving(), load_per_s=190.0)
    recorded = json.loads(json.dumps(to_json(snapshot)))

    assert decide(from_json(recorded), now_s=NOW_S) == decide(snapshot, now_s=NOW_S)
