"""The clock of the machine."""

from __future__ import annotations

import threading
import time


class SystemClock:
    """Seconds since the epoch, as this machine believes. Implements `ports.Clock`."""

    def now_s(self) -> float:
        """Return the time now."""
        return time.time()

    def wait_s(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        threading.Event().wait(duration_s)
