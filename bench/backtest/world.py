"""The judge of the backtest: one trace, one fleet, one policy that asks for machines, everything else the same for everybody.

Events in order of time: a request arrives, ends, or gives up; a machine becomes ready; the policy looks. The router is the same
for all: least expected completion among machines where the wait for a slot is at most `max_queue_time_s`, else one queue in order
of arrival. A request *waits* from its arrival until a machine begins it; one that has queued for `patience_s` is dropped. A machine
that is destroyed while it serves loses the work: its requests queue anew, in front, and begin when they begin again.

Luck is the machine's, not the policy's: the boots of the n-th machine that is rented are drawn from the seed and n, so that two
policies that rent alike meet alike. A machine whose start is refused has lost its GPUs to someone else: no later start succeeds,
and its storage bills until it is destroyed.

Conservation: every request of the trace ends in exactly one of served, dropped (tests/bench/test_backtest.py).
"""

from __future__ import annotations

import enum
import heapq
import math
import random
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from bench.backtest.bill import Bill
from bench.backtest.machines import Boots, Machine
from bench.backtest.station import Station
from bench.backtest.trace import Arrival, Trace

WAKE_AFTER_S: Final = 0.5  # how long a router's call takes to make the scaler look
DRAIN_AFTER_END_S: Final = 3_600.0
MACHINES_MAX: Final = 1_000_000  # of one run, so that no two seeds share a machine's luck
ENDS_TOGETHER_S: Final = 1e-9  # what floating point makes of one moment


class State(enum.StrEnum):
    """Where a machine stands, as the marketplace and its own reports tell it."""

    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(slots=True, eq=False)
class Unit:
    """One rented machine. `boot_began_s` is when it was last rented or started; `taken`: its GPUs serve someone else."""

    number: int
    kind: Machine
    state: State
    boot_began_s: float
    station: Station
    rng: random.Random
    taken: bool = False
    version: int = 0  # raised whenever its state changes: what was to happen to it no longer does
    ends_at_s: float = math.inf  # when it is next looked at for a request that ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for every policy alike."""

    machine: Machine = field(default_factory=Machine)
    boots: Boots = field(default_factory=Boots)
    max_queue_time_s: float = 30.0
    patience_s: float = 600.0
    begin_ready: int = 0  # machines that serve when the trace begins: a trace of an hour is an excerpt, not a launch
    seed: int = 1


class Policy(Protocol):
    """Decides how many machines there are."""

    name: str

    def look(self, world: World) -> float:
        """Ask for whatever is wanted (`rent`, `start`, `drain`, ...) and return in how many seconds to look again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The fleet and the demand as a policy left them at one look."""

    at_s: float
    ready: int
    booting: int
    leaving: int
    stopped: int
    waiting: int

    @property
    def running(self) -> int:
        """How many machines bill their GPU."""
        return self.ready + self.booting + self.leaving


@dataclass(slots=True, eq=False)
class Served:
    """What became of the requests, by their number in the trace. NaN: not (yet)."""

    began_s: list[float]
    dropped: set[int] = field(default_factory=set)
    moved: int = 0


class World:
    """One run. The methods that a policy may use stand first."""

    def __init__(self, trace: Trace, policy: Policy, rules: Rules) -> None:
        self.rules = rules
        self.now_s = 0.0
        self.units: list[Unit] = []
        self.waiting: deque[int] = deque()
        self.waiting_load = 0.0
        self.arrived_load = 0.0
        self.bill = Bill()
        self.served = Served(began_s=[math.nan] * len(trace.arrivals))
        self.history: list[Moment] = []
        self.trace = trace
        self._policy = policy
        self._ready: list[Unit] = []
        self._requeued_at_s: dict[int, float] = {}
        self._counts = dict.fromkeys(State, 0)
        self._events: list[tuple[float, int, str, Unit | None, int]] = []
        self._sequence = 0
        self._looking_at_s = math.inf
        self._made = 0

    def arrival(self, request: int) -> Arrival:
        """Return a request of the trace."""
        return self.trace.arrivals[request]

    def count(self, *states: State) -> int:
        """Return how many machines are in one of these states."""
        return sum(self._counts[state] for state in states)

    def in_flight(self) -> int:
        """Return how many requests machines hold."""
        return sum(unit.station.in_flight for unit in self.units)

    def rent(self) -> Unit:
        """Rent a machine; it bills from now on, and is ready after a boot, or never."""
        unit = self._made_unit()
        if unit.rng.random() >= self.rules.boots.never_ready:
            self._later(self.rules.boots.new.draw_s(unit.rng), "ready", unit)
        return unit

    def start(self, unit: Unit) -> bool:
        """Start a stopped machine; False if its GPUs are taken."""
        unit.taken = unit.taken or unit.rng.random() < self.rules.boots.unavailable
        if unit.taken:
            return False
        self._turn(unit, State.BOOTING, unit.kind.running_micro_usd_per_hour)
        unit.boot_began_s = self.now_s
        self._later(self.rules.boots.started.draw_s(unit.rng), "ready", unit)
        return True

    def drain(self, unit: Unit) -> None:
        """Give a ready machine nothing new."""
        self._turn(unit, State.DRAINING)

    def undrain(self, unit: Unit) -> None:
        """Give it requests again."""
        self._turn(unit, State.READY)
        self._place_waiting()

    def stop(self, unit: Unit) -> None:
        """Stop a machine; its storage goes on billing."""
        self._requeue(unit)
        self._turn(unit, State.STOPPING)
        self._later(self.rules.boots.stopping_s, "stopped", unit)

    def destroy(self, unit: Unit) -> None:
        """Destroy a machine in any state."""
        self._requeue(unit)
        self._turn(unit, State.GONE, 0)
        self.units.remove(unit)

    def run(self) -> World:
        """Play the trace to its end and until everything in it is served or dropped."""
        for _ in range(self.rules.begin_ready):
            self._turn(self._made_unit(), State.READY)
        self._push(self.trace.judged_from_s, "judge", None, 0)
        self._look_in(0.0)
        arrivals = self.trace.arrivals
        index, end_s = 0, self.trace.duration_s
        while True:
            event_s = self._events[0][0] if self._events else math.inf
            if index < len(arrivals) and arrivals[index].at_s <= event_s:
                self.now_s = arrivals[index].at_s
                self._arrive(index)
                index += 1
                continue
            done = index == len(arrivals) and not self.waiting and not self.in_flight()
            if event_s == math.inf or (done and event_s > end_s) or event_s > end_s + DRAIN_AFTER_END_S:
                break
            self._happen()
        self.now_s = max(self.now_s, end_s)
        self._drop_rest()
        self.bill.close(now_s=self.now_s)
        return self

    def _made_unit(self) -> Unit:
        kind = self.rules.machine
        station = Station(perf=kind.perf, stream_perf=kind.stream_perf, slots=kind.slots)
        unit = Unit(
            number=self._made,
            kind=kind,
            state=State.BOOTING,
            boot_began_s=self.now_s,
            station=station,
            rng=random.Random(self.rules.seed * MACHINES_MAX + self._made),
        )
        self._made += 1
        self._counts[State.BOOTING] += 1
        self.units.append(unit)
        self.bill.price(unit.number, kind.running_micro_usd_per_hour, now_s=self.now_s)
        return unit

    def _happen(self) -> None:
        self.now_s, _, what, unit, version = heapq.heappop(self._events)
        if unit is None:
            if what == "judge":
                self.bill.begin(now_s=self.now_s)
                self.history.clear()
            elif self.now_s == self._looking_at_s:
                self._look()
            return
        if what == "end":
            self._maybe_end(unit)
            return
        if version != unit.version:
            return
        match what:
            case "ready":
                self._turn(unit, State.READY)
                self._place_waiting()
            case "stopped":
                self._turn(unit, State.STOPPED, unit.kind.stopped_micro_usd_per_hour)
            case _:
                raise AssertionError(what)

    def _look(self) -> None:
        self._looking_at_s = math.inf
        self._give_up()
        next_s = self._policy.look(self)
        self.history.append(self._moment())
        self._look_in(next_s)

    def _look_in(self, delay_s: float) -> None:
        at_s = self.now_s + delay_s
        if at_s < self._looking_at_s:
            self._looking_at_s = at_s
            self._push(at_s, "look", None, 0)

    def _arrive(self, request: int) -> None:
        load = self.trace.arrivals[request].load
        self.arrived_load += load
        if self.waiting or not self._place(request):
            self.waiting.append(request)
            self.waiting_load += load
            self._look_in(WAKE_AFTER_S)

    def _place(self, request: int) -> bool:
        load = self.trace.arrivals[request].load
        best, best_s = None, math.inf
        for unit in self._ready:
            station = unit.station
            backlog = station.backlog(self.now_s)
            expected_s = (backlog + load) / station.perf
            if expected_s < best_s and station.wait_s() <= self.rules.max_queue_time_s:
                best, best_s = unit, expected_s
                if not backlog:  # all machines are alike: none completes it sooner
                    break
        if best is None:
            return False
        if best.station.admit(request, load, self.now_s):
            self.served.began_s[request] = self.now_s
        self._look_for_end(best)
        return True

    def _place_waiting(self) -> None:
        while self.waiting:
            request = self.waiting[0]
            if self._gives_up(request):
                self._drop(self.waiting.popleft())
                continue
            if not self._place(request):
                return
            self.waiting.popleft()
            self.waiting_load -= self.trace.arrivals[request].load

    def _maybe_end(self, unit: Unit) -> None:
        """End what ends now. What was admitted since may have put it off."""
        if self.now_s != unit.ends_at_s:
            return
        unit.ends_at_s = math.inf
        if unit.station.next_end_s() <= self.now_s + ENDS_TOGETHER_S:
            _, begun = unit.station.end_one(self.now_s)
            if begun is not None:
                self.served.began_s[begun] = self.now_s
        self._look_for_end(unit)
        if self.waiting and unit.state is State.READY:
            self._place_waiting()

    def _give_up(self) -> None:
        while self.waiting and self._gives_up(self.waiting[0]):
            self._drop(self.waiting.popleft())

    def _gives_up(self, request: int) -> bool:
        queued_at_s = self._requeued_at_s.get(request, self.trace.arrivals[request].at_s)
        return self.now_s - queued_at_s > self.rules.patience_s

    def _drop_rest(self) -> None:
        while self.waiting:
            self._drop(self.waiting.popleft())
        for unit in self.units:
            self._requeue(unit)
        while self.waiting:
            self._drop(self.waiting.popleft())

    def _drop(self, request: int) -> None:
        self.waiting_load -= self.trace.arrivals[request].load
        self.served.dropped.add(request)

    def _requeue(self, unit: Unit) -> None:
        for request in sorted(unit.station.empty(), reverse=True):
            self.served.moved += 1
            self.served.began_s[request] = math.nan
            self._requeued_at_s[request] = self.now_s
            self.waiting.appendleft(request)
            self.waiting_load += self.trace.arrivals[request].load

    def _turn(self, unit: Unit, state: State, micro_usd_per_hour: int | None = None) -> None:
        self._counts[unit.state] -= 1
        self._counts[state] += 1
        if unit.state is State.READY:
            self._ready.remove(unit)
        if state is State.READY:
            insort(self._ready, unit, key=lambda one: one.number)
        unit.state = state
        unit.version += 1
        if micro_usd_per_hour is not None:
            self.bill.price(unit.number, micro_usd_per_hour, now_s=self.now_s)

    def _moment(self) -> Moment:
        return Moment(
            at_s=self.now_s,
            ready=self._counts[State.READY],
            booting=self._counts[State.BOOTING],
            leaving=self.count(State.DRAINING, State.STOPPING),
            stopped=self._counts[State.STOPPED],
            waiting=len(self.waiting),
        )

    def _look_for_end(self, unit: Unit) -> None:
        at_s = max(unit.station.next_end_s(), self.now_s)
        if at_s < unit.ends_at_s:
            unit.ends_at_s = at_s
            self._push(at_s, "end", unit, 0)

    def _later(self, delay_s: float, what: str, unit: Unit) -> None:
        self._push(self.now_s + delay_s, what, unit, unit.version)

    def _push(self, at_s: float, what: str, unit: Unit | None, version: int) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (at_s, self._sequence, what, unit, version))
