"""The worker in front of `transformers serve`, on a CPU, with a model of random weights."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import pytest_asyncio

from protocol.report import Phase
from tests.servers.programs import kill_server, program, write_transformers_model
from tests.worker_image.backends.standins import Served, working
from tests.worker_image.waiting import until_async

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

START_DEADLINE_S: Final = 180.0
ASK: Final = {"messages": [{"role": "user", "content": "river stone"}], "max_tokens": 12}


@pytest.fixture(autouse=True, scope="module")
def _environment() -> None:
    """The backend reads its own variables when it is imported."""
    os.environ["OPENAI_HEALTH_PATH"] = "/health"
    sys.modules.pop("pyworker.backends.openai.backend", None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_transformers_model(tmp_path_factory.mktemp("model"))


def transformers(folder: Path, model: Path | str, **changed: str) -> AbstractAsyncContextManager[Served]:
    command = shlex.join([program("transformers"), "serve", str(model), "--host", "127.0.0.1"])
    port = changed.pop("port", "{port}")
    given = {"MODEL_LAUNCH_COMMAND": f"{command} --port {port}", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "PYTHONPATH": ""}
    os.environ["MODEL_NAME"] = str(model)
    return working("openai", folder, **given, HEADGATE_PERF_SECONDS_MAX="4", **changed)


async def _phase(running: Served, *phases: Phase) -> Phase:
    plane = running.control_plane
    await until_async(lambda: plane.reports and plane.last.phase in phases, deadline_s=START_DEADLINE_S)
    return plane.last.phase


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with transformers(tmp_path_factory.mktemp("worker"), model) as running:
        assert await _phase(running, Phase.READY, Phase.ERROR) is Phase.READY, running.control_plane.last.error
        yield running


async def test_it_becomes_ready_and_is_measured(served: Served) -> None:
    assert served.control_plane.last.perf > 0


async def test_it_chats(served: Served) -> None:
    status, body = await served.post("/v1/chat/completions", ASK)

    assert (status, bool(json.loads(body)["choices"][0]["message"])) == (200, True)


async def test_it_streams(served: Served) -> None:
    status, body = await served.post("/v1/chat/completions", {**ASK, "stream": True})

    assert (status, body.count(b"data: ") >= 3, b"<cut>" in body) == (200, True, False)


async def test_a_path_without_a_model_is_told(tmp_path: Path) -> None:
    async with transformers(tmp_path, tmp_path / "no-model") as running:
        await _phase(running, Phase.ERROR)
        error = running.control_plane.last.error

    assert "Repo id must be in the form" in error


async def test_a_port_that_is_taken_is_told(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with transformers(tmp_path, model, port=str(taken.getsockname()[1])) as running:
            await _phase(running, Phase.ERROR)
            error = running.control_plane.last.error

    assert "address already in use" in error


async def test_a_server_killed_in_a_stream_cuts_it_and_is_told(model: Path, tmp_path: Path) -> None:
    async with transformers(tmp_path, model) as running:
        assert await _phase(running, Phase.READY, Phase.ERROR) is Phase.READY, running.control_plane.last.error
        asked = {**ASK, "max_tokens": 1500, "stream": True, "model": str(model)}
        body = running.control_plane.body(asked)
        async with running.session.post(running.url + "/v1/chat/completions", json=body) as reply:
            await reply.content.readline()
            kill_server(running.model_url)
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(reply.read(), 20)
        await _phase(running, Phase.ERROR)
        error = running.control_plane.last.error

    assert "killed by SIGKILL" in error
