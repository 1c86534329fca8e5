"""What is measured of a subject. Seconds in, seconds out."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.worker.figures import STREAMS
from bench.worker.subjects import Subject
from bench.worker.wire import Timing

CONNECTIONS: Final = 32
SATURATED_S: Final = 2.0
PACED_S: Final = 3.0
PREPARED_MAX: Final = 40_000
FIRST_BYTE_REQUESTS: Final = 150
OPEN_S: Final = 8.0
ASK: Final[dict[str, Any]] = {"inputs": "Tell me about canals. " * 20, "parameters": {"max_new_tokens": 20}}
HOLD: Final[dict[str, Any]] = {**ASK, "hold": True}


class Refused(Exception):
    """A request was not served: what is measured would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturated:
    """Requests a second when there is always another one, and CPU seconds of the worker for each."""

    requests_per_s: float
    cpu_s: float


async def saturated(subject: Subject, *, expected_per_s: float) -> Saturated:
    """Keep CONNECTIONS requests under way for SATURATED_S. Requests are signed before, for at most twice `expected_per_s`."""
    count = min(PREPARED_MAX, round(2 * expected_per_s * SATURATED_S) + CONNECTIONS)
    requests = [subject.request("/generate", ASK) for _ in range(count)]
    connections = await subject.pool.connections(CONNECTIONS)
    gc.collect()
    cpu_s, started_s, served = subject.cpu_s(), time.perf_counter(), 0

    async def run(connection: Any) -> None:
        nonlocal served
        while requests and time.perf_counter() < started_s + SATURATED_S:
            _check(await connection.begin(requests.pop()), subject)
            served += 1

    await asyncio.gather(*(run(connection) for connection in connections))
    passed_s = time.perf_counter() - started_s
    return Saturated(requests_per_s=served / passed_s, cpu_s=(subject.cpu_s() - cpu_s) / served)


async def paced(subject: Subject, *, per_s: float) -> list[float]:
    """Send requests at even intervals, whatever is still under way; return the latency of each."""
    count = round(per_s * PACED_S)
    requests = [subject.request("/generate", ASK) for _ in range(count)]
    idle: asyncio.Queue[Any] = asyncio.Queue()
    for connection in await subject.pool.connections(CONNECTIONS):
        idle.put_nowait(connection)
    gc.collect()
    started_s, latencies = time.perf_counter(), list[float]()

    async def one(request: bytes, connection: Any) -> None:
        latencies.append(_check(await connection.begin(request), subject).whole_s)
        idle.put_nowait(connection)

    async with asyncio.TaskGroup() as tasks:
        for index, request in enumerate(requests):
            await _until(started_s + index / per_s)
            tasks.create_task(one(request, await idle.get()))
    return latencies


async def first_bytes(subject: Subject) -> list[float]:
    """Return the times to the first byte of streamed replies, one request after another."""
    requests = [subject.request("/generate_stream", ASK) for _ in range(FIRST_BYTE_REQUESTS)]
    (connection,) = await subject.pool.connections(1)
    return [_check(await connection.begin(request), subject).first_s for request in requests]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """How many of STREAMS streams were open at a time, and the worker's resident memory then."""

    count: int
    memory_mb: float


async def open_streams(subject: Subject) -> Streams:
    """Open STREAMS streams and leave them open; count those that have begun when all have, or after OPEN_S."""
    subject.pool.close()
    connections = await subject.pool.connections(STREAMS)
    held = [connection.begin(subject.request("/generate_stream", HOLD)) for connection in connections]
    begun, _ = await asyncio.wait([connection.began for connection in connections], timeout=OPEN_S)
    found = Streams(count=len(begun), memory_mb=subject.memory_mb())
    subject.pool.close()
    await asyncio.gather(*held, return_exceptions=True)
    return found


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100)[percent - 1]


async def _until(at_s: float) -> None:
    # The loop's timers are a millisecond coarse; the last of it is waited for awake.
    while (left_s := at_s - time.perf_counter()) > 0:  # noqa: ASYNC110 - there is no event for a time to come
        await asyncio.sleep(left_s - 0.002 if left_s > 0.003 else 0)


def _check(timing: Timing, subject: Subject) -> Timing:
    if timing.status != 200:
        raise Refused(f"{subject.name} answered {timing.status}")
    return timing
