"""What others do, at their defaults: each rule as its project documents it, told what an operator would tell it.

An operator who knows the machine sets the target that the rule needs: `perf` for rules on rates, the number of streams that
saturate a machine for rules on concurrency. Everything else is the project's default. All use the same hands (`steering`).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from bench.backtest.policies.steering import Steering
from bench.backtest.world import State, World

TICK_S = 5.0
WORKERS_MAX = 200


@dataclass(slots=True)
class Window:
    """Values over the last `window_s` seconds."""

    window_s: float
    held: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, value: float, *, now_s: float) -> None:
        """Add the value of now; of what is older only the newest stays, as the beginning."""
        self.held.append((now_s, value))
        while len(self.held) > 1 and self.held[1][0] <= now_s - self.window_s:
            self.held.popleft()

    def mean(self) -> float:
        """Return the mean of the values."""
        return sum(value for _, value in self.held) / len(self.held)

    def growth_per_s(self) -> float:
        """Return how fast a total has grown."""
        (from_s, before), (until_s, after) = self.held[0], self.held[-1]
        return (after - before) / max(until_s - from_s, TICK_S)


@dataclass(slots=True)
class Static:
    """A fleet that never changes: the best of them in hindsight is what one pays who knows the trace and scales by hand."""

    workers: int
    name: str = "static"
    _hands: Steering = field(default_factory=Steering)

    def look(self, world: World) -> float:
        """Keep the number."""
        self._hands.steer(world, running=self.workers)
        return 60.0


@dataclass(slots=True)
class RequestRate:
    """Replicas for the arriving rate, after a delay up and a longer one down.

    SkyServe's RequestRateAutoscaler: window 60 s, up after 300 s, down after 1200 s (docs.skypilot.co, Autoscaling). dstack's `rps`
    metric: up after 300 s, down after 600 s (dstack.ai/docs/reference/dstack.yml/service).
    """

    name: str = "skyserve"
    util: float = 0.8
    up_after_s: float = 300.0
    down_after_s: float = 1_200.0
    workers_min: int = 1
    pool: int = 0
    _rate: Window = field(default_factory=lambda: Window(window_s=60.0))
    _hands: Steering = field(default_factory=Steering)
    _workers: int = 1
    _above_since_s: float | None = None
    _below_since_s: float | None = None

    def look(self, world: World) -> float:
        """Count, wait out the delay, change."""
        self._rate.add(world.arrived_load, now_s=world.now_s)
        if world.now_s == 0:
            self._workers = max(self.workers_min, world.count(State.READY))
        wanted = math.ceil(self._rate.growth_per_s() / (world.rules.machine.perf * self.util))
        wanted = min(WORKERS_MAX, max(self.workers_min, wanted))
        self._above_since_s = _since(self._above_since_s, wanted > self._workers, world.now_s)
        self._below_since_s = _since(self._below_since_s, wanted < self._workers, world.now_s)
        if _lasted(self._above_since_s, self.up_after_s, world.now_s) or _lasted(
            self._below_since_s, self.down_after_s, world.now_s
        ):
            self._workers, self._above_since_s, self._below_since_s = wanted, None, None
        self._hands.steer(world, running=self._workers, pool=max(0, self.pool - self._workers))
        return TICK_S


@dataclass(slots=True)
class Concurrency:
    """Replicas for the requests in flight.

    Knative's KPA: mean over 60 s at 70 % of the target, or over 6 s when that asks for twice what there is (panic, in which nothing
    is removed for 60 s), to zero after 30 s (knative.dev, Autoscaling concepts). Ray Serve: mean over 30 s at the target, up after
    30 s, down after 600 s (docs.ray.io, Advanced autoscaling); here it goes up at once, which flatters it.
    """

    name: str = "kpa"
    util: float = 0.7
    stable_s: float = 60.0
    panic_s: float | None = 6.0  # None: it never panics
    down_after_s: float = 30.0
    workers_min: int = 0
    pool: int = 0
    _stable: Window = field(init=False)
    _panic: Window | None = field(init=False)
    _hands: Steering = field(default_factory=Steering)
    _workers: int = 0
    _panicking_until_s: float = -1.0
    _below_since_s: float | None = None

    def __post_init__(self) -> None:
        self._stable = Window(window_s=self.stable_s)
        self._panic = None if self.panic_s is None else Window(window_s=self.panic_s)

    def look(self, world: World) -> float:
        """Count and change."""
        now_s = world.now_s
        if now_s == 0:
            self._workers = world.count(State.READY)
        asked = float(world.in_flight() + len(world.waiting))
        streams = world.rules.machine.perf / world.rules.machine.stream_perf * self.util
        wanted = self._replicas(self._stable, asked, streams, now_s=now_s)
        if self._panic is not None:
            urgent = self._replicas(self._panic, asked, streams, now_s=now_s)
            if urgent >= 2 * max(1, self._workers):
                self._panicking_until_s = now_s + self.stable_s
            wanted = max(wanted, urgent, self._workers) if now_s < self._panicking_until_s else wanted
        wanted = min(WORKERS_MAX, max(self.workers_min, wanted))
        self._below_since_s = _since(self._below_since_s, wanted < self._workers, now_s)
        if wanted > self._workers or _lasted(self._below_since_s, self.down_after_s, now_s):
            self._workers = wanted
        self._hands.steer(world, running=self._workers, pool=max(0, self.pool - self._workers))
        return TICK_S

    def _replicas(self, window: Window, asked: float, streams: float, *, now_s: float) -> int:
        window.add(asked, now_s=now_s)
        return math.ceil(window.mean() / streams)


@dataclass(slots=True)
class DocumentedVast:
    """The rule of Vast's documentation: active = load / target_util; active and stopped together = cold_mult times that.

    Defaults of the documented command line: target_util 0.9, cold_mult 2.5, cold_workers 5 (docs.vast.ai, Serverless parameters).
    How long it looks back is not documented; a minute is taken.
    """

    name: str = "vast"
    target_util: float = 0.9
    cold_mult: float = 2.5
    cold_workers: int = 5
    _rate: Window = field(default_factory=lambda: Window(window_s=60.0))
    _hands: Steering = field(default_factory=Steering)

    def look(self, world: World) -> float:
        """Count and change."""
        self._rate.add(world.arrived_load, now_s=world.now_s)
        active = self._rate.growth_per_s() / self.target_util / world.rules.machine.perf
        running = min(WORKERS_MAX, max(math.ceil(active), 1 if world.waiting else 0))
        total = max(self.cold_workers, math.ceil(active * self.cold_mult))
        self._hands.steer(world, running=running, pool=max(0, total - running))
        return TICK_S


def _since(since_s: float | None, holds: bool, now_s: float) -> float | None:  # noqa: FBT001 - reads as "since when it holds"
    if not holds:
        return None
    return now_s if since_s is None else since_s


def _lasted(since_s: float | None, delay_s: float, now_s: float) -> bool:
    return since_s is not None and now_s - since_s >= delay_s
