"""Simulated time: an agenda of things that happen by themselves while somebody else waits.

Whoever waits, or makes a call that takes time, lets everything that is due happen first, in order. So reports, requests and other
scalers fall between any two calls of a scaler, as they do in reality, and one seed always gives one history.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Happening = Callable[[], None]


class SimulatedClock:
    """Implements `ports.Clock`."""

    def __init__(self, start_s: float) -> None:
        self._now_s = start_s
        self._agenda: list[tuple[float, int, Happening]] = []
        self._order = count()

    def now_s(self) -> float:
        """Return the time now."""
        return self._now_s

    def wait_s(self, duration_s: float) -> None:
        """Let time pass, and everything happen that is due meanwhile."""
        self.run_until(self._now_s + duration_s)

    def after(self, delay_s: float, happening: Happening) -> None:
        """Let something happen later."""
        heapq.heappush(self._agenda, (self._now_s + delay_s, next(self._order), happening))

    def run_until(self, end_s: float) -> None:
        """Let everything happen that is due by then. What happens may itself take time, or wait."""
        while self._agenda and self._agenda[0][0] <= end_s:
            at_s, _, happening = heapq.heappop(self._agenda)
            self._now_s = max(self._now_s, at_s)
            happening()
        self._now_s = max(self._now_s, end_s)


class SkewedClock:
    """Implements `ports.Clock`: somebody's own clock, ahead of the true time by `ahead_s` (behind, if negative)."""

    def __init__(self, clock: SimulatedClock, ahead_s: float) -> None:
        self._clock = clock
        self.ahead_s = ahead_s

    def now_s(self) -> float:
        """Return the time that this clock shows."""
        return self._clock.now_s() + self.ahead_s

    def wait_s(self, duration_s: float) -> None:
        """Let true time pass."""
        self._clock.wait_s(duration_s)
