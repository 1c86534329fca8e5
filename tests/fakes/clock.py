"""Time that a test owns."""

from __future__ import annotations


class FakeClock:
    """Implements `ports.Clock`: stands still until it is told to move, or somebody waits."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def now_s(self) -> float:
        """Return the time that the test has set."""
        return self._now_s

    def wait_s(self, duration_s: float) -> None:
        """Let that much time pass at once."""
        self._now_s += duration_s

    advance = wait_s
