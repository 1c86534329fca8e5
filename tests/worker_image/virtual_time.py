"""An event loop whose time passes at once: whoever sleeps wakes in the order and at the (loop's) time that he would have.

For code without sockets and threads: when nothing is ready, the clock jumps to the next timer instead of waiting for it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """Never waits: what would have been waited for is added to the time."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look once; let the time pass."""
        self.now_s += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, which begins at 1000 s."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return the loop's time."""
        return 1000.0 + self._jump.now_s


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, whatever time that takes."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
