"""The simulation notices deliberate bugs, and each invariant can fail: what is never violated by anything proves nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from functions.core import scaling
from functions.core.civil_time import Zone
from functions.core.cron import Cron
from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointState, Schedule, ScheduledParameters, Worker
from functions.core.plan import Action, Cadence, Destroy, GiveUp, Plan
from functions.route.call import Waiting
from functions.scale.tick import Tick
from protocol.ticket import Ticket
from tests.core.builders import NOW_S, a_snapshot, a_worker, an_instance, worker_id
from tests.simulation import mutants
from tests.simulation.episode import play
from tests.simulation.hostile import ENDPOINT, HostileWorld
from tests.simulation.invariants import Violated
from tests.simulation.invariants.knowledge import Knowledge
from tests.simulation.invariants.replays import Replays
from tests.simulation.mutants import CAUGHT_BY, Mutate

SEEDS_TRIED_MAX: Final = 20
# Where each was found first: tried first, since a seed's history changes with the code.
FOUND_BY: Final[Mapping[str, tuple[int, ...]]] = {
    "release_before_it_is_confirmed": (5, 13, 22),
    "repeat_a_create_after_a_timeout": (18, 22, 47),
    "go_on_without_the_lease": (10, 25, 36, 52),
    "believe_that_what_is_not_listed_is_gone": (5, 13, 22),
    "take_unknown_demand_for_none": (0, 2, 4),
    "wait_for_a_boot_for_ever": (1, 5, 25),
    "serve_whoever_asks_first": (37, 49, 7),
    "rent_without_counting_what_is_intended": (0, 7, 13),
    "heed_no_schedule": (0, 5, 7),
}
_S: Final = WorkerState
A_TICKET: Final = Ticket(
    url="http://203.0.113.7:1",
    endpoint=ENDPOINT,
    cost=1.0,
    reqnum=1,
    request_idx=1,
    worker_id="w0-a",
    assigned_load=1.0,
    issued_at=0,
    expires_at=2_000_000_000,
    key_id="k1",
)


@pytest.mark.parametrize("mutate", CAUGHT_BY, ids=lambda mutate: mutate.__name__)
def test_a_deliberate_bug_is_noticed_by_some_of_the_first_seeds(mutate: Mutate, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    seeds = dict.fromkeys((*FOUND_BY.get(mutate.__name__, ()), *range(SEEDS_TRIED_MAX)))

    assert any(re.search(CAUGHT_BY[mutate], _violation(seed)) for seed in seeds)


def _violation(seed: int) -> str:
    try:
        play(seed)
    except AssertionError as violated:  # what breaks an assertion of the code itself is noticed too
        return str(violated)
    return ""


@pytest.fixture
def serving() -> HostileWorld:
    """Return a calm world in which something serves."""
    world = HostileWorld(1)
    world.calm_down()
    world.live(rate_per_s=0.2, duration_s=600.0)
    return world


def an_orphan(world: HostileWorld) -> int:
    """Take a machine's record away, as a table that was restored to an earlier moment would have; return the machine's contract."""
    [contract, *_] = world.watch.scene.ours()
    worker = world.watch.scene.worker_of(contract)
    assert worker is not None
    del world.store._of(ENDPOINT).workers[worker.worker_id]  # noqa: SLF001 - no honest way leads there
    return contract.contract_id


def test_a_machine_that_the_table_has_lost_is_found_and_destroyed(serving: HostileWorld) -> None:
    orphan = an_orphan(serving)
    serving.live(rate_per_s=0.0, duration_s=120.0)

    assert orphan not in serving.world.contracts.live


def test_a_scaler_that_leaves_strays_alone_is_noticed(serving: HostileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    mutants.leave_strays_alone(monkeypatch)
    an_orphan(serving)

    with pytest.raises(Violated, match=r"seen, and let be|allowed"):
        serving.live(rate_per_s=0.0, duration_s=600.0)


def test_more_machines_than_allowed_are_noticed(serving: HostileWorld) -> None:
    [contract, *_] = serving.watch.scene.ours()
    group = serving.watch.scene.group()
    for number in range(group.max_workers + 1):
        serving.world.contracts.live[-number - 1] = contract

    with pytest.raises(Violated, match="contracts and 0 intents"):
        serving.watch.step()


def a_tick(*workers: Worker, actions: tuple[Action, ...], **seen: Any) -> Tick:
    """Return a tick that saw this and decided that."""
    snapshot = a_snapshot(*workers, **seen)
    plan = Plan(actions=actions, sentences=("So.",), facts={}, state=snapshot.state, cadence=Cadence.BUSY)
    return Tick(snapshot=snapshot, plan=plan, outcomes=(), decided_at_s=NOW_S, recorded=True)


def test_a_rent_that_is_given_up_without_a_list_is_noticed() -> None:
    done = a_tick(a_worker(1, _S.RENTING), actions=(GiveUp(worker_id=worker_id(1), reason="not listed"),), listing=None)

    with pytest.raises(Violated, match="without a list"):
        Knowledge().check(done)


def test_a_fleet_that_is_given_up_because_nobody_is_heard_is_noticed() -> None:
    silent = [_silent(a_worker(number)) for number in (1, 2)]
    actions = tuple(Destroy(worker_id=worker_id(number), instance_id=number, reason="silent") for number in (1, 2))
    listing = tuple(an_instance(number) for number in (1, 2))

    with pytest.raises(Violated, match="a silence that everybody keeps"):
        Knowledge().check(a_tick(*silent, actions=actions, listing=listing))


def test_a_worker_that_stays_in_passing_is_noticed(serving: HostileWorld) -> None:
    [name, worker] = next((name, each) for name, each in serving.watch.scene.workers().items() if each.rental.state is _S.READY)
    stuck = replace(worker, rental=replace(worker.rental, state=_S.STARTING, state_since_s=0.0))
    serving.store._of(ENDPOINT).workers[name] = stuck  # noqa: SLF001 - no honest way leads there

    with pytest.raises(Violated, match="has been starting"):
        serving.watch.progress.check()


def test_a_machine_that_is_not_what_was_asked_for_is_noticed_in_time(serving: HostileWorld) -> None:
    [contract, *_] = serving.watch.scene.ours()
    contract.order = replace(contract.order, bid_micro_usd_per_hour=1 if not contract.is_bid else None)
    contract.created_us = 0

    with pytest.raises(Violated, match="not what was asked for"):
        serving.watch.strangers.check(a_tick(actions=()))


def test_a_ticket_that_is_taken_after_its_end_is_noticed(serving: HostileWorld) -> None:
    process = next(each for each in serving.machines.processes.values() if each.reachable)
    expired = replace(A_TICKET, worker_id=process.worker_id, expires_at=int(serving.clock.now_s()) - 61)

    with pytest.raises(Violated, match="had expired"):
        serving.watch.requests.accepted(process, expired)


def test_a_ticket_of_another_worker_is_noticed(serving: HostileWorld) -> None:
    process = next(each for each in serving.machines.processes.values() if each.reachable)

    with pytest.raises(Violated, match="took a ticket of"):
        serving.watch.requests.accepted(process, A_TICKET)


def test_a_decision_without_a_reason_is_noticed(serving: HostileWorld) -> None:
    [record, *_] = serving.store.decisions(ENDPOINT)

    with pytest.raises(Violated, match="does not say why"):
        Replays().check(replace(record, sentences=()))


def test_a_request_that_is_not_told_why_it_waits_is_noticed(serving: HostileWorld) -> None:
    silent = Waiting(endpoint=ENDPOINT, request_idx=7, status=" ", waiting_ahead=0)

    with pytest.raises(Violated, match="not told why"):
        serving.watch.order.waits(silent, cost=1.0, since_s=0.0)


EVERY_MINUTE: Final = Cron(text="* * * * ? *")


def with_schedule(world: HostileWorld, **sets: Any) -> None:
    """Let a schedule set this in every minute."""
    schedule = Schedule(cron=EVERY_MINUTE, zone=Zone(), sets=ScheduledParameters(**sets))
    world.store.put_group(replace(world.watch.scene.group(), schedules={"always": schedule}))


def test_a_ticket_of_a_group_that_a_schedule_has_stopped_is_noticed(serving: HostileWorld) -> None:
    with_schedule(serving, endpoint_state=EndpointState.STOPPED)

    with pytest.raises(Violated, match="stop the group"):
        serving.watch.assigned(A_TICKET, since_s=0.0)


def test_what_stays_over_a_ceiling_that_a_schedule_has_lowered_is_noticed(serving: HostileWorld) -> None:
    with_schedule(serving, max_hourly_cost_micro_usd=1)
    serving.watch.scheduled.over_since_s = 1.0

    with pytest.raises(Violated, match="more is held than is in force"):
        serving.watch.scheduled.check(a_tick(actions=()))


def test_a_machine_that_still_runs_when_nothing_is_asked_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "release", lambda *_args: ())

    assert any("what nobody asks for is not run" in _violation(seed) for seed in (1, 2, 4, 5, 7, 8))


def _silent(worker: Worker) -> Worker:
    return replace(worker, condition=replace(worker.condition, reported_at_s=NOW_S - 100))
