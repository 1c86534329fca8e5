"""One serving machine: requests share its speed equally, none faster than a stream can be, at most `slots` at a time.

With `n` requests in service each gets `min(stream_perf, perf / n)` load per second. Since all get the same, one clock of *attained
service* serves all of them: a request that begins when the clock reads `v` ends when it reads `v + load`. Everything is then a
heap, and time between events costs nothing.
"""

from __future__ import annotations

import heapq
import math
from collections import deque


class Station:
    """What one machine has before it. Times are seconds; they never go backwards."""

    __slots__ = (
        "_active",
        "_at_s",
        "_attained",
        "_due_sum",
        "_queue",
        "_queued_load",
        "_rates",
        "finished_load",
        "perf",
        "received",
        "received_load",
        "slots",
        "stream_perf",
    )

    def __init__(self, *, perf: float, stream_perf: float, slots: int) -> None:
        self.perf = perf
        self.stream_perf = stream_perf
        self.slots = slots
        self.received = 0
        self.received_load = 0.0
        self.finished_load = 0.0
        self._attained = 0.0
        self._at_s = 0.0
        self._due_sum = 0.0
        self._active: list[tuple[float, int, float]] = []  # (attained when it ends, request, load)
        self._queue: deque[tuple[int, float]] = deque()
        self._queued_load = 0.0
        # Load per second of each request when so many are in service: asked for at every arrival and every end.
        self._rates = (stream_perf, *(min(stream_perf, perf / number) for number in range(1, slots + 1)))

    @property
    def in_flight(self) -> int:
        """How many requests are in service or queued here."""
        return len(self._active) + len(self._queue)

    def backlog(self, now_s: float) -> float:
        """Return the load that is still to be served."""
        number = len(self._active)
        if not number:
            return 0.0
        attained = self._attained + (now_s - self._at_s) * self._rates[number]
        return max(0.0, self._due_sum - number * attained) + self._queued_load

    def wait_s(self) -> float:
        """Return how long a request that came now would wait for a slot: none while one is free."""
        return 0.0 if len(self._active) < self.slots else self._queued_load / self.perf

    def admit(self, request: int, load: float, now_s: float) -> bool:
        """Take a request; tells whether it begins at once."""
        self._advance(now_s)
        self.received += 1
        self.received_load += load
        if len(self._active) >= self.slots:
            self._queue.append((request, load))
            self._queued_load += load
            return False
        self._begin(request, load)
        return True

    def next_end_s(self) -> float:
        """Return when the next request ends if nothing else happens; infinity if none is in service."""
        if not self._active:
            return math.inf
        return self._at_s + max(0.0, self._active[0][0] - self._attained) / self._rates[len(self._active)]

    def end_one(self, now_s: float) -> tuple[int, int | None]:
        """Take out the request that ends now; return it, and the one that begins in its place."""
        self._advance(now_s)
        due, request, load = heapq.heappop(self._active)
        self._due_sum -= due
        self.finished_load += load
        begun = None
        if self._queue:
            begun, queued_load = self._queue.popleft()
            self._queued_load -= queued_load
            self._begin(begun, queued_load)
        if not self._active:
            self._attained = self._due_sum = 0.0
        return request, begun

    def empty(self) -> list[int]:
        """Take everything out, unserved, and return it."""
        requests = [request for _, request, _ in self._active] + [request for request, _ in self._queue]
        self.finished_load = self.received_load  # as a worker that is restarted holds nothing
        self._active.clear()
        self._queue.clear()
        self._attained = self._due_sum = self._queued_load = 0.0
        return requests

    def _begin(self, request: int, load: float) -> None:
        due = self._attained + load
        heapq.heappush(self._active, (due, request, load))
        self._due_sum += due

    def _advance(self, now_s: float) -> None:
        if self._active:
            self._attained += (now_s - self._at_s) * self._rates[len(self._active)]
        self._at_s = now_s
