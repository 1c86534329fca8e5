"""A backend's own launch script, with the server's program replaced by a stand-in that speaks and logs as it does.

The programs (`vllm`, `llama-server`, `python3`, …) are one small script under many names, first in PATH. It finds the port among
the arguments as the real ones would, so a script that passes another is found out.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from protocol.report import Phase
from pyworker.settings import read_environment
from pyworker.worker import Worker
from tests.worker_image.control_plane import FakeControlPlane
from tests.worker_image.process import environment, free_port
from tests.worker_image.waiting import until_async

ROOT: Final = Path(__file__).resolve().parents[3]
PROGRAMS: Final = ("vllm", "python3", "llama-server", "ollama", "text-embeddings-router", "text-generation-launcher")
STAND_IN: Final = """#!/bin/sh
port=${OLLAMA_HOST##*:}
case $1 in list | pull) exit 0 ;; esac
while [ $# -gt 0 ]; do case $1 in --port | --api-port | --api-blocking-port) port=$2 ;; esac; shift; done
PYTHONPATH=$STAND_IN_ROOT exec "$STAND_IN_PYTHON" -m sandbox.inference --dialect "$STAND_IN_DIALECT" --port "$port" $STAND_IN_ARGS
"""
# What a launch script needs beside MODEL_ID.
NEEDS: Final[Mapping[str, Mapping[str, str]]] = {
    "sdauto": {"SDAUTO_DIR": "."},
    "comfyui": {"COMFYUI_DIR": "."},
    "ooba": {"OOBA_DIR": "."},
    "openai": {"MODEL_LAUNCH_COMMAND": "vllm serve --port {port}"},
    "vastai": {"MODEL_LAUNCH_COMMAND": "vllm serve --port {port}"},
}


@dataclass(kw_only=True)
class Served:
    """A worker of this process, and who it talks to."""

    control_plane: FakeControlPlane
    url: str
    model_url: str
    log: Path
    session: aiohttp.ClientSession = field(repr=False)

    async def post(self, path: str, payload: Mapping[str, Any]) -> tuple[int, bytes]:
        """Send an authentic request; return status and body, as much of it as came."""
        body = self.control_plane.body(dict(payload))
        got = bytearray()
        async with self.session.post(self.url + path, json=body) as reply:
            try:
                async for chunk in reply.content.iter_any():
                    got += chunk
            except aiohttp.ClientPayloadError:
                got += b"<cut>"
            return reply.status, bytes(got)

    async def phase(self, *phases: Phase) -> Phase:
        """Wait until the last report tells one of these phases; return it."""
        plane = self.control_plane
        await until_async(lambda: plane.reports and plane.last.phase in phases, what=f"the worker is {' or '.join(phases)}")
        return plane.last.phase


def _programs(folder: Path) -> Path:
    programs = folder / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    return programs


@asynccontextmanager
async def working(name: str, folder: Path, **given: str) -> AsyncIterator[Served]:
    """Run a worker of the backend `name`; `given` is its environment beside what every worker has, `{port}` its server's port."""
    async with FakeControlPlane().serving() as plane, aiohttp.ClientSession() as session:
        port, model_port = free_port(), free_port()
        whole = {
            **environment(plane, port=port),
            "BACKEND": name,
            "MODEL_SERVER_URL": f"http://127.0.0.1:{model_port}",
            "MODEL_LAUNCH_COMMAND": "",
            **{key: value.replace("{port}", str(model_port)) for key, value in given.items()},
        }
        identity, settings = read_environment({key: value for key, value in whole.items() if value}, working_directory=folder)
        running = asyncio.create_task(Worker(identity, settings).run())
        try:
            yield Served(
                control_plane=plane,
                url=f"http://127.0.0.1:{port}",
                model_url=settings.model_url,
                log=settings.model_log,
                session=session,
            )
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def serving(name: str, folder: Path, *, stand_in: str = "", dialect: str = "", **changed: str) -> AsyncIterator[Served]:
    """Run a worker of the backend `name` in front of a stand-in; `stand_in` holds options of the server."""
    given = {
        "MODEL_ID": "tiny.gguf",
        "PATH": f"{_programs(folder)}{os.pathsep}{os.environ['PATH']}",
        "STAND_IN_ROOT": str(ROOT),
        "STAND_IN_PYTHON": sys.executable,
        "STAND_IN_DIALECT": dialect or name,
        "STAND_IN_ARGS": f"--load-s 0.1 --slots 4 --tokens-per-s 20000 {stand_in}",
        **NEEDS.get(name, {}),
        **changed,
    }
    async with working(name, folder, **given) as served:
        yield served
