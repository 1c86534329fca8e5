"""The performance test against a server whose speed is known."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO

import pytest
from aiohttp import web

from pyworker.backends.helloautoscaler.backend import BACKEND as HELLO
from pyworker.backends.tgi.backend import BACKEND as TGI
from pyworker.listener import listen
from pyworker.metrics import PROMPT_WEIGHT
from pyworker.perftest import Measurement, PerfTest, PerfTestFailed, measure
from pyworker.upstream import Upstream
from sandbox.inference.engine import Engine
from sandbox.inference.journal import Journal
from sandbox.inference.limits import Limits, StreamFault
from sandbox.inference.server import InferenceServer
from sandbox.inference.speed import Speed
from tests.worker_image.process import free_port
from tests.worker_image.waiting import until_async


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = await listen(app, host="127.0.0.1", port=0)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def eight_slots() -> Engine:
    return Engine(Speed.from_throughput(tokens_per_s=800, slots=8))


def inference(engine: Engine, *, fault: StreamFault | None = None) -> web.Application:
    server = InferenceServer(engine, limits=Limits(), journal=Journal(StringIO(), now_s=lambda: 0.0), fault=fault)
    server.ready = True
    return server.application()


async def measured(upstream: Upstream, *, slots: int, limit_s: float = 2.0, prompt_weight: float | None = 0.2) -> Measurement:
    try:
        return await measure(upstream, slots=slots, prompt_weight=prompt_weight, limit_s=limit_s, rng=random.Random(1))
    finally:
        await upstream.close()


async def test_the_measured_speed_is_the_servers() -> None:
    """A full batch of eight makes 800 tokens a second; a prompt token costs the engine what it costs the measure."""
    async with served(inference(eight_slots())) as url:
        found = await measured(Upstream(TGI, url), slots=8)

    assert found.perf == pytest.approx(800, rel=0.2)


async def test_the_speed_of_a_single_stream_is_told_too() -> None:
    """Two and a half times its share of a full batch, as the sandbox's engine has it."""
    async with served(inference(eight_slots())) as url:
        found = await measured(Upstream(TGI, url), slots=8)

    assert found.single_stream_units_per_s == pytest.approx(250, rel=0.35)


async def test_fewer_streams_than_slots_do_not_fill_the_batch() -> None:
    """One stream alone gets its 250 tokens a second of 800: the reason for testing at the server's own concurrency."""
    async with served(inference(eight_slots())) as url:
        found = await measured(Upstream(TGI, url), slots=1)

    assert found.perf < 400


async def test_replies_in_one_piece_are_measured_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELLO_UNITS_PER_S", "200")
    assert HELLO.local_server is not None
    async with served(await HELLO.local_server()) as url:
        found = await measured(Upstream(HELLO, url), slots=1)

    assert found.perf == pytest.approx(200, rel=0.2)


@pytest.mark.parametrize("weight", [0.1, 0.4])
async def test_the_weight_of_prompts_is_measured(weight: float) -> None:
    """The engine's own: the time a prompt token takes, in units of what a token of a full batch takes."""
    engine = Engine(Speed.from_throughput(tokens_per_s=800, slots=8, prompt_weight=weight))
    async with served(inference(engine)) as url:
        found = await measured(Upstream(TGI, url), slots=8, limit_s=4, prompt_weight=None)

    assert found.prompt_weight == pytest.approx(weight, rel=0.35)


async def test_a_server_without_prompts_has_no_weight_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELLO_UNITS_PER_S", "200")
    assert HELLO.local_server is not None
    async with served(await HELLO.local_server()) as url:
        found = await measured(Upstream(HELLO, url), slots=1, limit_s=1, prompt_weight=None)

    assert found.prompt_weight == PROMPT_WEIGHT


async def test_a_server_that_is_not_there_fails_the_test() -> None:
    with pytest.raises(PerfTestFailed, match="first trial failed"):
        await measured(Upstream(TGI, f"http://127.0.0.1:{free_port()}"), slots=1)


async def test_a_server_that_fails_every_trial_fails_the_test_with_its_reason() -> None:
    async with served(inference(eight_slots(), fault=StreamFault(after_tokens=2))) as url:
        with pytest.raises(PerfTestFailed, match="Request failed during generation"):
            await measured(Upstream(TGI, url), slots=2)


async def test_trials_in_flight_are_ended_with_the_test() -> None:
    engine = Engine(Speed.from_throughput(tokens_per_s=100, slots=2))
    async with served(inference(engine)) as url:
        await measured(Upstream(TGI, url), slots=4, limit_s=1)

        await until_async(lambda: engine.running + engine.waiting == 0, what="the engine is empty")


def result(*flags: str, half_width: float = 10.0) -> Measurement:
    return Measurement(
        perf=100.0,
        half_width=half_width,
        slots=8,
        flags=flags,
        prompt_weight=0.3,
        cold_s=0.1,
        single_stream_units_per_s=30.0,
        first_output_s=0.1,
        step_s=0.03,
        trials=100,
        errors=0,
    )


async def doubted(
    monkeypatch: pytest.MonkeyPatch, first: Measurement, second: Measurement, *, limit_s: float = 28.0
) -> Measurement:
    """Measure with tests that would find one after the other; no server is asked."""
    results = [first, second]

    async def run(_test: PerfTest) -> Measurement:
        return results.pop(0)

    monkeypatch.setattr(PerfTest, "run", run)
    return await measured(Upstream(TGI, "http://127.0.0.1:9"), slots=8, limit_s=limit_s)


@pytest.mark.parametrize("flag", ["imprecise", "stalls"])
async def test_a_doubtful_result_is_tested_again(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    good = result(half_width=4.0)

    assert await doubted(monkeypatch, result(flag), good) is good


async def test_of_two_doubtful_results_the_more_precise_one_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    first = result("imprecise", half_width=6.0)

    assert await doubted(monkeypatch, first, result("imprecise", half_width=9.0)) is first


async def test_a_slow_machine_is_not_tested_again_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    first = result("throttling")

    assert await doubted(monkeypatch, first, result()) is first


async def test_a_shortened_test_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    first = result("imprecise")

    assert await doubted(monkeypatch, first, result(), limit_s=2.0) is first
