"""Large plans: in which order they are carried out, how many calls they take, and where they stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from functions.core.lifecycle import HELD, WorkerState
from functions.core.model import Worker
from functions.core.plan import Cadence, ConfirmGone, Destroy, Drain, MarkReady, Plan, Rent, Start, Stop
from functions.core.scaler_state import ScalerState
from functions.ports import DESTROYED_AT_ONCE_MAX, InstanceGone
from functions.scale.apply import Outcome, Result
from functions.scale.release import ReleaseIncomplete, release_group
from functions.scale.tick import act
from functions.scale.together import batches
from functions.scale.turn import ScalePorts, ScaleSettings, Tenure, Turn
from tests.core.builders import NOW_S, PREFIX, a_group, a_snapshot, a_worker, an_instance, an_offer, worker_id
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore

PAUSE_S: Final = 3.0
STACK, ENDPOINT = PREFIX.split("/")[1:3]
SETTINGS: Final = ScaleSettings(stack=STACK, report_url="https://report.test", worker_token_secret=b"x" * 32)
_S = WorkerState


@dataclass
class SlowMarketplace:
    """Every call takes the documented pause. `stubborn` ones are never gone."""

    clock: FakeClock
    live: set[int]
    stubborn: frozenset[int] = frozenset()
    calls: list[str] = field(default_factory=list)

    def instances(self, _prefix: str) -> list[Any]:
        """List."""
        return [replace(an_instance(each), label=PREFIX + worker_id(each)) for each in sorted(self.live)]

    def instance(self, instance_id: int) -> Any:
        """Show one."""
        self._pause("instance")
        return an_instance(instance_id) if instance_id in self.live else None

    def destroy(self, instance_id: int) -> None:
        """Destroy one."""
        self._pause("destroy")
        self._destroy([instance_id])

    def destroy_all(self, instance_ids: Sequence[int]) -> None:
        """Destroy several."""
        assert len(instance_ids) <= DESTROYED_AT_ONCE_MAX
        self._pause("destroy_all")
        self._destroy(instance_ids)

    def stop(self, _instance_id: int) -> None:
        """Stop."""
        self._pause("stop")

    def _destroy(self, instance_ids: Sequence[int]) -> None:
        if not self.live & set(instance_ids):
            raise InstanceGone("none of them")
        self.live -= set(instance_ids) - self.stubborn

    def _pause(self, call: str) -> None:
        self.calls.append(call)
        self.clock.advance(PAUSE_S)


@dataclass
class Desk:
    """A group of so many workers, and a scaler's turn at it."""

    count: int
    state: WorkerState = _S.READY
    stubborn: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Store the group."""
        self.clock, self.store = FakeClock(NOW_S), MemoryStore()
        self.marketplace = SlowMarketplace(self.clock, set(range(1, self.count + 1)), self.stubborn)
        self.ports: Any = ScalePorts(store=self.store, marketplace=self.marketplace, clock=self.clock)  # type: ignore[arg-type]
        self.store.put_group(a_group(max_workers=10_000))
        lease = self.store.acquire_lease(ENDPOINT, owner="before", now_s=NOW_S, duration_s=1.0)
        assert lease is not None
        self.workers = [a_worker(number, self.state) for number in range(1, self.count + 1)]
        for worker in self.workers:
            self.store.put_rental(lease, worker.worker_id, worker.rental)
        self.store.release_lease(lease)

    def act(self, *actions: Any, seconds: float) -> tuple[Outcome, ...]:
        """Carry out a plan within so many seconds."""
        now_s = self.clock.now_s()
        lease = self.store.acquire_lease(ENDPOINT, owner="me", now_s=now_s, duration_s=75.0)
        assert lease is not None
        tenure = Tenure(lease, store=self.store, clock=self.clock)
        turn = Turn(tenure=tenure, ports=self.ports, settings=SETTINGS, deadline_s=now_s + seconds)
        plan = Plan(actions=actions, sentences=("So.",), facts={}, state=ScalerState(), cadence=Cadence.BUSY)
        done = act(replace(a_snapshot(), workers=tuple(self.store.fleet(ENDPOINT).values())), plan, turn)
        tenure.end()
        return done

    def release(self, seconds: float) -> int:
        """Give the group up."""
        return release_group(ENDPOINT, owner="me", ports=self.ports, settings=SETTINGS, deadline_s=self.clock.now_s() + seconds)

    def in_state(self, *states: WorkerState) -> list[Worker]:
        """Return the workers in one of these states."""
        return [worker for worker in self.store.fleet(ENDPOINT).values() if worker.rental.state in states]


def destroys(numbers: Sequence[int]) -> list[Destroy]:
    return [Destroy(worker_id=worker_id(number), instance_id=number, reason="surplus") for number in numbers]


def confirms(numbers: Sequence[int]) -> list[ConfirmGone]:
    return [ConfirmGone(worker_id=worker_id(number), instance_id=number, reason="destroyed") for number in numbers]


def test_what_brings_capacity_comes_before_what_takes_it_away() -> None:
    workers = {worker_id(number): a_worker(number) for number in range(1, 6)}
    actions = (
        Stop(worker_id=worker_id(1), instance_id=1, reason="surplus"),
        Rent(worker_id=worker_id(9), autogroup="a", offer=an_offer(9), reason="missing"),
        Drain(worker_id=worker_id(2), to=_S.STOPPING, reason="surplus"),
        Start(worker_id=worker_id(3), instance_id=3, reason="missing"),
        MarkReady(worker_id=worker_id(4), reason="measured"),
    )

    assert [type(action) for batch in batches(actions, workers) for action in batch] == [Drain, MarkReady, Start, Rent, Stop]


def test_many_are_destroyed_in_few_calls_after_every_intent_is_written() -> None:
    desk = Desk(150)
    outcomes = desk.act(*destroys(range(1, 151)), seconds=60.0)

    assert {outcome.result for outcome in outcomes} == {Result.DONE}
    assert desk.marketplace.calls == ["destroy_all"] * 3
    assert len(desk.in_state(_S.DESTROYING)) == 150


def test_many_are_confirmed_in_few_calls() -> None:
    desk = Desk(150, _S.DESTROYING)
    desk.marketplace.live.clear()
    outcomes = desk.act(*confirms(range(1, 151)), seconds=60.0)

    assert {outcome.result for outcome in outcomes} == {Result.GONE}
    assert desk.marketplace.calls == ["destroy_all"] * 3
    assert len(desk.in_state(_S.DESTROYED)) == 150


def test_one_that_will_not_go_keeps_no_other_in_doubt() -> None:
    desk = Desk(64, _S.DESTROYING, stubborn=frozenset({17}))
    desk.marketplace.live = {17}
    desk.act(*confirms(range(1, 65)), seconds=60.0)

    assert [worker.worker_id for worker in desk.in_state(*HELD)] == [worker_id(17)]
    assert len(desk.marketplace.calls) <= 2 * 7


def test_a_machine_that_was_not_meant_to_go_is_asked_about_and_never_destroyed() -> None:
    desk = Desk(2)
    desk.act(*confirms([1, 2]), seconds=60.0)

    assert desk.marketplace.calls == ["instance", "instance"]
    assert desk.marketplace.live == {1, 2}


def test_a_plan_of_two_thousand_stops_at_its_deadline_and_the_next_goes_on() -> None:
    desk = Desk(2_000)
    stops = [Stop(worker_id=worker_id(number), instance_id=number, reason="surplus") for number in range(1, 2_001)]
    desk.store._of(ENDPOINT).workers = {  # noqa: SLF001 - a fleet that has drained
        each.worker_id: replace(each, rental=replace(each.rental, state=_S.DRAINING, drain_to=_S.STOPPING)) for each in desk.workers
    }
    began_s = desk.clock.now_s()
    first = desk.act(*stops, seconds=57.0)
    overrun_s = desk.clock.now_s() - began_s - 57.0
    second = desk.act(*stops[len(first) :], seconds=57.0)

    assert len(first) == len(second) == 19
    assert overrun_s <= PAUSE_S
    assert len(desk.in_state(_S.STOPPING)) == 38


def test_a_thousand_machines_are_released_and_confirmed_within_one_invocation() -> None:
    desk = Desk(1_000)

    assert desk.release(seconds=280.0) == 1_000
    assert desk.in_state(*HELD) == []


def test_what_could_not_be_confirmed_is_named_and_nothing_else() -> None:
    desk = Desk(200, stubborn=frozenset({7, 150}))

    with pytest.raises(ReleaseIncomplete) as failed:
        desk.release(seconds=280.0)
    assert failed.value.instances == (7, 150)
