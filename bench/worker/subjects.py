"""What is measured: a worker process in front of the stub, with the bodies that it accepts; and the stub itself, with none.

Every body for our worker has a ticket of its own, signed as the router signs; the marketplace's worker checks a signature over its
URL, which is the same for every request. Both check it each time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from nacl.signing import SigningKey

from bench.worker.stub import READY_LINE
from bench.worker.wire import Pool, post
from protocol.ticket import Ticket

ROOT: Final = Path(__file__).resolve().parents[2]
WORKER_ID: Final = "w0-bench"
READY_TIMEOUT_S: Final = 60.0
LOOK_S: Final = 0.1
STOP_S: Final = 10.0
HOST: Final = "127.0.0.1"


class NotReady(Exception):
    """A worker did not become ready; its log says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing to measure. `auth` makes the authentication of the next request; None: the payload travels alone."""

    name: str
    port: int
    pool: Pool
    auth: Callable[[], dict[str, Any]] | None
    process: psutil.Process | None

    def request(self, path: str, payload: dict[str, Any]) -> bytes:
        """Return the bytes of a request that this subject accepts."""
        body = payload if self.auth is None else {"auth_data": self.auth(), "payload": payload}
        return post(path, json.dumps(body).encode())

    def cpu_s(self) -> float:
        """Return the CPU seconds that the process has used."""
        if self.process is None:
            return 0.0
        times = self.process.cpu_times()
        return times.user + times.system

    def memory_mb(self) -> float:
        """Return its resident memory."""
        return self.process.memory_info().rss / 2**20 if self.process is not None else 0.0


class Keys:
    """The two keys of a control plane, and what is signed with them."""

    def __init__(self) -> None:
        self._ed25519 = SigningKey.generate()
        self._rsa = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self._reqnum = 0
        self._assigned = 0.0

    def public(self) -> tuple[str, str]:
        """Return the public keys as the stub's arguments: PEM in base64, and Ed25519 in base64."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = self._rsa.public_key().public_bytes(serialization.Encoding.PEM, form)
        return base64.b64encode(pem).decode(), base64.b64encode(bytes(self._ed25519.verify_key)).decode()

    def ticket(self, url: str) -> dict[str, Any]:
        """Sign a ticket of ours."""
        self._reqnum, self._assigned, now_s = self._reqnum + 1, self._assigned + 10, int(time.time())
        ticket = Ticket(
            url=url,
            endpoint="bench",
            cost=10.0,
            reqnum=self._reqnum,
            request_idx=1 << 52 | self._reqnum,
            worker_id=WORKER_ID,
            assigned_load=self._assigned,
            issued_at=now_s,
            expires_at=now_s + 600,
            key_id="k1",
        )
        return ticket.wire(self._ed25519.sign(ticket.signed_bytes()).signature)

    def url_signature(self, url: str) -> str:
        """Sign as the marketplace's router does for workers of version 1.1.0: the URL alone."""
        message = json.dumps({"url": url}, indent=4, sort_keys=True).encode()
        return base64.b64encode(self._rsa.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


@asynccontextmanager
async def stub(keys: Keys, *, cpus: set[int]) -> AsyncIterator[int]:
    """Run the stub for the block; its port is the value."""
    async with _process("bench.worker.stub", *keys.public(), cwd=ROOT, env={}, cpus=cpus) as process:
        assert process.stdout is not None
        yield int(await process.stdout.readline())


@asynccontextmanager
async def pyworker(keys: Keys, stub_port: int, folder: Path, *, cpus: set[int]) -> AsyncIterator[Subject]:
    """Run our worker for the block."""
    port = _free_port()
    env = _environment(stub_port, port, instance_id=1) | {
        "HEADGATE_WORKER_ID": WORKER_ID,
        "HEADGATE_ENDPOINT": "bench",
        "HEADGATE_LISTEN_HOST": HOST,
        "HEADGATE_LISTEN_PORT": str(port),
        "HEADGATE_SERVER": "join",
        "HEADGATE_SLOTS": "512",
        "HEADGATE_MAX_QUEUE_TIME": "3600",
        "HEADGATE_PERF_SECONDS_MAX": "5",
        "HEADGATE_PROMPT_WEIGHT": "0.2",
        "BACKEND": "tgi",
        "MODEL_SERVER_URL": f"http://{HOST}:{stub_port}",
    }
    url = f"http://{HOST}:{port}"
    async with _process("pyworker", cwd=folder, env=env, cpus=cpus) as process:
        await _ready(stub_port, "1", process, folder)
        yield _subject("headgate", port, lambda: keys.ticket(url), process)


@asynccontextmanager
async def vastai(keys: Keys, stub_port: int, folder: Path, *, cpus: set[int]) -> AsyncIterator[Subject]:
    """Run the marketplace's worker for the block."""
    port, log = _free_port(), folder / "model.log"
    log.write_text(READY_LINE + "\n")
    url = f"http://{HOST}:{port}"
    signature, numbers = keys.url_signature(url), iter(range(1, 10**9))

    def auth() -> dict[str, Any]:
        number = next(numbers)
        return {"url": url, "endpoint": "bench", "cost": 10, "reqnum": number, "request_idx": number, "signature": signature}

    env = _environment(stub_port, port, instance_id=2) | {"WORKER_PORT": str(port), f"VAST_TCP_PORT_{port}": str(port)}
    async with _process("bench.worker.peer", str(stub_port), str(log), cwd=folder, env=env, cpus=cpus) as process:
        await _ready(stub_port, "2", process, folder)
        yield _subject("vastai", port, auth, process)


def direct(stub_port: int) -> Subject:
    """Return the stub itself."""
    return Subject(name="direct", port=stub_port, pool=Pool(stub_port), auth=None, process=None)


def _subject(name: str, port: int, auth: Callable[[], dict[str, Any]], process: asyncio.subprocess.Process) -> Subject:
    return Subject(name=name, port=port, pool=Pool(port), auth=auth, process=psutil.Process(process.pid))


def _environment(stub_port: int, port: int, *, instance_id: int) -> dict[str, str]:
    return {
        "REPORT_ADDR": f"http://{HOST}:{stub_port}",
        "MASTER_TOKEN": "a-token-for-the-bench",
        "CONTAINER_ID": str(instance_id),
        "PUBLIC_IPADDR": HOST,
        "VAST_TCP_PORT_3000": str(port),
    }


@asynccontextmanager
async def _process(
    module: str, *arguments: str, cwd: Path, env: dict[str, str], cpus: set[int]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module for the block, on these CPUs, and end it."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "worker_image")))
    own = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    with (cwd / f"{module}.log").open("wb") if cwd != ROOT else contextlib.nullcontext() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            cwd=cwd,
            env=own | env,
            stdin=asyncio.subprocess.PIPE,
            stdout=log or asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        psutil.Process(process.pid).cpu_affinity(sorted(cpus))
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(stub_port: int, instance_id: str, process: asyncio.subprocess.Process, folder: Path) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline_s and process.returncode is None:
            async with session.get(f"http://{HOST}:{stub_port}/ready/{instance_id}") as reply:
                if await reply.json():
                    return
            await asyncio.sleep(LOOK_S)
    raise NotReady(f"the worker in {folder} did not become ready: " + "".join(_tails(folder)))


def _tails(folder: Path) -> list[str]:
    return [path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log")]


def _free_port() -> int:
    # The peer listens on the next port too.
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port
    raise NotReady("no free port")
