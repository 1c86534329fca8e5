"""Work as it arrives, in bins of time. Pure: every time is an argument (seconds of one monotonic clock).

A streamed unit counts in the bin in which it came. What a server does in silence (reading a prompt before its first output, making
a reply that comes in one piece) counts evenly over the whole time it took; so while a trial is `pending`, the bins since its
start are not final, and `whole_bins` leaves them out. Otherwise prompts would come in lumps, and the last trials of a test, begun
and never counted, would make every serial server look slow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Tally:
    """What arrived since `begin`; nothing before it counts."""

    bin_s: float
    bins: list[float] = field(default_factory=list)
    started_s: float | None = None
    last_s: float = 0.0
    gap_max_s: float = 0.0
    first_outputs_s: list[float] = field(default_factory=list)
    steps_s: list[float] = field(default_factory=list)
    pending_s: list[float] = field(default_factory=list)  # starts of trials that work in silence
    trials: int = 0
    errors: int = 0
    errors_in_a_row: int = 0
    last_error: str = ""

    def begin(self, now_s: float) -> None:
        """Start to count: the warm-up is over."""
        self.bins, self.started_s, self.last_s, self.gap_max_s = [], now_s, now_s, 0.0

    def arrived(self, load: float, now_s: float) -> None:
        """Count a streamed unit."""
        if self.started_s is None:
            return
        self._add(load, int((now_s - self.started_s) / self.bin_s))
        self.gap_max_s, self.last_s = max(self.gap_max_s, now_s - self.last_s), now_s

    def spread(self, load: float, from_s: float, to_s: float) -> None:
        """Count work done in silence, evenly over its time."""
        if self.started_s is None or to_s <= max(from_s, self.started_s):
            return
        load_per_s = load / (to_s - from_s)
        at_s, end_s = max(from_s, self.started_s) - self.started_s, to_s - self.started_s
        while at_s < end_s:
            index = int(at_s / self.bin_s)
            next_s = min(end_s, max((index + 1) * self.bin_s, at_s + 1e-9))
            self._add(load_per_s * (next_s - at_s), index)
            at_s = next_s

    @contextlib.contextmanager
    def pending(self, started_s: float) -> Iterator[None]:
        """Mark a trial as working in silence for the block, which counts that work with `spread`."""
        self.pending_s.append(started_s)
        try:
            yield
        finally:
            self.pending_s.remove(started_s)

    def failed(self, reason: str) -> None:
        """Count a trial that was not served."""
        self.errors, self.errors_in_a_row, self.last_error = self.errors + 1, self.errors_in_a_row + 1, reason

    def served(self, *, first_output_s: float, step_s: float | None) -> None:
        """Count a trial that was; times in seconds, `step_s` between two units of its output where there were several."""
        self.trials, self.errors_in_a_row = self.trials + 1, 0
        self.first_outputs_s.append(first_output_s)
        if step_s is not None:
            self.steps_s.append(step_s)

    def whole_bins(self, now_s: float) -> list[float]:
        """Return the bins that can no longer change, silent ones included."""
        if self.started_s is None:
            return []
        final_s = min([now_s, *self.pending_s])
        count = max(0, int((final_s - self.started_s) / self.bin_s))
        return [*self.bins, *[0.0] * count][:count]

    def _add(self, load: float, index: int) -> None:
        self.bins.extend([0.0] * (index + 1 - len(self.bins)))
        self.bins[index] += load
