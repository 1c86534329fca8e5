"""The router's view of one group: its workers and those who wait.

It was read at most SNAPSHOT_TTL_S ago, and has been kept up since by what this environment itself wrote.

Workers are read before those who wait: whoever began to wait because a worker was full is then seen with it. Of a group with more
than two shards, two at random of those that hold workers are read, so that a route costs the same however large the fleet is; the
next snapshot has another two. A request that names its session looks into the one shard of that session first, which is a snapshot
of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final

from functions.core.affinity import Affinity
from functions.core.model import Assignments, EndpointGroup, WaitingRequest, Worker
from functions.core.routing import (
    PLACED_AHEAD_MAX,
    Candidate,
    Leaning,
    admit,
    ahead_of,
    candidates,
    is_forgotten,
    still_waiting,
    to_avoid,
    with_assignments,
)
from functions.ports import FORGOTTEN_AT_ONCE_MAX, RouteStore

SNAPSHOT_TTL_S: Final = 1.0
SHARDS_READ_MAX: Final = 2
# One more than may be placed: whoever finds that many before it has to wait anyway.
WAITING_READ_MAX: Final = PLACED_AHEAD_MAX + 1
# Records of clients that left are read by every router and every tick; this long after their last poll they are deleted.
SWEPT_AFTER_S: Final = 60.0


class Snapshot:
    """One group as this environment knows it. Mutable: it learns from every write of its own."""

    def __init__(
        self, group: EndpointGroup, *, workers: Sequence[Worker], waiting: Iterable[WaitingRequest], read_at_s: float
    ) -> None:
        self.workers = workers
        self.read_at_s = read_at_s
        self._candidates = {each.worker.worker_id: each for each in candidates(workers, group=group, now_s=read_at_s)}
        self._waiting = {each.request_idx: each for each in waiting}
        self._line: tuple[float, list[WaitingRequest]] | None = None  # who still asked when, in order

    @property
    def candidates(self) -> list[Candidate]:
        """The workers that may be routed to."""
        return list(self._candidates.values())

    def ahead_of(self, request: WaitingRequest, *, now_s: float) -> list[WaitingRequest]:
        """Return who arrived before this request and still asks."""
        if self._line is None or self._line[0] != now_s:
            self._line = now_s, still_waiting(self._waiting.values(), now_s=now_s)
        return ahead_of(request, self._line[1])

    def admit(
        self, request: WaitingRequest, *, just_failed: bool, now_s: float, rng: random.Random, affinity: Affinity | None = None
    ) -> Candidate | None:
        """Return the worker that the request may take, None if it has to wait."""
        avoid, ahead = self.avoided_by(request, just_failed=just_failed), self.ahead_of(request, now_s=now_s)
        leaning = Leaning(age_s=max(0.0, now_s - self.read_at_s), affinity=affinity)
        return admit(self.candidates, request, ahead=ahead, avoid=avoid, rng=rng, leaning=leaning)

    def avoided_by(self, request: WaitingRequest, *, just_failed: bool) -> frozenset[str]:
        """Return the workers that the request is not sent to, because they failed it."""
        return to_avoid(request, self.candidates, just_failed=just_failed)

    def assigned(self, candidate: Candidate, totals: Assignments) -> None:
        """Learn a worker's totals from the write that changed them."""
        self._candidates[candidate.worker.worker_id] = with_assignments(candidate, totals)

    def refused(self, candidate: Candidate) -> None:
        """Forget a worker that would not take a request which should have fitted: what is known of it is out of date."""
        self._candidates.pop(candidate.worker.worker_id, None)

    def waits(self, request: WaitingRequest) -> None:
        """Learn that a request waits, or asked again."""
        self._waiting[request.request_idx] = request
        self._line = None

    def left(self, request_idx: int) -> None:
        """Learn that a request waits no longer."""
        self._waiting.pop(request_idx, None)
        self._line = None


def home_shard(shards: Sequence[int], affinity: Affinity) -> int | None:
    """Return the shard of a session's worker, None if every snapshot has all of them."""
    return affinity.home(shards) if len(shards) > SHARDS_READ_MAX else None


def random_shards(shards: Sequence[int], rng: random.Random) -> Sequence[int]:
    """Return the shards to read for a request that belongs to none."""
    return shards if len(shards) <= SHARDS_READ_MAX else rng.sample(shards, SHARDS_READ_MAX)


def read_snapshot(store: RouteStore, group: EndpointGroup, shards: Sequence[int], *, now_s: float) -> Snapshot:
    """Read a group's snapshot: one query a shard, one for those who wait; sweep records of clients that left long ago."""
    workers = store.workers(group.endpoint, shards)
    waiting = store.waiting(group.endpoint, limit=WAITING_READ_MAX)
    _sweep(store, group.endpoint, waiting, now_s=now_s)
    return Snapshot(group, workers=workers, waiting=waiting, read_at_s=now_s)


def _sweep(store: RouteStore, endpoint: str, waiting: Iterable[WaitingRequest], *, now_s: float) -> None:
    left = [each.request_idx for each in waiting if is_forgotten(each, now_s=now_s - SWEPT_AFTER_S)]
    if left:
        store.forget_requests(endpoint, left[:FORGOTTEN_AT_ONCE_MAX])
