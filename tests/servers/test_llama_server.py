"""The worker in front of llama.cpp's own server, with a model of random weights."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from protocol.report import Phase
from tests.servers.gguf import write_model
from tests.servers.programs import kill_server, program
from tests.worker_image.backends.standins import Served, working
from tests.worker_image.waiting import until_async

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ASK = {"prompt": "river stone", "n_predict": 12, "ignore_eos": True, "cache_prompt": False}


def llama(folder: Path, model: Path | str, **changed: str) -> AbstractAsyncContextManager[Served]:
    given = {"MODEL_ID": str(model), "LLAMA_SERVER": program("llama-server"), "HEADGATE_SLOTS": "2"}
    return working("llamacpp", folder, **given, HEADGATE_PERF_SECONDS_MAX="3", **changed)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("llama")
    async with llama(folder, write_model(folder / "random.gguf")) as running:
        assert await running.phase(Phase.READY, Phase.ERROR) is Phase.READY, running.control_plane.last.error
        yield running


async def test_it_becomes_ready_with_the_slots_it_was_started_with(served: Served) -> None:
    report = served.control_plane.last

    assert (report.slots, report.perf > 0) == (2, True)


async def test_it_answers_by_its_own_api(served: Served) -> None:
    status, body = await served.post("/completion", ASK)

    assert (status, json.loads(body)["tokens_predicted"]) == (200, 12)


async def test_it_answers_by_openais_api(served: Served) -> None:
    asked = {"messages": [{"role": "user", "content": "river"}], "max_tokens": 5}
    status, body = await served.post("/v1/chat/completions", asked)

    assert (status, json.loads(body)["usage"]["completion_tokens"]) == (200, 5)


async def test_streams_one_after_another_all_end_well(served: Served) -> None:
    """On connections that are used again every second one would break."""
    replies = [await served.post("/completion", {**ASK, "stream": True}) for _ in range(20)]

    assert sum(b'"stop":true' in body and b"<cut>" not in body for _, body in replies) == 20


async def test_a_prompt_that_is_too_long_is_the_clients_fault(served: Served) -> None:
    before = served.control_plane.last
    status, _ = await served.post("/completion", {**ASK, "prompt": "river " * 4000})
    await until_async(lambda: served.control_plane.last.finished_requests > before.finished_requests)
    after = served.control_plane.last

    assert (status, after.failed_requests, after.phase) == (400, before.failed_requests, Phase.READY)


async def test_the_servers_queue_enters_the_report(served: Served) -> None:
    await until_async(lambda: served.control_plane.last.queue_depth is not None)

    assert served.control_plane.last.queue_depth == 0


async def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"no model at all")
    async with llama(tmp_path, tmp_path / "bad.gguf") as running:
        await running.phase(Phase.ERROR)
        error = running.control_plane.last.error

    assert "failed to load model from" in error


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with llama(tmp_path, write_model(tmp_path / "random.gguf"), MODEL_SERVER_URL=url) as running:
            await running.phase(Phase.ERROR)
            error = running.control_plane.last.error

    assert "couldn't bind HTTP server socket" in error


async def test_a_server_killed_in_a_stream_cuts_it_and_is_told(tmp_path: Path) -> None:
    async with llama(tmp_path, write_model(tmp_path / "random.gguf")) as running:
        await running.phase(Phase.READY)
        body = running.control_plane.body({**ASK, "n_predict": 1500, "stream": True})
        async with running.session.post(running.url + "/completion", json=body) as reply:
            await reply.content.readline()
            kill_server(running.model_url)
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(reply.read(), 20)
        await running.phase(Phase.ERROR)
        error, failed = running.control_plane.last.error, running.control_plane.last.failed_requests

    assert ("killed by SIGKILL" in error, failed) == (True, 1)
