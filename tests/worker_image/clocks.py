"""Clocks for tests."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyworker.clock import RouterClock


def aged_clock(age_s: float = 3600.0, *, ahead_s: Callable[[], float] = lambda: 0.0) -> RouterClock:
    """Return the clock of a run that began `age_s` ago, so that every ticket of this test was issued after its start.

    `ahead_s` says how far it is ahead of the machine's.
    """
    starts = [time.monotonic() - age_s]
    return RouterClock(
        monotonic=lambda: starts.pop() if starts else time.monotonic() + ahead_s(),
        wall=lambda: time.time() - age_s,
    )
