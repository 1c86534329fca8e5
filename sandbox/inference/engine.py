"""Who gets which token when: continuous batching as a pure function of time.

All running sequences advance together, one token an iteration, so their progress is one number, the *iteration clock*, which
runs at `1 / iteration_s(batch)` and changes pace only when a sequence starts or ends. A sequence that starts at iteration v and
has n tokens to make ends at v + n, whatever happens to others meanwhile. So a step to any later time needs one pass over the
sequences that end before it, and how often somebody looks does not change what they see.

Sequences beyond the slots wait in order of arrival, and start in the very moment that a slot becomes free.

Invariants: at most `slots` run; nobody waits while a slot is free; a sequence's tokens never decrease.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field

from sandbox.inference.speed import Speed


@dataclass(slots=True, kw_only=True, eq=False)
class Sequence:
    """One generation. Times are those given to the engine, None until they happen."""

    prompt_tokens: int
    new_tokens: int
    queued_s: float
    started_s: float | None = None
    ended_s: float | None = None
    first_iteration: float = field(default=0.0)
    cancelled: bool = False


class Engine:
    """Runs sequences at the pace of `speed`. Every method takes the time, which must not go back."""

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self._iteration = 0.0
        self._at_s = 0.0
        self._running: set[Sequence] = set()
        self._ends: list[tuple[float, int, Sequence]] = []
        self._order = itertools.count()
        self._waiting: deque[Sequence] = deque()

    @property
    def running(self) -> int:
        """How many sequences are in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def submit(self, *, prompt_tokens: int, new_tokens: int, now_s: float) -> Sequence:
        """Add a sequence; it runs at once if there is a slot."""
        self.advance(now_s)
        sequence = Sequence(prompt_tokens=prompt_tokens, new_tokens=new_tokens, queued_s=now_s)
        self._waiting.append(sequence)
        self._fill()
        return sequence

    def cancel(self, sequence: Sequence, *, now_s: float) -> None:
        """Take a sequence out, wherever it is. One that has ended stays as it is."""
        self.advance(now_s)
        if sequence.ended_s is None:
            sequence.cancelled, sequence.ended_s = True, now_s
            self._running.discard(sequence)
            if sequence in self._waiting:
                self._waiting.remove(sequence)
            self._fill()

    def advance(self, now_s: float) -> None:
        """Let time pass up to `now_s`."""
        while (sequence := self._next_to_end()) is not None:
            end_s = self._at_s + self._left_s(sequence)
            if end_s > now_s:
                break
            self._pass_to(end_s)
            heapq.heappop(self._ends)
            self._running.discard(sequence)
            sequence.ended_s = end_s
            self._fill()
        self._pass_to(max(now_s, self._at_s))

    def tokens(self, sequence: Sequence) -> int:
        """Return how many tokens it has made, as of the last `advance`."""
        if sequence.started_s is None:
            return 0
        if sequence.ended_s is not None and not sequence.cancelled:
            return sequence.new_tokens
        made = self._iteration - sequence.first_iteration - self._prefill(sequence)
        # Half a thousandth of a token, so that rounding never withholds one that is due.
        return min(max(int(made + 5e-4), 0), sequence.new_tokens)

    def left_s(self, sequence: Sequence) -> float | None:
        """Return how long it will still take if the batch stays as it is; None while it waits for a slot."""
        return self._left_s(sequence) if sequence.started_s is not None else None

    def _left_s(self, sequence: Sequence) -> float:
        return max(0.0, self._end_iteration(sequence) - self._iteration) * self.speed.iteration_s(max(1, len(self._running)))

    def _end_iteration(self, sequence: Sequence) -> float:
        return sequence.first_iteration + self._prefill(sequence) + sequence.new_tokens

    def _prefill(self, sequence: Sequence) -> float:
        return self.speed.prompt_weight * sequence.prompt_tokens

    def _pass_to(self, at_s: float) -> None:
        if self._running:
            self._iteration += (at_s - self._at_s) / self.speed.iteration_s(len(self._running))
        self._at_s = at_s

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self.speed.slots:
            sequence = self._waiting.popleft()
            sequence.started_s, sequence.first_iteration = self._at_s, self._iteration
            self._running.add(sequence)
            heapq.heappush(self._ends, (self._end_iteration(sequence), next(self._order), sequence))

    def _next_to_end(self) -> Sequence | None:
        while self._ends and self._ends[0][2].cancelled:
            heapq.heappop(self._ends)
        return self._ends[0][2] if self._ends else None
