"""The queue before the server: fair, bounded, and never a slot lost."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from pyworker.slots import QueueFull, SlotQueue
from tests.worker_image.waiting import until_async


class Holder:
    """A request that holds a slot until it is told to go."""

    def __init__(self, queue: SlotQueue, *, load: float = 10) -> None:
        self.entered = False
        self._go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(queue, load))

    async def _hold(self, queue: SlotQueue, load: float) -> None:
        async with queue.slot(load):
            self.entered = True
            await self._go.wait()

    async def leave(self) -> None:
        """End the request."""
        self._go.set()
        await self.task


def measured(slots: int, *, perf: float = 10, wait_s_max: float = 30) -> SlotQueue:
    queue = SlotQueue(wait_s_max=wait_s_max)
    queue.measured(slots=slots, perf=perf)
    return queue


async def started(queue: SlotQueue, count: int) -> list[Holder]:
    """Start holders one after the other, each in line before the next comes."""
    holders = []
    for _ in range(count):
        before = queue.running + queue.waiting
        holders.append(Holder(queue))
        await until_async(lambda before=before: queue.running + queue.waiting > before, what="it is in line")  # type: ignore[misc]
    return holders


async def test_as_many_run_as_there_are_slots() -> None:
    queue = measured(2)
    holders = await started(queue, 3)

    assert [holder.entered for holder in holders] == [True, True, False]
    for holder in holders:
        await holder.leave()


async def test_a_free_slot_goes_to_whoever_waits_longest() -> None:
    queue = measured(1)
    first, second, third = await started(queue, 3)
    await first.leave()
    await until_async(lambda: second.entered or third.entered)

    assert (second.entered, third.entered) == (True, False)
    await second.leave()
    await third.leave()


async def test_a_request_whose_wait_would_be_too_long_is_refused_at_once() -> None:
    """Ten units a second, 10 units ahead, and at most half a second of waiting allowed."""
    queue = measured(1, perf=10, wait_s_max=0.5)
    (running,) = await started(queue, 1)

    with pytest.raises(QueueFull) as refused:
        async with queue.slot(10):
            pass
    assert refused.value.retry_after_s == pytest.approx(0.5)
    await running.leave()


async def test_a_request_that_in_fact_waits_too_long_is_refused_then() -> None:
    """The speed is unknown, so nothing can be foretold."""
    queue = measured(1, perf=0, wait_s_max=0.05)
    (running,) = await started(queue, 1)

    with pytest.raises(QueueFull):
        async with queue.slot(10):
            pass
    await running.leave()


async def test_with_a_slot_free_any_load_is_taken() -> None:
    queue = measured(1, perf=1, wait_s_max=0.1)

    async with queue.slot(1e6):
        assert queue.running == 1


async def test_a_waiter_that_gives_up_leaves_the_line() -> None:
    queue = measured(1)
    running, waiting = await started(queue, 2)
    waiting.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting.task

    assert (queue.running, queue.waiting) == (1, 0)
    await running.leave()


async def test_a_slot_handed_to_a_waiter_that_gives_up_in_that_moment_is_handed_on() -> None:
    queue = measured(1)
    first, second, third = await started(queue, 3)
    first.task.cancel()
    second.task.cancel()

    await until_async(lambda: third.entered, what="the third holds the slot")
    await third.leave()


async def test_more_slots_let_waiters_in() -> None:
    queue = measured(1)
    holders = await started(queue, 3)
    queue.measured(slots=3, perf=10)

    await until_async(lambda: all(holder.entered for holder in holders), what="all run")
    for holder in holders:
        await holder.leave()


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_no_slot_is_lost(seed: int) -> None:
    """Requests end, fail and are cancelled at random moments; in the end every slot is free and no load is left."""
    rng = random.Random(seed)
    queue = measured(3, perf=1e6)

    async def request() -> None:
        async with queue.slot(rng.random()):
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            if rng.random() < 0.3:
                raise ValueError

    tasks = [asyncio.create_task(request()) for _ in range(60)]
    for task in rng.sample(tasks, 20):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert (queue.running, queue.waiting, queue.expected_wait_s()) == (0, 0, 0)


async def test_with_many_full_slots_one_is_free_soon_however_long_each_request_takes() -> None:
    queue = measured(8, perf=10)
    holders = await started(queue, 8)
    alone, behind_two = queue.expected_wait_s(), await started(queue, 2)

    assert (alone, queue.expected_wait_s()) == (1.0, 3.0)  # eight of load 10 at 10 a second: one ends every second
    for holder in (*holders, *behind_two):
        await holder.leave()
