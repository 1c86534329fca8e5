"""A lower bound on what any policy pays in this judge for a stated service, by linear program.

The program knows the whole trace, buys fractions of machines, and moves work about as no router could. Its value is no more than
the expected bill of any policy that begins at least `share` of the requests within TARGET_S seconds and drops at most `dropped` of
them. Each relaxation and each tightening, and why it holds (X(t): the machines that serve; c: the price of a running machine;
perf, stream, slots: the machine's):

*Averages.* X is what a run began with, plus what came into service, less what left it. Averaged over each interval of a partition,
and over the luck of the boots, these are not negative, the balance holds, and the two sums only grow. So a run is a feasible
point, and its expected bill is no less than the objective, if every price below is no more than what is billed.

*Boots.* A machine bills while it boots, and whoever decides when to give it up does not know when it would be ready. For any such
rule E[time billed] >= b * P(ready), where b is the least of E[min(boot, T)] / P(boot <= T) over all T (a Gittins index: machines
are independent, so watching others does not help). So a machine that comes into service has cost b * c at least; for new ones b
counts those that never become ready, for stopped ones it runs from the start, and their stopping was billed as well.

*Work.* A request that begins within TARGET_S ends on the same machine, where it gets at least perf / slots and at most `stream`. So
the work done by time t is at least the sum, over requests in time, of min(load, perf / slots * (t - arrival - TARGET_S)); at most
the same sum over all requests with `stream` and without the target; and it grows by at most perf * X. Lateness is bought: at most
(1 - share) of the requests are late, and each takes its whole load out of the first sum; in each interval the largest go first
(a concave sum, rounded up in segments). In the end all work is done but that of the largest `dropped` requests.

*Presence.* Machines come in ones. Let Y(t) be the largest X within [t, t + TARGET_S]. Its integral exceeds that of X by at most
TARGET_S for each machine that comes into service, so Y may stand for X if each of these is refunded TARGET_S * c (where boots are
so short that nothing would be left of their price, this part is left out). A request in time is in service from some moment
within TARGET_S of its arrival, for load / stream seconds at least: so Y >= 1 from its arrival on for as long. Between two such
stretches Y may fall to zero, but then a machine must come into service, at the price of keeping one for `gap_s`: shorter gaps may
be taken as kept. A request that is late takes away at most the stretch that is assigned to it, and the two gaps beside it.

What is ignored only makes real bills larger: whole machines, queues, refused starts, the pause between two looks. An excerpt begins
with whatever its policy holds by then, so the program may begin with as many machines as it likes, for nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

from bench.backtest.figures import TARGET_S
from bench.backtest.kinds import DROPPED_MAX
from bench.backtest.machines import Boots, Duration, Machine
from bench.backtest.trace import EXCERPT_S, Trace
from bench.backtest.world import Rules

Vector: TypeAlias = NDArray[np.float64]
INTERVALS_MAX: Final = 5_040  # two minutes each of a week
INTERVAL_S_MIN: Final = 20.0
SEGMENTS_DIVISORS: Final = (1_000_000_000, 8, 2, 1)  # the largest request, then an eighth of them, a half, all
_DEADLINES: Final = np.geomspace(1.0, 100_000.0, 4_000)


class NoBound(RuntimeError):
    """The solver found no solution; the message is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a machine costs at least, in micro-dollars: to bring one into service from new or from stopped, and per second."""

    new: float
    started: float
    running_per_s: float
    stopped_per_s: float
    presence: bool  # TARGET_S of a running machine are refunded in the first two, and presence may be asked for

    @property
    def gap_s(self) -> float:
        """For how long a machine is kept rather than brought back."""
        return min(self.new, self.started) / self.running_per_s if self.presence else 0.0


def costs(machine: Machine, boots: Boots, *, from_nothing: bool) -> Costs:
    """Return the least costs. `from_nothing`: no machine is stopped at the beginning, so that every start follows a stop."""
    running, stopped = (price / 3_600 for price in (machine.running_micro_usd_per_hour, machine.stopped_micro_usd_per_hour))
    new = running * least_boot_s(boots.new, never=boots.never_ready)
    transit_s = least_boot_s(boots.started, never=0.0) + (boots.stopping_s if from_nothing else 0.0)
    started = (running - stopped) * transit_s  # what is on its way counts as stopped as well
    refund = TARGET_S * running
    presence = min(new, started) > refund
    return Costs(
        new=new - refund * presence,
        started=started - refund * presence,
        running_per_s=running,
        stopped_per_s=stopped,
        presence=presence,
    )


def least_boot_s(duration: Duration, *, never: float) -> float:
    """Return the least expected billed seconds for one machine that becomes ready, over all rules of when to give one up."""
    best = duration.mean_s() if never == 0 else math.inf
    for limit_s in _DEADLINES:
        share, mean_s = duration.within(float(limit_s))
        if share > 0:
            best = min(best, ((1 - never) * mean_s + never * float(limit_s)) / ((1 - never) * share))
    return best


def lower_bound_usd(trace: Trace, rules: Rules, *, share: float, dropped: float = DROPPED_MAX) -> float:
    """Return the bound in dollars: see the module. Raises NoBound."""
    return _Program(trace, rules, share=share, dropped=dropped).solve() / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """What may be late: segments of requests of one interval, each with how many they are and the largest load among them."""

    interval: NDArray[np.int64]
    number: Vector
    load: Vector


class _Matrix:
    """Rows of a sparse matrix, added a block at a time."""

    def __init__(self) -> None:
        self.rows = 0
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Vector]] = []
        self._right: list[Vector] = []

    def add(self, right: Vector, *terms: tuple[NDArray[np.int64], NDArray[np.int64], Vector]) -> None:
        """Add rows whose right side is given; a term is (row within the block, column, value)."""
        self._parts += ((row + self.rows, column, value) for row, column, value in terms)
        self._right.append(right)
        self.rows += len(right)

    def built(self, columns: int) -> tuple[csr_array, Vector]:
        """Return the matrix and its right side."""
        row, column, value = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        return csr_array((value, (row, column)), shape=(self.rows, columns)), np.concatenate(self._right)


class _Program:
    """The program of one trace. Variables stand in blocks of one per interval, those of lateness last.

    Blocks: running, stopped, started, rented, stopping, destroyed, work done by the end of the interval, work late by then.
    """

    _RUNNING, _STOPPED, _STARTED, _RENTED, _STOPPING, _DESTROYED, _DONE, _LATE = range(8)
    _BLOCKS = 8

    def __init__(self, trace: Trace, rules: Rules, *, share: float, dropped: float) -> None:
        self.at_s = np.array([arrival.at_s for arrival in trace.arrivals])
        self.load = np.array([arrival.load for arrival in trace.arrivals])
        self.rules, self.machine = rules, rules.machine
        self.excerpt = trace.duration_s < EXCERPT_S
        self.costs = costs(rules.machine, rules.boots, from_nothing=not self.excerpt)
        self.late_max = (1 - share) * len(self.load)
        self.unserved = float(np.sort(self.load)[::-1][: math.floor(dropped * len(self.load))].sum())
        self.edges = _edges(self.at_s, self.load / self.machine.stream_perf + TARGET_S, trace.duration_s)
        self.width_s = np.diff(self.edges)
        self.number = len(self.width_s)
        self.late = _late(np.searchsorted(self.edges, self.at_s, side="right") - 1, self.load)
        self.every = np.arange(self.number)

    def solve(self) -> float:
        """Return the least cost in micro-dollars."""
        equal, most = _Matrix(), _Matrix()
        self._balance(equal)
        self._lateness(equal, most)
        self._capacity(most)
        if self.costs.presence:
            self._presence(most)
        columns = self._BLOCKS * self.number + len(self.late.load)
        a_eq, b_eq = equal.built(columns)
        a_ub, b_ub = most.built(columns)
        found = linprog(self._objective(), A_ub=a_ub, b_ub=b_ub, A_eq=a_eq, b_eq=b_eq, bounds=self._bounds(), method="highs-ds")
        if not found.success:
            raise NoBound(found.message)
        return float(found.fun)

    def _at(self, block: int) -> NDArray[np.int64]:
        return block * self.number + self.every

    def _objective(self) -> Vector:
        none, one = np.zeros(self.number), np.ones(self.number)
        blocks = {
            self._RUNNING: self.width_s * self.costs.running_per_s,
            self._STOPPED: self.width_s * self.costs.stopped_per_s,
            self._STARTED: one * self.costs.started,
            self._RENTED: one * self.costs.new,
        }
        return np.concatenate([*(blocks.get(block, none) for block in range(self._BLOCKS)), np.zeros(len(self.late.load))])

    def _bounds(self) -> Vector:
        most = np.full((self._BLOCKS, self.number), np.inf)
        least = np.zeros((self._BLOCKS, self.number))
        most[self._DONE] = _served(self.at_s, self.load, self.machine.stream_perf, self.edges[1:])
        least[self._DONE, -1] = self.load.sum() - self.unserved
        most[self._DONE, -1] = math.inf  # the last interval has no end
        late = np.stack((np.zeros(len(self.late.load)), self.late.number), axis=1)
        return np.concatenate((np.stack((least.ravel(), most.ravel()), axis=1), late))

    def _balance(self, equal: _Matrix) -> None:
        """What runs and what is stopped changes by what is rented, started, stopped, destroyed."""
        first = 1 if self.excerpt else 0  # an excerpt begins with what it likes
        row, one = np.arange(self.number - first), np.ones(self.number - first)

        def term(block: int, sign: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Vector]:
            return row, self._at(block)[first:], sign * one

        def before(block: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Vector]:
            return row[1 - first :], self._at(block)[:-1], -np.ones(self.number - 1)

        begun = np.zeros(self.number - first)
        running = begun.copy()
        if not self.excerpt:
            running[0] = self.rules.begin_ready
        ups, down, gone = (self._STARTED, self._RENTED), self._STOPPING, self._DESTROYED
        equal.add(running, term(self._RUNNING, 1), before(self._RUNNING), term(down, 1), *(term(up, -1) for up in ups))
        equal.add(begun, term(self._STOPPED, 1), before(self._STOPPED), term(down, -1), term(self._STARTED, 1), term(gone, 1))

    def _lateness(self, equal: _Matrix, most: _Matrix) -> None:
        """Work that is late adds up, by the requests that are chosen to be; these are limited."""
        chosen = self._BLOCKS * self.number + np.arange(len(self.late.load))
        late, one = self._at(self._LATE), np.ones(self.number)
        equal.add(
            np.zeros(self.number),
            (self.every, late, one),
            (self.every[1:], late[:-1], -one[1:]),
            (self.late.interval, chosen, -self.late.load),
        )
        most.add(np.array([self.late_max]), (np.zeros(len(chosen), dtype=np.int64), chosen, np.ones(len(chosen))))

    def _capacity(self, most: _Matrix) -> None:
        """Work grows by what the running machines can do; what is not late is done in time."""
        done, one = self._at(self._DONE), np.ones(self.number)
        perf = self.machine.perf * self.width_s
        most.add(
            np.zeros(self.number),
            (self.every, done, one),
            (self.every[1:], done[:-1], -one[1:]),
            (self.every, self._at(self._RUNNING), -perf),
        )
        slowest = min(self.machine.stream_perf, self.machine.perf / self.machine.slots)
        due = _served(self.at_s + TARGET_S, self.load, slowest, self.edges[1:])
        most.add(-due, (self.every, done, -one), (self.every, self._at(self._LATE), -one))

    def _presence(self, most: _Matrix) -> None:
        """One machine at least runs while a request that is not late must be in service, and through short gaps."""
        service_s = self.load / self.machine.stream_perf
        present, lost = _presence(self.at_s, service_s, self.edges, gap_s=self.costs.gap_s)
        by_interval: dict[int, list[int]] = defaultdict(list)
        for segment, interval in enumerate(self.late.interval.tolist()):
            by_interval[interval].append(self._BLOCKS * self.number + segment)
        terms = [(row, chosen, -lost_s) for (came, row), lost_s in lost.items() for chosen in by_interval[came]]
        row, column, value = (np.array(part) for part in zip(*terms, strict=True))
        most.add(-present, (self.every, self._at(self._RUNNING), -self.width_s), (row, column, value))


def _edges(at_s: Vector, needs_s: Vector, duration_s: float) -> Vector:
    """Return where intervals begin and end: a grid, without the lines between which nothing comes and nothing must be served.

    The last one ends far beyond the trace.
    """
    step_s = max(INTERVAL_S_MIN, duration_s / INTERVALS_MAX)
    last = math.ceil(duration_s / step_s)
    busy = np.zeros(last + 2)
    np.add.at(busy, np.minimum(at_s // step_s, last).astype(np.int64), 1)
    np.add.at(busy, np.minimum((at_s + needs_s) // step_s + 1, last + 1).astype(np.int64), -1)
    quiet = np.cumsum(busy)[:-1] == 0
    inner = [line for line in range(1, last + 1) if not (quiet[line - 1] and quiet[min(line, last)])]
    return np.array([0.0, *(line * step_s for line in inner), max(duration_s, last * step_s) + 7 * 86_400.0])


def _served(from_s: Vector, load: Vector, rate: float, at_s: Vector) -> Vector:
    """Return the work done by each time if each request is served at this rate from its own time on."""
    times_s = np.concatenate((from_s, from_s + load / rate))
    slopes = np.concatenate((np.full(len(load), rate), np.full(len(load), -rate)))
    order = np.argsort(times_s, kind="stable")
    times_s, slope = times_s[order], np.cumsum(slopes[order])
    work = np.concatenate(([0.0], np.cumsum(np.diff(times_s) * slope[:-1])))
    return np.interp(at_s, times_s, work, left=0.0, right=float(load.sum()))


def _late(interval: NDArray[np.int64], load: Vector) -> _Late:
    """Return the segments: of each interval the largest request, then more and more at a time."""
    order = np.lexsort((-load, interval))
    begins = np.flatnonzero(np.diff(interval[order], prepend=-1))
    found: list[tuple[int, float, float]] = []
    for begin, end in zip(begins, np.append(begins[1:], len(load)), strict=True):
        at = int(begin)
        for divisor in SEGMENTS_DIVISORS:
            until = int(end) if divisor == 1 else min(int(end), max(at + 1, int(begin) + int(end - begin) // divisor))
            if at < until:
                found.append((int(interval[order[begin]]), float(until - at), float(load[order[at]])))
                at = until
    intervals, numbers, loads = zip(*found, strict=True)
    return _Late(interval=np.array(intervals), number=np.array(numbers), load=np.array(loads))


def _presence(at_s: Vector, service_s: Vector, edges: Vector, *, gap_s: float) -> tuple[Vector, dict[tuple[int, int], float]]:
    """Return the seconds of each interval in which somebody is present, and the most that one late request takes away.

    The latter by the interval in which the request came, and the interval from which it takes.
    """
    present = np.zeros(len(edges) - 1)
    taken: dict[tuple[int, int], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    until_s, keeper = -math.inf, -1
    came = (np.searchsorted(edges, at_s, side="right") - 1).tolist()
    for request, (from_s, end_s) in enumerate(zip(at_s.tolist(), (at_s + service_s).tolist(), strict=True)):
        if end_s <= until_s:
            continue
        if 0 < from_s - until_s <= gap_s:
            for interval, seconds in _pieces(until_s, from_s, edges, came[keeper]):
                present[interval] += seconds
                taken[came[keeper], interval][keeper] += seconds
                taken[came[request], interval][request] += seconds
        for interval, seconds in _pieces(max(from_s, until_s), end_s, edges, came[request]):
            present[interval] += seconds
            taken[came[request], interval][request] += seconds
        until_s, keeper = end_s, request
    return present, {place: max(requests.values()) for place, requests in taken.items()}


def _pieces(from_s: float, until_s: float, edges: Vector, interval: int) -> Iterator[tuple[int, float]]:
    """Yield the intervals that a stretch lies in, from a given one on, and how many seconds of it lie in each."""
    while interval < len(edges) - 1 and edges[interval] < until_s:
        seconds = min(until_s, float(edges[interval + 1])) - max(from_s, float(edges[interval]))
        if seconds > 0:
            yield interval, seconds
        interval += 1
