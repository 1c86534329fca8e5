"""The fleet after this decision's repairs, and what it can carry.

Built anew only when a decision has done something, and sorted once. "Running" is what serves or comes without another decision;
"held" adds what is stopped or on its way there. A worker of an autogroup that is no longer configured, or one that is leaving for
another reason (`replacing`), carries nothing: its replacement is rented first, then it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from functions.core.capacity import Outlook, is_coming, is_heard, is_serving
from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.pricing import MICRO_USD_PER_USD
from functions.core.rollout import Editions

# A worker whose reports or readiness only blinked is not replaced at once.
RETURNING_GRACE_S: Final = 60.0
_S = WorkerState
_COLD: Final = frozenset({_S.STOPPED, _S.STOPPING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The workers that count. `blind`: workers are READY, yet nobody is heard: what they carry is unknown, not zero.

    `unready_since_s` tells of each READY worker that does not serve since when, `unready_before_s` is what the last decision knew.
    `acted` names the workers that this decision has done something about already: one action a worker and decision.
    """

    workers: tuple[Worker, ...]
    outlook: Outlook
    configured: frozenset[str]
    unready_before_s: Mapping[str, float]
    now_s: float
    acted: frozenset[str] = frozenset()
    editions: Editions = field(default_factory=Editions)
    traffic_gb_per_hour: Mapping[str, float] = field(default_factory=dict)  # by autogroup
    leaving: Mapping[str, str] = field(default_factory=dict)  # by worker id: why it is to be replaced
    unready_since_s: Mapping[str, float] = field(init=False, repr=False, compare=False)
    blind: bool = field(init=False, repr=False, compare=False)
    _serving: tuple[Worker, ...] = field(init=False, repr=False, compare=False)
    _running: tuple[Worker, ...] = field(init=False, repr=False, compare=False)
    _cold: tuple[Worker, ...] = field(init=False, repr=False, compare=False)
    _perf: Mapping[str, float] = field(init=False, repr=False, compare=False)  # asked for again and again
    _states: frozenset[WorkerState] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ready = [one for one in self.workers if one.rental.state is _S.READY]
        in_service = {one.worker_id for one in ready if is_serving(one, now_s=self.now_s)}
        away = [one.worker_id for one in ready if one.worker_id not in in_service]
        self._set("unready_since_s", {worker_id: self.unready_before_s.get(worker_id, self.now_s) for worker_id in away})
        self._set("blind", bool(ready) and not in_service and not any(is_heard(one, now_s=self.now_s) for one in self.workers))
        configured = [worker for worker in self.workers if self.is_configured(worker)]
        serves = in_service - self.editions.on_probation
        counted = [one for one in configured if one.worker_id not in self.editions.uncounted]
        self._set("_serving", tuple(one for one in configured if one.worker_id in serves))
        self._set("_running", tuple(one for one in counted if one.worker_id in serves or self._runs(one)))
        self._set("_cold", tuple(worker for worker in configured if _is_cold(worker)))
        self._set("_perf", {one.worker_id: self.outlook.of_worker(one) or 0.0 for one in self.workers})
        self._set("_states", frozenset(one.rental.state for one in self.workers))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def perf(self, worker: Worker) -> float:
        """Return the expected load per second of a worker, 0 where nothing can be expected."""
        return self._perf[worker.worker_id]

    def value(self, worker: Worker) -> float:
        """Return load per second per dollar that the worker bills in an hour while it serves, traffic included."""
        rental = worker.rental
        traffic = self.traffic_gb_per_hour.get(rental.autogroup, 0.0) * rental.up_micro_usd_per_gb
        return self.perf(worker) * MICRO_USD_PER_USD / max(1.0, rental.running_micro_usd_per_hour + traffic)

    def rank(self, worker: Worker) -> tuple[bool, float]:
        """Return what workers are kept by: those of another version than the due one go first, and then the worst value."""
        return worker.worker_id not in self.editions.outdated, self.value(worker)

    def serving(self) -> tuple[Worker, ...]:
        """Return the workers that routers can use now, but for those on probation beside others: nothing may rely on them yet."""
        return self._serving

    def running(self) -> tuple[Worker, ...]:
        """Return the workers that serve, or will without another decision."""
        return self._running

    def lasting(self, workers: Iterable[Worker]) -> tuple[Worker, ...]:
        """Return those of the workers that are what they should be."""
        outdated = self.editions.outdated
        return tuple(one for one in workers if one.worker_id not in outdated) if outdated else tuple(workers)

    def tried(self) -> tuple[Worker, ...]:
        """Return the workers on probation that are not counted among those that run: they are held all the same."""
        uncounted = self.editions.uncounted
        return tuple(one for one in self.workers if one.worker_id in uncounted and not _is_cold(one)) if uncounted else ()

    def cold(self) -> tuple[Worker, ...]:
        """Return the workers that are stopped, or will be without another decision."""
        return self._cold

    def available(self, *states: WorkerState) -> tuple[Worker, ...]:
        """Return the workers in one of these states about which nothing has been decided yet."""
        if self._states.isdisjoint(states):
            return ()
        return tuple(one for one in self.workers if one.rental.state in states and one.worker_id not in self.acted)

    def count(self, autogroup: str, *states: WorkerState) -> int:
        """Return how many workers of an autogroup are in one of these states."""
        return sum(worker.rental.autogroup == autogroup and worker.rental.state in states for worker in self.workers)

    def load(self, workers: Iterable[Worker]) -> float:
        """Return what these workers carry together."""
        return sum([self._perf[worker.worker_id] for worker in workers])

    def is_configured(self, worker: Worker) -> bool:
        """Tell whether the worker is wanted and its autogroup exists. An empty configuration is missing data, not a wish."""
        exists = not self.configured or worker.rental.autogroup in self.configured
        return exists and worker.worker_id not in self.leaving

    def _runs(self, worker: Worker) -> bool:
        if worker.rental.state is not _S.READY:
            return is_coming(worker)
        if self.blind:
            return True
        since_s = self.unready_since_s.get(worker.worker_id, self.now_s)
        return is_heard(worker, now_s=self.now_s) and self.now_s - since_s <= RETURNING_GRACE_S


def _is_cold(worker: Worker) -> bool:
    state = worker.rental.state
    return state in _COLD or (state is _S.DRAINING and worker.rental.drain_to is _S.STOPPING)
