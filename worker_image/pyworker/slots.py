"""The queue in front of the inference server: so many requests at a time, the rest in the order they came.

Fair: a slot that becomes free is handed to whoever waits longest, and a newcomer never takes it past the queue. Bounded in
time twice: a newcomer whose wait would be too long by the measured speed is refused at once, so that its client can try another
worker while that is still useful; and whoever in fact waited too long is refused then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class QueueFull(Exception):
    """No slot within the allowed wait; answer 429 with `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"no slot within the allowed wait; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class SlotQueue:
    """`slots` requests run at a time. `perf` is load per second, 0 while unknown; waits are limited to `wait_s_max`."""

    def __init__(self, *, wait_s_max: float, slots: int = 1, perf: float = 0.0) -> None:
        self.wait_s_max = wait_s_max
        self._slots = slots
        self._perf = perf
        self._running = 0
        self._load = 0.0  # of everything that runs or waits
        self._waiting: deque[asyncio.Future[None]] = deque()

    def measured(self, *, slots: int, perf: float) -> None:
        """Take over what the performance test found."""
        self._slots, self._perf = slots, perf
        self._hand_on()

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return len(self._waiting)

    def expected_wait_s(self) -> float:
        """Return how long a newcomer would wait: 0 with a slot free, else until as many have ended as are before it, and one more.

        Full slots end requests of the mean load at the measured speed, so that many slots free one soon, however long each takes.
        """
        waiting = len(self._waiting)
        if (self._running < self._slots and not waiting) or not self._perf:
            return 0.0
        mean_load = self._load / (self._running + waiting)
        return (waiting + 1) * mean_load / self._perf

    @contextlib.asynccontextmanager
    async def slot(self, load: float) -> AsyncIterator[None]:
        """Hold a slot for the body of the block. Raises QueueFull."""
        expected_s = self.expected_wait_s()
        if expected_s > self.wait_s_max:
            raise QueueFull(expected_s - self.wait_s_max)
        self._load += load
        try:
            await self._take()
            try:
                yield
            finally:
                self._give_back()
        finally:
            self._load = self._load - load if self._running or self._waiting else 0.0

    async def _take(self) -> None:
        if self._running < self._slots and not self._waiting:
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self.wait_s_max):
                await turn
        except BaseException as exc:
            self._abandon(turn)
            if isinstance(exc, TimeoutError):
                raise QueueFull(max(1.0, self.expected_wait_s())) from exc
            raise

    def _abandon(self, turn: asyncio.Future[None]) -> None:
        # The slot may have been handed over in the very moment its owner gave up: then it is handed on.
        if turn.done() and not turn.cancelled():
            self._give_back()
        else:
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)

    def _give_back(self) -> None:
        self._running -= 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting and self._running < self._slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)
