"""Keeps an eye on the system while the story is told: fleet, decisions, money and memory, all from the outside.

A thread reads the table a few times a second and remembers what a later step must be able to ask: which states were seen, how large
the fleet grew, who vanished. It integrates the hourly prices that the table holds over time: Headgate's own estimate of the
bill, to be set against the marketplace's ledger.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import psutil

from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_scale import DynamoScaleStore, recent_decisions
from functions.core.lifecycle import WorkerState
from functions.ports import PortError
from sandbox.scenario.display import Display
from sandbox.scenario.load import LoadFigures
from sandbox.scenario.view import GroupView, WorkerRow, observe

LOOK_EVERY_S: Final = 0.4
MEMORY_EVERY_LOOKS: Final = 5
DECISIONS_A_LOOK: Final = 8
RATE_WINDOW_LOOKS: Final = 20  # about ten seconds
SECONDS_PER_HOUR: Final = 3600


@dataclass(slots=True)
class Watch:
    """Start it, ask it, stop it. Everything it answers was read from the table."""

    table: DynamoTable
    endpoints: Sequence[str]
    display: Display
    figures: Callable[[], LoadFigures]
    views: tuple[GroupView, ...] = ()
    peak_ready: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    peak_memory_bytes: int = 0
    estimate_usd: float = 0.0
    states_seen: set[tuple[str, WorkerState]] = field(default_factory=set)
    instance_of: dict[str, int] = field(default_factory=dict)
    seen: dict[str, dict[str, WorkerRow]] = field(default_factory=lambda: defaultdict(dict))
    first_seen_s: dict[str, float] = field(default_factory=dict)
    measured_s: dict[str, float] = field(default_factory=dict)
    sentences: list[tuple[float, str]] = field(default_factory=list)
    _totals: dict[str, deque[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=RATE_WINDOW_LOOKS))
    )
    _told: set[tuple[str, float]] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def group(self, endpoint: str) -> GroupView | None:
        """Return the newest view of a group, None before the first look."""
        return next((view for view in self.views if view.endpoint == endpoint), None)

    def held(self, endpoint: str) -> int:
        """Return how many workers of a group cost or may cost money."""
        view = self.group(endpoint)
        return view.held if view else 0

    def ready(self, endpoint: str) -> tuple[WorkerRow, ...]:
        """Return the workers of a group that serve now."""
        view = self.group(endpoint)
        return tuple(row for row in view.rows if row.state is WorkerState.READY) if view else ()

    def ready_urls(self, endpoint: str) -> tuple[str, ...]:
        """Return the addresses of the workers that serve now."""
        return tuple(row.url for row in self.ready(endpoint))

    def saw(self, endpoint: str, state: WorkerState) -> bool:
        """Tell whether a worker of the group was ever seen in this state."""
        return (endpoint, state) in self.states_seen

    def forget_states(self) -> None:
        """Begin anew to remember which states were seen."""
        self.states_seen = set()

    def all_measured(self, endpoint: str, autogroups: int) -> bool:
        """Tell whether workers of so many autogroups of the group have been measured."""
        return len(self.value_per_dollar(endpoint)) >= autogroups

    def value_per_dollar(self, endpoint: str) -> Mapping[str, float]:
        """Return the mean measured load per dollar of each autogroup of the group (load/s over $/h, times an hour)."""
        values = defaultdict(list)
        for row in self._measured(endpoint):
            values[row.autogroup].append(row.perf * SECONDS_PER_HOUR / row.running_usd_per_hour)
        return {name: sum(each) / len(each) for name, each in values.items()}

    def rented_after_all_measured(self, endpoint: str) -> tuple[str, ...]:
        """Return the autogroups of the workers first seen after every autogroup of the group had been measured once."""
        first_s: dict[str, float] = {}
        for row in self._measured(endpoint):
            first_s[row.autogroup] = min(self.measured_s[row.worker_id], first_s.get(row.autogroup, math.inf))
        known_s = max(first_s.values(), default=math.inf)
        return tuple(row.autogroup for row in self.seen[endpoint].values() if self.first_seen_s[row.worker_id] > known_s)

    def _measured(self, endpoint: str) -> list[WorkerRow]:
        return [row for row in self.seen[endpoint].values() if row.worker_id in self.measured_s]

    def _run(self) -> None:
        looked_s, looks = time.monotonic(), 0
        while not self._stop.wait(LOOK_EVERY_S):
            now_s, looks = time.monotonic(), looks + 1
            if looks % MEMORY_EVERY_LOOKS == 1:
                self.peak_memory_bytes = max(self.peak_memory_bytes, process_tree_bytes(os.getpid()))
            try:
                self._look(elapsed_s=now_s - looked_s)
            except PortError:
                continue  # the story finds out by itself if the emulator is gone
            looked_s = now_s

    def _look(self, *, elapsed_s: float) -> None:
        seen = observe(DynamoScaleStore(self.table), self.endpoints, now_s=time.time())
        self.views = tuple(replace(view, load_per_s=self._load_per_s(view)) for view in seen)
        for view in self.views:
            self.estimate_usd += view.usd_per_hour * elapsed_s / SECONDS_PER_HOUR
            self.peak_ready[view.endpoint] = max(self.peak_ready[view.endpoint], view.states.get(WorkerState.READY, 0))
            self._remember(view)
            self._tell_decisions(view.endpoint)
        self.display.fleet(self.views, self.figures())

    def _load_per_s(self, view: GroupView) -> float:
        totals = self._totals[view.endpoint]
        totals.append((time.monotonic(), view.assigned_load))
        (began_s, before), (now_s, now) = totals[0], totals[-1]
        # A worker that is forgotten takes its total along.
        return max(0.0, now - before) / (now_s - began_s) if now_s > began_s else 0.0

    def _remember(self, view: GroupView) -> None:
        now_s = time.monotonic()
        for row in view.rows:
            self.states_seen.add((view.endpoint, row.state))
            self.first_seen_s.setdefault(row.worker_id, now_s)
            if row.instance_id is not None:
                self.instance_of[row.worker_id] = row.instance_id
            if row.perf and row.state is WorkerState.READY:
                self.measured_s.setdefault(row.worker_id, now_s)
            if row.perf or row.worker_id not in self.measured_s:
                self.seen[view.endpoint][row.worker_id] = row

    def _tell_decisions(self, endpoint: str) -> None:
        for record in reversed(recent_decisions(self.table, endpoint, limit=DECISIONS_A_LOOK)):
            key = (endpoint, float(record["decided_at_s"]))
            if key in self._told:
                continue
            self._told.add(key)
            for sentence in record["sentences"]:
                self.sentences.append((key[1], f"{endpoint}: {sentence}"))
                self.display.decision(key[1], f"{endpoint}: {sentence}")


def process_tree_bytes(pid: int) -> int:
    """Return the memory of a process and all its descendants: proportional set size where the kernel tells it, else resident."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(map(_bytes, processes))


def _bytes(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(info, "pss", info.rss))
