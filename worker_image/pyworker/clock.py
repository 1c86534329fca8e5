"""The control plane's time, as this worker knows it.

Rented machines have clocks that are minutes off, and a ticket's lifetime is a minute. So the worker's own wall clock is used only
until the first report is answered; from then on the time is the control plane's, carried forward by the monotonic clock.

An answer's `now_s` was read between the sending of the report and the receipt of its answer, which bounds the offset from both
sides. `first_issue_s` uses both: it is the first whole second that certainly began after this run did. Tickets issued earlier
may have been used with a run before this one and are refused, which makes a ticket good for one use even across a restart; and
the worker does not call itself ready before that second (`not_before_s`), so that no ticket of its own is refused for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

# A sample is replaced by any better one, and by any at all once this old: a monotonic clock drifts by seconds a day.
SAMPLE_AGE_MAX_S: Final = 600.0
# Reports and routes are answered by different machines of the control plane, whose clocks differ by milliseconds.
ROUTER_CLOCKS_APART_S: Final = 0.1


class RouterClock:
    """Epoch seconds of the control plane. `monotonic` and `wall` are arguments so that tests own time."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._started_s = monotonic()
        self._offset_s = wall() - self._started_s
        self._uncertainty_s = math.inf
        self._sampled_s = -math.inf
        self._first_issue_s: int | None = None

    def monotonic_s(self) -> float:
        """Return this machine's monotonic clock, to be given to `learn`."""
        return self._monotonic()

    def now_s(self) -> float:
        """Return the control plane's time; before it is known, this machine's."""
        return self._monotonic() + self._offset_s

    def learn(self, now_s: float, *, sent_s: float, received_s: float) -> None:
        """Take over an answer's clock. `sent_s` and `received_s` are monotonic times around the call."""
        uncertainty_s = (received_s - sent_s) / 2
        if uncertainty_s > self._uncertainty_s and received_s - self._sampled_s < SAMPLE_AGE_MAX_S:
            return
        self._offset_s = now_s - (sent_s + received_s) / 2
        self._uncertainty_s, self._sampled_s = uncertainty_s, received_s
        if self._first_issue_s is None:
            self._first_issue_s = math.floor(self._started_s + self._offset_s + uncertainty_s) + 1

    @property
    def known(self) -> bool:
        """Whether the control plane has told its time."""
        return self._first_issue_s is not None

    @property
    def first_issue_s(self) -> int:
        """The earliest `issued_at` that is accepted."""
        if self._first_issue_s is not None:
            return self._first_issue_s
        return math.floor(self._started_s + self._offset_s) + 1

    def seconds_to_first_issue(self) -> float:
        """Return how long until every ticket issued from then on is acceptable; 0 when that is so already."""
        uncertainty_s = self._uncertainty_s if self.known else 0.0
        certainly_s = self.now_s() - uncertainty_s - ROUTER_CLOCKS_APART_S
        return max(0.0, self.first_issue_s - certainly_s)
