"""A request's turn in the engine: from its place in the queue to its last token, given up when whoever asked goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from sandbox.inference.engine import Engine, Sequence

TICK_S: Final = 0.05


@contextmanager
def turn(engine: Engine, *, prompt_tokens: int, new_tokens: int) -> Iterator[Sequence]:
    """Hold a place in the engine for the block."""
    sequence = engine.submit(prompt_tokens=prompt_tokens, new_tokens=new_tokens, now_s=time.monotonic())
    try:
        yield sequence
    finally:
        # Without effect on one that has ended; a client that went away frees its slot here.
        engine.cancel(sequence, now_s=time.monotonic())


async def progress(engine: Engine, sequence: Sequence) -> AsyncIterator[int]:
    """Yield the number of tokens made whenever it has grown, the last time when all are."""
    seen = 0
    while True:
        left_s = engine.left_s(sequence)
        await asyncio.sleep(TICK_S if left_s is None else min(left_s, TICK_S))
        engine.advance(time.monotonic())
        made = engine.tokens(sequence)
        if made > seen:
            seen = made
            yield made
        if sequence.ended_s is not None:
            return
