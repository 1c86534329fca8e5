"""The worker's benchmark: its client and stub, and what it makes of figures. The whole of it is `make bench-worker`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.worker import measure
from bench.worker.figures import ROWS, factor, table
from bench.worker.stub import Connection, Stub
from bench.worker.subjects import Subject, direct

FOUND = {
    "direct": dict.fromkeys([key for key, _ in ROWS], 1.0),
    "headgate": dict.fromkeys([key for key, _ in ROWS], 2.0),
    "vastai": dict.fromkeys([key for key, _ in ROWS], 5.0),
}


@asynccontextmanager
async def stubbed() -> AsyncIterator[Subject]:
    stub = Stub(pem=b"", ed25519="")
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stub.answer), "127.0.0.1", 0)
    subject = direct(server.sockets[0].getsockname()[1])
    yield subject
    subject.pool.close()
    server.close()
    await server.wait_closed()


async def test_the_client_and_the_stub_are_much_faster_than_any_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SATURATED_S", 0.2)
    async with stubbed() as subject:
        found = await measure.saturated(subject, expected_per_s=50_000)

    assert found.requests_per_s > 3000


async def test_every_paced_request_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PACED_S", 0.1)
    async with stubbed() as subject:
        assert len(await measure.paced(subject, per_s=500)) == 50


async def test_the_first_byte_comes_before_the_last() -> None:
    async with stubbed() as subject:
        assert all(0 < first_s < 1 for first_s in await measure.first_bytes(subject))


async def test_open_streams_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "STREAMS", 20)
    async with stubbed() as subject:
        assert (await measure.open_streams(subject)).count == 20


@pytest.mark.parametrize(("key", "times"), [("requests_per_s", 0.4), ("cpu_us", 2.5), ("p99_ms", 4.0), ("streams", 0.4)])
def test_latencies_are_compared_by_what_is_added(key: str, times: float) -> None:
    assert factor(FOUND, key) == times


def test_the_table_has_a_row_a_figure() -> None:
    assert len(table(FOUND).splitlines()) == len(ROWS) + 2
