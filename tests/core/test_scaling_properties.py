"""What holds of every decision, whatever the snapshot. Each test is one invariant of `functions.core.scaling`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings

from functions.core.dismantling import dismantle
from functions.core.lifecycle import HELD, NEXT, WorkerState
from functions.core.listing import index, strays
from functions.core.model import EndpointState, Schedule, Worker
from functions.core.plan import (
    ConfirmGone,
    Destroy,
    Drain,
    Fault,
    GiveUp,
    Plan,
    Rent,
    Start,
    Stop,
    Undrain,
    advance,
)
from functions.core.reconcile import drain_deadline_s, is_free
from functions.core.scaler_state import ScalerState
from functions.core.scaling import decide
from functions.core.schedules import in_force
from functions.core.snapshot import Snapshot, from_json, to_json
from functions.core.verifying import mismatch
from tests.core.builders import NOW_S
from tests.core.strategies import hungry_snapshots, schedules, snapshots

often = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def _after(snapshot: Snapshot, plan: Plan) -> tuple[Worker, ...]:
    return advance(snapshot.workers, plan.actions, endpoint="chat", now_s=NOW_S)


def _held(workers: tuple[Worker, ...]) -> list[Worker]:
    return [worker for worker in workers if worker.rental.state in HELD]


def _cost(snapshot: Snapshot, workers: tuple[Worker, ...]) -> int:
    astray = () if snapshot.listing is None else strays(index(snapshot.listing), snapshot.workers, now_s=NOW_S)
    held = sum(worker.rental.running_micro_usd_per_hour for worker in _held(workers))
    return held + sum(instance.running_micro_usd_per_hour for instance in astray)


@often
@given(hungry_snapshots())
def test_whoever_rents_stays_within_the_number_of_workers(snapshot: Snapshot) -> None:
    plan = decide(snapshot, now_s=NOW_S)
    assume(any(isinstance(action, Rent) for action in plan.actions))

    assert len(_held(_after(snapshot, plan))) <= snapshot.group.max_workers


@often
@given(hungry_snapshots())
def test_whoever_rents_stays_within_the_hourly_budget(snapshot: Snapshot) -> None:
    plan = decide(snapshot, now_s=NOW_S)
    assume(any(isinstance(action, Rent) for action in plan.actions))

    assert _cost(snapshot, _after(snapshot, plan)) <= snapshot.group.max_hourly_cost_micro_usd


@often
@given(snapshots())
def test_every_worker_takes_a_legal_step_and_one_at_most(snapshot: Snapshot) -> None:
    plan = decide(snapshot, now_s=NOW_S)
    before = {worker.worker_id: worker.rental.state for worker in snapshot.workers}
    steps = [(before[w.worker_id], w.rental.state) for w in _after(snapshot, plan) if w.worker_id in before]
    acted = Counter(getattr(action, "worker_id", None) for action in plan.actions if hasattr(action, "worker_id"))

    assert all(old is new or new in NEXT[old] for old, new in steps)
    assert all(count == 1 for count in acted.values())


@often
@given(snapshots())
def test_the_same_snapshot_gives_the_same_plan_after_a_trip_through_its_record(snapshot: Snapshot) -> None:
    replayed = from_json(json.loads(json.dumps(to_json(snapshot))))

    assert replayed == snapshot
    assert decide(replayed, now_s=NOW_S) == decide(snapshot, now_s=NOW_S)


@often
@given(snapshots(listed=False))
def test_without_a_list_nothing_follows_from_an_absence(snapshot: Snapshot) -> None:
    plan = decide(snapshot, now_s=NOW_S)
    destroying = {worker.worker_id for worker in snapshot.workers if worker.rental.state is WorkerState.DESTROYING}
    asked = {action.worker_id for action in plan.actions if isinstance(action, ConfirmGone)}

    assert not any(isinstance(action, GiveUp) for action in plan.actions)
    assert asked <= destroying


@often
@given(snapshots())
def test_unknown_demand_releases_nothing_but_what_failed_or_breaks_a_ceiling(snapshot: Snapshot) -> None:
    roomy = replace(snapshot.group, max_workers=100, max_hourly_cost_micro_usd=10**9, endpoint_state=EndpointState.ACTIVE)
    unknown = replace(snapshot, group=roomy, state=ScalerState(), autogroups=())
    plan = decide(unknown, now_s=NOW_S)
    faultless = [action for action in plan.actions if isinstance(action, Destroy) and action.fault is None]
    states = {worker.worker_id: worker.rental.state for worker in unknown.workers}
    ended = {WorkerState.DRAINING, WorkerState.STOPPING, WorkerState.STOPPED}

    assert all(action.reason in _forced(unknown) for action in plan.actions if isinstance(action, Drain))
    assert all(states[action.worker_id] in ended for action in faultless)


def _forced(snapshot: Snapshot) -> set[str | None]:
    """Return why a worker may be drained whatever is asked: the marketplace has stopped it, or it is not what was offered."""
    listing = index(snapshot.listing or ())
    seen = [(worker, listing.of(worker)) for worker in snapshot.workers]
    wrong = {mismatch(worker.rental, instance) for worker, instance in seen if instance is not None}
    return {"the marketplace stopped it", *wrong}


@often
@given(snapshots())
def test_a_ready_worker_is_only_taken_away_at_once_when_it_failed(snapshot: Snapshot) -> None:
    ready = {worker.worker_id for worker in snapshot.workers if worker.rental.state is WorkerState.READY}
    taken = [action for action in decide(snapshot, now_s=NOW_S).actions if isinstance(action, Destroy | Stop)]

    assert all(isinstance(action, Destroy) and action.fault is Fault.SERVICE for action in taken if action.worker_id in ready)


@often
@given(snapshots())
def test_a_draining_worker_is_only_taken_when_free_ended_failed_or_past_its_deadline(snapshot: Snapshot) -> None:
    draining = {worker.worker_id: worker for worker in snapshot.workers if worker.rental.state is WorkerState.DRAINING}
    listing = None if snapshot.listing is None else index(snapshot.listing)
    for action in decide(snapshot, now_s=NOW_S).actions:
        if not isinstance(action, Destroy | Stop) or action.worker_id not in draining:
            continue
        worker = draining[action.worker_id]
        instance = None if listing is None else listing.of(worker)
        ended = instance is not None and not instance.running
        late = NOW_S - worker.rental.state_since_s > drain_deadline_s(worker)
        failed = isinstance(action, Destroy) and action.fault is Fault.SERVICE

        assert is_free(worker, now_s=NOW_S) or late or failed or ended


@often
@given(hungry_snapshots())
def test_nothing_is_rented_that_was_not_on_offer_nor_more_than_one_machine_that_is_avoided(snapshot: Snapshot) -> None:
    avoided = {machine.machine_id for machine in snapshot.state.avoided if machine.until_s > NOW_S}
    rents = [action for action in decide(snapshot, now_s=NOW_S).actions if isinstance(action, Rent)]

    assert all(rent.offer in snapshot.offers[rent.autogroup] for rent in rents)
    assert not {rent.offer.machine_id for rent in rents} & avoided or len(rents) == 1
    assert len({rent.worker_id for rent in rents} | {w.worker_id for w in snapshot.workers}) == len(rents) + len(snapshot.workers)


@often
@given(hungry_snapshots())
def test_a_search_is_only_asked_for_where_its_offers_could_be_used(snapshot: Snapshot) -> None:
    wanted = decide(replace(snapshot, offers={}), now_s=NOW_S).wanted
    rented = {action.autogroup for action in decide(snapshot, now_s=NOW_S).actions if isinstance(action, Rent)}

    assert rented <= wanted


@often
@given(snapshots())
def test_a_suspended_group_asks_nothing_of_a_worker(snapshot: Snapshot) -> None:
    frozen = replace(snapshot, group=replace(snapshot.group, endpoint_state=EndpointState.SUSPENDED))

    assert not any(
        isinstance(action, Rent | Start | Stop | Drain | Undrain | Destroy) for action in decide(frozen, now_s=NOW_S).actions
    )


@often
@given(snapshots())
def test_a_stopped_group_starts_nothing(snapshot: Snapshot) -> None:
    stopped = replace(snapshot, group=replace(snapshot.group, endpoint_state=EndpointState.STOPPED))
    starting = {worker.worker_id for worker in snapshot.workers if worker.rental.state is WorkerState.STARTING}
    actions = decide(stopped, now_s=NOW_S).actions

    assert not any(isinstance(action, Rent | Undrain) for action in actions)
    assert all(action.worker_id in starting for action in actions if isinstance(action, Start))


@often
@given(snapshots())
def test_dismantling_touches_every_held_worker_that_it_can_name(snapshot: Snapshot) -> None:
    plan = dismantle(snapshot, now_s=NOW_S)
    named = {worker.worker_id for worker in _held(snapshot.workers) if worker.rental.instance_id is not None}
    acted = {action.worker_id for action in plan.actions if isinstance(action, Destroy | ConfirmGone)}

    assert named <= acted


@often
@given(snapshots(), schedules())
def test_a_decision_under_schedules_is_the_one_on_the_group_as_they_have_it(
    snapshot: Snapshot, by_name: Mapping[str, Schedule]
) -> None:
    scheduled = replace(snapshot, group=replace(snapshot.group, schedules=by_name))
    as_it_is = replace(snapshot, group=replace(in_force(scheduled.group, now_s=NOW_S).group, schedules={}))

    assert decide(scheduled, now_s=NOW_S).actions == decide(as_it_is, now_s=NOW_S).actions
    assert as_it_is.group.max_workers <= snapshot.group.max_workers
    assert as_it_is.group.max_hourly_cost_micro_usd <= snapshot.group.max_hourly_cost_micro_usd
