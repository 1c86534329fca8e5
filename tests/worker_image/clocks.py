"""Clocks for tests."""

from __future__ import annotations

import time

from pyworker.clock import RouterClock


def aged_clock(age_s: float = 3600.0) -> RouterClock:
    """Return the clock of a run that began `age_s` ago, so that every ticket of this test was issued after its start."""
    starts = [time.monotonic() - age_s]
    return RouterClock(
        monotonic=lambda: starts.pop() if starts else time.monotonic(),
        wall=lambda: time.time() - age_s,
    )
