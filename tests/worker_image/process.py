"""The real worker, as a child process in front of the sandbox's inference server, in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.worker_image.control_plane import ENDPOINT, TOKEN, WORKER_ID, FakeControlPlane

ROOT: Final = Path(__file__).resolve().parents[2]
STOP_DEADLINE_S: Final = 20.0


class WorkerProcess:
    """One run of `python -m pyworker`."""

    def __init__(self, process: asyncio.subprocess.Process, *, port: int, folder: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def log(self) -> str:
        """What it has written."""
        return (self.folder / "pyworker.log").read_text(errors="replace")

    async def terminate(self) -> int:
        """Ask it to end; return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_DEADLINE_S):
            return await self.process.wait()


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(control_plane: FakeControlPlane, *, port: int, inference: str = "", **changed: str) -> dict[str, str]:
    """Return what the scaler and the marketplace would set; `inference` holds options of the inference server."""
    model_port = free_port()
    launch = [sys.executable, "-m", "sandbox.inference", "--port", str(model_port), "--exit-with-parent", *shlex.split(inference)]
    given = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "worker_image"))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HEADGATE_WORKER_ID": WORKER_ID,
        "HEADGATE_ENDPOINT": ENDPOINT,
        "REPORT_ADDR": control_plane.url,
        "MASTER_TOKEN": TOKEN,
        "CONTAINER_ID": "4711",
        "PUBLIC_IPADDR": "127.0.0.1",
        "VAST_TCP_PORT_3000": str(port),
        "HEADGATE_LISTEN_HOST": "127.0.0.1",
        "HEADGATE_LISTEN_PORT": str(port),
        "HEADGATE_PERF_SECONDS_MAX": "1",
        "BACKEND": "tgi",
        "MODEL_ID": "sandbox/words",
        "MODEL_SERVER_URL": f"http://127.0.0.1:{model_port}",
        "MODEL_LAUNCH_COMMAND": shlex.join(launch),
    }
    return {name: value for name, value in {**given, **changed}.items() if value}


@asynccontextmanager
async def running_worker(
    folder: Path, given: dict[str, str], *, command: tuple[str, ...] = (sys.executable, "-m", "pyworker")
) -> AsyncIterator[WorkerProcess]:
    """Run a worker for the block, and end it however the block ends."""
    with (folder / "pyworker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=given, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
        )
    worker = WorkerProcess(process, port=int(given.get("HEADGATE_LISTEN_PORT", "0")), folder=folder)
    try:
        yield worker
    finally:
        try:
            await worker.terminate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
