"""A scaler may die between any two effects, or be one of two: nothing is rented twice, nothing is left behind.

For every k: the process dies at its k-th port call, once before the call and once after it, while a worker is rented for a request
that waits, or released again. Whatever k is, the life then goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.ports import LeaseLost
from functions.scale.service import keep_scaled
from functions.scale.turn import ScalePorts
from sandbox.marketplace.faults import Operation
from tests.scale.stage import ENDPOINT, TICK_S, Stage

CALLS_MAX = 40


class Crash(BaseException):
    """The process dies."""


@dataclass(slots=True)
class Fuse:
    """Burns at the k-th port call; afterwards the process is dead, and nothing it calls happens."""

    calls_left: int
    after_the_effect: bool
    burnt: bool = False

    def wrap(self, port: Any) -> Any:
        """Return the port as a process sees it that will die."""
        return _Mortal(port, self)

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make one call, or die at it."""
        if self.burnt:
            raise Crash
        self.calls_left -= 1
        self.burnt = self.calls_left < 0
        if self.burnt and not self.after_the_effect:
            raise Crash
        answer = method(*args, **kwargs)
        if self.burnt:
            raise Crash
        return answer


class _Mortal:
    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port = port
        self._fuse = fuse

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)
        return lambda *args, **kwargs: self._fuse.call(method, *args, **kwargs)


def _live_with(fuse: Fuse, stage: Stage, duration_s: float) -> None:
    for number in range(int(duration_s / TICK_S)):
        stage.everyone_reports()
        try:
            # Every tick is another invocation, so another owner: the dead one's lease must run out first.
            stage.ticks(owner=f"invocation-{number}-{stage.clock.now_s()}", wrap=fuse.wrap)
        except Crash:
            fuse.burnt, fuse.calls_left = False, 1_000_000  # the next invocation is another process
            stage.clock.wait_s(TICK_S)


@pytest.mark.parametrize("after_the_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", range(CALLS_MAX))
def test_a_crash_while_renting_neither_rents_twice_nor_loses_the_worker(
    stage: Stage, calls: int, *, after_the_effect: bool
) -> None:
    fuse = Fuse(calls_left=calls, after_the_effect=after_the_effect)
    for _ in range(6):
        stage.somebody_waits()
        _live_with(fuse, stage, 60)
    held = [worker for worker in stage.workers() if worker.rental.state is not WorkerState.DESTROYED]

    assert [worker.rental.state for worker in held] == [WorkerState.READY]
    assert [worker.rental.instance_id for worker in held] == [contract.contract_id for contract in stage.contracts()]


@pytest.mark.parametrize("after_the_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", range(CALLS_MAX))
def test_a_crash_while_releasing_leaves_nothing_behind(stage: Stage, calls: int, *, after_the_effect: bool) -> None:
    stage.configure(inactivity_timeout=0.0)
    stage.somebody_waits()
    stage.run(100)
    stage.nobody_waits()
    while stage.workers()[0].rental.state is WorkerState.READY:
        stage.run(TICK_S)
    _live_with(Fuse(calls_left=calls, after_the_effect=after_the_effect), stage, 300)

    assert stage.contracts() == []
    assert {worker.rental.state for worker in stage.workers()} == {WorkerState.DESTROYED}


def test_of_two_scalers_at_once_one_acts(stage: Stage) -> None:
    stage.somebody_waits()
    ports = ScalePorts(store=stage.store, marketplace=stage.marketplace, clock=stage.clock)
    deadline_s = stage.clock.now_s() + 50
    first = keep_scaled(ENDPOINT, owner="first", ports=ports, settings=stage.settings, deadline_s=deadline_s)
    next(first)
    second = list(keep_scaled(ENDPOINT, owner="second", ports=ports, settings=stage.settings, deadline_s=deadline_s))

    assert second == []
    assert stage.world.plan.calls[Operation.CREATE] == 1


def test_the_scheduled_scaler_waits_for_its_turn_and_takes_over(stage: Stage) -> None:
    stage.somebody_waits()
    ports = ScalePorts(store=stage.store, marketplace=stage.marketplace, clock=stage.clock)
    deadline_s = stage.clock.now_s() + 300
    woken = keep_scaled(ENDPOINT, owner="woken", ports=ports, settings=stage.settings, deadline_s=deadline_s)
    next(woken)

    # The woken one never comes back: its lease has to run out.
    scheduled = keep_scaled(ENDPOINT, owner="scheduled", ports=ports, settings=stage.settings, deadline_s=deadline_s, patient=True)

    assert next(scheduled).snapshot.workers
    assert stage.world.plan.calls[Operation.CREATE] == 1


def test_a_scaler_that_was_overtaken_while_it_paused_acts_no_more(stage: Stage) -> None:
    class Sleepy:
        """A table whose load takes longer than the lease lasts; meanwhile another scaler does the work."""

        def __getattr__(self, name: str) -> Any:
            return getattr(stage.store, name)

        def load(self, endpoint: str) -> Any:
            records = stage.store.load(endpoint)
            stage.clock.wait_s(100.0)
            stage.somebody_waits()
            stage.ticks(owner="another")
            return records

    stage.somebody_waits()
    done = stage.ticks(owner="sleepy", wrap=lambda port: Sleepy() if port is stage.store else port)

    assert done == []
    assert len(stage.contracts()) == 1
    with pytest.raises(LeaseLost):
        stage.store.put_state(_stale_lease(stage), stage.store.scaler_state(ENDPOINT))


def _stale_lease(stage: Stage) -> Any:
    lease = stage.store.acquire_lease(ENDPOINT, owner="old", now_s=stage.clock.now_s(), duration_s=0.0)
    stage.clock.wait_s(1.0)
    stage.store.acquire_lease(ENDPOINT, owner="new", now_s=stage.clock.now_s(), duration_s=60.0)
    return lease
