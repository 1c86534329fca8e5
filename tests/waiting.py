"""Wait for something to become true, with a deadline and a message. Tests use this instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

STEP_S: Final = 0.02

_T = TypeVar("_T")


def until(condition: Callable[[], _T], *, deadline_s: float = 10.0, what: str = "the condition") -> _T:
    """Return the first true value of `condition`, asked every STEP_S. Raises AssertionError after `deadline_s` seconds."""
    pause = threading.Event()
    end_s = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end_s:
            raise AssertionError(f"{what} did not become true within {deadline_s:g} s; the last value was {value!r}")
        pause.wait(STEP_S)
