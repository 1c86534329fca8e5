"""A policy that knows the whole trace and nothing of the boots: what can be had in this judge, beside a bound of what cannot.

Beforehand it reckons, in slots of SLOT_S, how many machines are needed if each is kept as full as its batch allows: the load in
flight may be what `fill` of the slots hold, and what exceeds that asks for another machine. Then it looks ahead:

* a machine is started when it is needed within `started` p95, and rented, to be stopped again, when it is needed within `new` p95;
* one that is needed again within KEPT_S goes on running, one that is needed within POOLED_S is stopped and not destroyed (from what
  starting, renting and storing cost).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.backtest.machines import Duration, Machine
from bench.backtest.policies.steering import start, take_back
from bench.backtest.trace import Trace
from bench.backtest.world import State, Unit, World

SLOT_S: Final = 5.0
KEPT_S: Final = 150.0
POOLED_S: Final = 3 * 3_600.0
GIVEN_UP_S: Final = 900.0
SURE: Final = 0.95  # of boots are done within the lead
SPARE: Final = 1.1  # of what is rented some is never ready


@dataclass(slots=True)
class Clairvoyant:
    """`fill`: how much of its slots a machine may have full; less is dearer and waits less."""

    fill: float = 0.6
    name: str = "clairvoyant"
    _needed: dict[str, list[int]] = field(default_factory=dict)
    _started: list[Unit] = field(default_factory=list)

    def look(self, world: World) -> float:
        """Compare what there is with what will be needed."""
        if not self._needed:
            self._foresee(world)
        slot = int(world.now_s // SLOT_S)
        soon, kept, rented, pooled = (self._needed[horizon][min(slot, len(self._needed["soon"]) - 1)] for horizon in _HORIZONS)
        soon = max(soon, 1 if world.waiting else 0)  # what boots too slowly all the same leaves nobody waiting
        self._clear(world, pooled)
        self._grow(world, soon)
        held = len(world.units)
        for _ in range(math.ceil(rented * SPARE) - held if rented > held else 0):
            world.rent()
        self._shrink(world, max(soon, kept))
        return SLOT_S

    def _foresee(self, world: World) -> None:
        needed = machines_needed(world.trace, world.rules.machine, fill=self.fill)
        boots = world.rules.boots
        ahead_s = (_sure_s(boots.started), KEPT_S, _sure_s(boots.new), POOLED_S)
        self._needed = {name: _highest(needed, math.ceil(s / SLOT_S)) for name, s in zip(_HORIZONS, ahead_s, strict=True)}

    def _clear(self, world: World, pooled: int) -> None:
        for unit in list(world.units):
            if unit.state is State.BOOTING and world.now_s - unit.boot_began_s > GIVEN_UP_S:
                world.destroy(unit)
            elif unit.state is State.DRAINING and not unit.station.in_flight:
                world.stop(unit)
        stopped = [unit for unit in world.units if unit.state is State.STOPPED]
        for unit in stopped[: max(0, len(world.units) - math.ceil(pooled * SPARE))]:
            world.destroy(unit)

    def _grow(self, world: World, soon: int) -> None:
        """Take back what drains, then start what is stopped. What was rented counts once nothing is stopped: it may take long."""
        missing = soon - world.count(State.READY) - sum(unit.state is State.BOOTING for unit in self._started)
        missing -= len(take_back(world, missing))
        started = start(world, missing)
        self._started += started
        missing -= len(started)
        self._started = [unit for unit in self._started if unit.state is State.BOOTING]
        for _ in range(missing - (world.count(State.BOOTING) - len(self._started))):
            world.rent()

    def _shrink(self, world: World, kept: int) -> None:
        ready = sorted((unit for unit in world.units if unit.state is State.READY), key=_in_flight)
        for unit in ready[: max(0, len(ready) - kept)]:
            world.drain(unit)


_HORIZONS: Final = ("soon", "kept", "rented", "pooled")


def machines_needed(trace: Trace, machine: Machine, *, fill: float) -> list[int]:
    """Return, slot by slot, how many machines keep the load in flight within what they hold."""
    loads = [0.0] * (int(trace.duration_s // SLOT_S) + 1)
    for arrival in trace.arrivals:
        loads[min(len(loads) - 1, int(arrival.at_s // SLOT_S))] += arrival.load
    remaining = trace.load / len(trace.arrivals) / 2  # of a request in service, on average
    held = fill * machine.slots * remaining + SLOT_S * machine.perf
    needed: list[int] = []
    flying = 0.0
    for load in loads:
        flying += load
        machines = math.ceil(flying / held)
        needed.append(machines)
        flying -= SLOT_S * min(machines * machine.perf, flying / remaining * machine.stream_perf)
        flying = 0.0 if flying < remaining / 100 else flying
    return needed


def _highest(values: Sequence[int], ahead: int) -> list[int]:
    """Return for each place the highest value from it on, over so many."""
    best: deque[int] = deque()
    found = [0] * len(values)
    for place in range(len(values) - 1, -1, -1):
        while best and values[best[-1]] <= values[place]:
            best.pop()
        best.append(place)
        if best[0] > place + ahead:
            best.popleft()
        found[place] = values[best[0]]
    return found


def _sure_s(duration: Duration) -> float:
    """Return how long a boot takes at most, in SURE of all cases."""
    limit_s = 1.0
    while duration.within(limit_s)[0] < SURE:
        limit_s *= 1.02
    return limit_s


def _in_flight(unit: Unit) -> int:
    return unit.station.in_flight
