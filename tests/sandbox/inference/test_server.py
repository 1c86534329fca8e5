"""TGI's interface: what its clients rely on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pyworker.backends.tgi.logwatch import LOG_RULES
from pyworker.logwatch import LineKind
from sandbox.inference.engine import Engine
from sandbox.inference.journal import Journal, rust_duration
from sandbox.inference.limits import Limits, StreamFault
from sandbox.inference.server import InferenceServer
from sandbox.inference.speed import Speed
from tests.worker_image.waiting import until_async


class Served:
    """A server on loopback, its engine and its log."""

    def __init__(self, *, slots: int = 4, concurrent_max: int = 128, fault: StreamFault | None = None) -> None:
        self.log = StringIO()
        self.engine = Engine(Speed.from_throughput(tokens_per_s=2000, slots=slots))
        limits = Limits(max_concurrent_requests=concurrent_max)
        self.server = InferenceServer(self.engine, limits=limits, journal=Journal(self.log, now_s=lambda: 1.5e9), fault=fault)
        self.server.ready = True

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Serve for the block; its paths are relative to the server."""
        runner = web.AppRunner(self.server.application(), handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
                yield session
        finally:
            await runner.cleanup()


def asking(tokens: Any, *, inputs: Any = "hello", **parameters: Any) -> dict[str, Any]:
    return {"inputs": inputs, "parameters": {"max_new_tokens": tokens, **parameters}}


async def events_of(reply: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in (await reply.read()).split(b"\n") if line.startswith(b"data:")]


async def test_it_is_unhealthy_until_it_has_loaded() -> None:
    served = Served()
    served.server.ready = False
    async with served.session() as session:
        async with session.get("/health") as reply:
            loading = reply.status
        served.server.ready = True
        async with session.get("/health") as reply:
            assert (loading, reply.status) == (503, 200)


async def test_a_request_while_loading_is_refused() -> None:
    served = Served()
    served.server.ready = False
    async with served.session() as session, session.post("/generate", json=asking(1)) as reply:
        assert reply.status == 503


async def test_it_generates_as_many_tokens_as_asked_for() -> None:
    async with Served().session() as session, session.post("/generate", json=asking(7, details=True)) as reply:
        answer = await reply.json()

        assert (len(answer["generated_text"].split()), answer["details"]["generated_tokens"]) == (7, 7)


async def test_the_same_prompt_gets_the_same_text() -> None:
    async with Served().session() as session:
        texts = set()
        for _ in range(2):
            async with session.post("/generate", json=asking(7)) as reply:
                texts.add((await reply.json())["generated_text"])

        assert len(texts) == 1


async def test_its_times_are_told_in_headers() -> None:
    async with Served().session() as session, session.post("/generate", json=asking(7)) as reply:
        assert (reply.headers["x-generated-tokens"], reply.headers["x-prompt-tokens"]) == ("7", "1")


async def test_a_stream_has_an_event_a_token_and_the_text_in_the_last() -> None:
    async with Served().session() as session, session.post("/generate_stream", json=asking(7)) as reply:
        events = await events_of(reply)

        assert [event["index"] for event in events] == [1, 2, 3, 4, 5, 6, 7]
        assert events[-1]["generated_text"] == "".join(event["token"]["text"] for event in events)
        assert [event["generated_text"] for event in events[:-1]] == [None] * 6


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (asking(5, inputs=""), "`inputs` cannot be empty"),
        (asking(5, inputs=5), "`inputs` cannot be empty"),
        (asking(0), "strictly positive"),
        (asking("many"), "strictly positive"),
        (asking(5000), "must be <= 4096"),
        (asking(5, inputs="x" * 20_000), "less than 4095 tokens"),
        ([], "cannot be empty"),
    ],
)
async def test_what_is_not_valid_is_refused_as_tgi_does(body: Any, message: str) -> None:
    async with Served().session() as session, session.post("/generate", json=body) as reply:
        answer = await reply.json()

        assert (reply.status, answer["error_type"]) == (422, "validation")
        assert message in answer["error"]


async def test_too_many_requests_are_refused_as_tgi_does() -> None:
    served = Served(concurrent_max=1)
    async with (
        served.session() as session,
        session.post("/generate_stream", json=asking(3000)),
        session.post("/generate", json=asking(1)) as reply,
    ):
        assert (reply.status, (await reply.json())["error_type"]) == (429, "overloaded")


async def test_a_client_that_goes_away_frees_its_slot() -> None:
    served = Served(slots=1)
    async with served.session() as session:
        async with session.post("/generate_stream", json=asking(3000)):
            await until_async(lambda: served.engine.running)

        await until_async(lambda: not served.engine.running, what="the slot is free")


async def test_a_fault_can_be_told_inside_a_stream() -> None:
    served = Served(fault=StreamFault(after_tokens=2))
    async with served.session() as session, session.post("/generate_stream", json=asking(1000)) as reply:
        assert (await events_of(reply))[-1]["error_type"] == "generation"


async def test_a_stream_can_be_cut() -> None:
    served = Served(fault=StreamFault(after_tokens=2, cut=True))
    async with served.session() as session, session.post("/generate_stream", json=asking(1000)) as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_a_served_request_is_logged_with_its_times() -> None:
    served = Served()
    async with served.session() as session, session.post("/generate", json=asking(7)):
        pass

    entry = json.loads(served.log.getvalue())
    assert (entry["message"], entry["target"]) == ("Success", "text_generation_router::server")
    assert {"total_time", "queue_time", "inference_time", "time_per_token"} <= {*entry["span"]}


async def test_what_it_logs_of_a_request_means_nothing_to_the_worker() -> None:
    served = Served()
    async with served.session() as session, session.post("/generate", json=asking(7, inputs="Error: ShardFailed")):
        pass

    assert LOG_RULES.classify(served.log.getvalue())[0] is LineKind.STATS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.195713965, "1.195713965s"), (0.018683, "18.683ms"), (0.000686203, "686.203µs"), (5e-9, "5ns"), (0, "0ns")],
)
def test_durations_are_written_as_rust_does(seconds: float, text: str) -> None:
    assert rust_duration(seconds) == text
