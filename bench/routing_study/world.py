"""The simulated system: workers that serve in order, a table that they report to, routers that each remember it for a second.

A request arrives (Poisson) at a router at random. The router's snapshot is read anew once it is SNAPSHOT_TTL_S old, from two random
shards of a large group; in between it learns only from its own writes. It chooses, and the write passes or is refused by the
condition that the table would check; after a refusal it tries again as the service does. Nobody has room: the client
asks again after POLL_S, and has waited since it came.

A worker serves one request after another at its `perf`: what counts is the time from arrival to the begin of service. It reports
every 2 s while it has work, and when it becomes idle, at most twice a second. So the table lags by up to 2 s and a router by one
more.

Left out: the order of those who wait, machines that fail, costs that are not what was declared, time on the network.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, Condition, EndpointGroup, Rental, Worker, fleet_shards, shard_of
from functions.core.routing import Candidate, assigned_load_max, candidates, with_assignments
from functions.route.service import ASSIGN_TRIES_MAX, FRESH_S
from functions.route.snapshot import SHARDS_READ_MAX, SNAPSHOT_TTL_S
from protocol.report import REPORT_INTERVAL_BUSY_S, REPORT_INTERVAL_IDLE_S, Phase

POLL_S: Final = 1.0
REPORT_GAP_S: Final = 0.5
START_S: Final = 1_000.0  # a time at which nothing is zero by accident


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is simulated. `utilisation` is of the fleet's whole performance; `perf_spread` the sigma of its logarithm."""

    workers: int
    routers: int
    utilisation: float
    requests: int
    perf_spread: float = 0.5
    perf_mean: float = 200.0
    cost_mean: float = 211.0
    cost_cv: float = 2.1
    max_queue_time: float = 30.0


@dataclass(slots=True)
class Machine:
    """One worker: what it is doing, and its item in the table."""

    item: Worker
    perf: float
    free_at_s: float = 0.0
    finishes: deque[tuple[float, float]] = field(default_factory=deque)  # (when, cost), in order
    finished_load: float = 0.0
    finished_requests: int = 0
    reported_at_s: float = 0.0
    seen: Candidate | None = None  # of the present item; made when a router reads it


@dataclass(slots=True)
class Router:
    """One execution environment: the candidates that it knows, when it read them, and what its policy keeps."""

    rng: random.Random
    known: dict[str, Candidate] = field(default_factory=dict)
    read_at_s: float = -math.inf
    turn: int = 0
    requests: dict[str, int] = field(default_factory=dict)  # by worker, as last known: assigned and not finished
    others_per_s: float = 0.0  # load per second that others were seen to assign to these workers
    totals: dict[str, tuple[float, float]] = field(default_factory=dict)  # by worker: last known total, and when


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run: seconds waited by each request, in order of arrival, and writes that were refused."""

    waits_s: list[float]
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a router knows when it has to choose for a request of `cost`."""

    router: Router
    known: Sequence[Candidate]
    cost: float
    now_s: float

    @property
    def age_s(self) -> float:
        """How old the snapshot is."""
        return self.now_s - self.router.read_at_s


Policy = Callable[[View], Candidate | None]


def fleet(scenario: Scenario, rng: random.Random) -> list[float]:
    """Return the workers' performances: lognormal around the mean, at most four times slower or faster."""
    spread = scenario.perf_spread
    return [
        scenario.perf_mean * min(4.0, max(0.25, rng.lognormvariate(-spread * spread / 2, spread))) for _ in range(scenario.workers)
    ]


def arrivals(scenario: Scenario, perfs: Sequence[float], rng: random.Random, costs: Sequence[float]) -> list[tuple[float, float]]:
    """Return when requests come, and their costs: those given, over and over, or lognormal ones of the scenario's mean and CV."""
    sigma = math.sqrt(math.log(1 + scenario.cost_cv**2))
    mu = math.log(scenario.cost_mean) - sigma * sigma / 2
    drawn = [
        costs[number % len(costs)] if costs else max(1.0, rng.lognormvariate(mu, sigma)) for number in range(scenario.requests)
    ]
    rate = scenario.utilisation * sum(perfs) / (sum(drawn) / len(drawn))
    now_s, requests = START_S, []
    for cost in drawn:
        now_s += rng.expovariate(rate)
        requests.append((now_s, cost))
    return requests


def central_queue(perfs: Sequence[float], requests: Sequence[tuple[float, float]]) -> Outcome:
    """Serve everybody from one queue, the fastest idle worker first: what no router can do better, knowing no future."""
    busy: list[tuple[float, int]] = []
    idle = [(-perf, index) for index, perf in enumerate(perfs)]
    heapq.heapify(idle)
    waits = []
    for came_s, cost in requests:
        while busy and busy[0][0] <= came_s:
            _, index = heapq.heappop(busy)
            heapq.heappush(idle, (-perfs[index], index))
        start_s = came_s
        if idle:
            _, index = heapq.heappop(idle)
        else:
            start_s, index = heapq.heappop(busy)
        waits.append(start_s - came_s)
        heapq.heappush(busy, (start_s + cost / perfs[index], index))
    return Outcome(waits_s=waits, refused=0)


class World:
    """One run: the same fleet and requests for every policy that is given the same seed."""

    def __init__(self, scenario: Scenario, policy: Policy, *, seed: int, costs: Sequence[float] = ()) -> None:
        rng = random.Random(seed)
        self._policy = policy
        self._perfs = fleet(scenario, rng)
        self.requests = arrivals(scenario, self._perfs, rng, costs)
        self._rng = rng
        self._shards = fleet_shards(scenario.workers)
        self._group = EndpointGroup(
            endpoint="g", max_workers=scenario.workers, max_hourly_cost_micro_usd=1, max_queue_time=scenario.max_queue_time
        )
        self._machines = {machine.item.worker_id: machine for machine in map(self._machine, range(scenario.workers))}
        self._by_shard: list[list[Machine]] = [[] for _ in range(self._shards)]
        for machine in self._machines.values():
            self._by_shard[shard_of(machine.item.worker_id)].append(machine)
        self._routers = [Router(rng=random.Random(rng.random())) for _ in range(scenario.routers)]
        self._refused = 0
        self._due: list[tuple[float, int, str]] = []  # reports: when, a tie breaker, whose

    @property
    def perfs(self) -> list[float]:
        """The workers' performances."""
        return self._perfs

    def run(self) -> Outcome:
        """Serve every request."""
        waits = [0.0] * len(self.requests)
        asking = [(came_s, number) for number, (came_s, _) in enumerate(self.requests)]
        heapq.heapify(asking)
        while asking:
            now_s, number = heapq.heappop(asking)
            self._report_until(now_s)
            came_s, cost = self.requests[number]
            machine = self._route(self._rng.choice(self._routers), cost, now_s)
            if machine is None:
                heapq.heappush(asking, (now_s + POLL_S, number))
            else:
                waits[number] = self._serve(machine, cost, now_s) - came_s
        return Outcome(waits_s=waits, refused=self._refused)

    def _machine(self, index: int) -> Machine:
        rental = Rental(state=WorkerState.READY, state_since_s=0.0, autogroup="a", created_at_s=0.0)
        said = Condition(phase=Phase.READY, url="http://w", perf=self._perfs[index], reported_at_s=START_S)
        given = Assignments(ticket_expires_at_s=math.inf)
        item = Worker(worker_id=f"w{index % self._shards}-{index}", endpoint="g", rental=rental, condition=said, assignments=given)
        return Machine(item=item, perf=self._perfs[index])

    def _route(self, router: Router, cost: float, now_s: float) -> Machine | None:
        for _ in range(ASSIGN_TRIES_MAX):
            if now_s - router.read_at_s >= SNAPSHOT_TTL_S:
                self._read(router, now_s)
            chosen = self._policy(View(router=router, known=list(router.known.values()), cost=cost, now_s=now_s))
            if chosen is None:
                return None
            machine = self._machines[chosen.worker.worker_id]
            if machine.item.assignments.assigned_load <= assigned_load_max(chosen, cost):
                self._assign(router, chosen, machine, cost)
                return machine
            self._refused += 1
            if now_s - router.read_at_s > FRESH_S:
                self._read(router, now_s)
            else:
                del router.known[chosen.worker.worker_id]
        return None

    def _assign(self, router: Router, chosen: Candidate, machine: Machine, cost: float) -> None:
        held = machine.item.assignments
        totals = replace(held, assigned_load=held.assigned_load + cost, reqnum=held.reqnum + 1)
        machine.item = replace(machine.item, assignments=totals)
        machine.seen = None
        worker_id = chosen.worker.worker_id
        router.known[worker_id] = with_assignments(chosen, totals)
        router.requests[worker_id] = totals.reqnum - chosen.worker.condition.finished_requests
        total, at_s = router.totals[worker_id]
        router.totals[worker_id] = (total + cost, at_s)  # its own load is not what others assigned

    def _read(self, router: Router, now_s: float) -> None:
        shards: Sequence[int] = range(self._shards)
        chosen = shards if self._shards <= SHARDS_READ_MAX else router.rng.sample(shards, SHARDS_READ_MAX)
        machines = [each for shard in chosen for each in self._by_shard[shard]]
        router.known = {each.item.worker_id: self._candidate(each, now_s) for each in machines}
        for worker in (each.item for each in machines):
            router.requests[worker.worker_id] = worker.assignments.reqnum - worker.condition.finished_requests
        self._watch_others(router, machines, now_s)
        router.read_at_s = now_s

    def _candidate(self, machine: Machine, now_s: float) -> Candidate:
        said = machine.item.condition
        if machine.free_at_s <= now_s and now_s - said.reported_at_s > REPORT_INTERVAL_IDLE_S:
            machine.item, machine.seen = replace(machine.item, condition=replace(said, reported_at_s=now_s)), None
        if machine.seen is None:
            [machine.seen] = candidates([machine.item], group=self._group, now_s=now_s)
        return machine.seen

    @staticmethod
    def _watch_others(router: Router, machines: Sequence[Machine], now_s: float) -> None:
        grown = seconds = 0.0
        for worker in (each.item for each in machines):
            total = worker.assignments.assigned_load
            before, at_s = router.totals.get(worker.worker_id, (total, now_s))
            grown, seconds = grown + total - before, seconds + now_s - at_s
            router.totals[worker.worker_id] = (total, now_s)
        if seconds > 0:
            router.others_per_s = grown / seconds * len(machines)

    def _serve(self, machine: Machine, cost: float, now_s: float) -> float:
        start_s = max(now_s, machine.free_at_s)
        was_idle = machine.free_at_s <= now_s
        machine.free_at_s = start_s + cost / machine.perf
        machine.finishes.append((machine.free_at_s, cost))
        if was_idle:
            self._next_report(machine, now_s)
        return start_s

    def _next_report(self, machine: Machine, now_s: float) -> None:
        # The busy turn, or the end of the work as it is now known, whichever is first; the rate has a limit.
        due_s = max(
            machine.reported_at_s + REPORT_GAP_S, min(max(now_s, machine.reported_at_s + REPORT_INTERVAL_BUSY_S), machine.free_at_s)
        )
        heapq.heappush(self._due, (due_s, id(machine), machine.item.worker_id))

    def _report_until(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            at_s, _, worker_id = heapq.heappop(self._due)
            machine = self._machines[worker_id]
            while machine.finishes and machine.finishes[0][0] <= at_s:
                machine.finished_load += machine.finishes.popleft()[1]
                machine.finished_requests += 1
            said = replace(
                machine.item.condition,
                reported_at_s=at_s,
                finished_load=machine.finished_load,
                finished_requests=machine.finished_requests,
            )
            machine.item = replace(machine.item, condition=said)
            machine.seen = None
            machine.reported_at_s = at_s
            if machine.finishes:
                self._next_report(machine, at_s)
