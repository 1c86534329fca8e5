"""When does the inference server serve? When it says that it is healthy *and* has generated something.

A line of the log is a hint: TGI prints its ready line before it listens, others before the model is loaded or again on a
reload, and some health routes know nothing of the model. So hints only make the worker look at once instead of at the next
turn.

Afterwards health is watched for as long as the worker runs: a server whose process lives but which no longer answers has failed
too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Final

from pyworker.backend import Ask
from pyworker.upstream import PROBE_TIMEOUT_S, Upstream, UpstreamFailed

LOOK_S: Final = 1.0
HEALTH_INTERVAL_S: Final = 5.0
UNHEALTHY_MAX_S: Final = 60.0


class NeverReady(Exception):
    """The server did not serve in time; the message says what it lacked."""


async def wait_until_serving(upstream: Upstream, *, hint: asyncio.Event, timeout_s: float, rng: random.Random) -> None:
    """Return once the server is healthy and has generated. Raises NeverReady."""
    lacked = "it was never healthy"
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                if await upstream.healthy():
                    lacked = await _generation_fault(upstream, rng)
                    if not lacked:
                        return
                await _next_look(hint)
    except TimeoutError as exc:
        raise NeverReady(f"the inference server did not serve within {timeout_s:g} s: {lacked}") from exc


async def watch_health(upstream: Upstream) -> str:
    """Return once the server has been unhealthy for UNHEALTHY_MAX_S, with a sentence."""
    loop = asyncio.get_running_loop()
    healthy_s = loop.time()
    while loop.time() - healthy_s < UNHEALTHY_MAX_S:
        await asyncio.sleep(HEALTH_INTERVAL_S)
        if await upstream.healthy():
            healthy_s = loop.time()
    return f"the inference server has not been healthy for {UNHEALTHY_MAX_S:g} s"


async def _generation_fault(upstream: Upstream, rng: random.Random) -> str:
    trial = upstream.backend.trial(Ask(rng=rng, units=1.0, prompt_tokens=1.0))
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            units = sum([count async for count in upstream.attempt(trial)])
    except (UpstreamFailed, TimeoutError) as exc:
        return f"its first generation failed: {exc}"
    return "" if units else "its first generation was empty"


async def _next_look(hint: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            await hint.wait()
    if hint.is_set():
        hint.clear()
