"""`tests.waiting.until` for tests that run on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from tests.waiting import STEP_S

T = TypeVar("T")


async def until_async(condition: Callable[[], T], *, deadline_s: float = 20.0, what: str = "the condition") -> T:
    """Return the first true value of `condition`, asked every STEP_S. Raises AssertionError after `deadline_s` seconds."""
    end_s = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end_s:
            raise AssertionError(f"{what} did not become true within {deadline_s:g} s; the last value was {value!r}")
        await asyncio.sleep(STEP_S)
