"""What runs in the emulator's own interpreter: ministack, plus the five things that it lacks.

Run by path, never imported: `python emulator_main.py <listening socket fd> <folder>`. The parent binds
the socket, so no port can be lost between choosing and using it. What ministack reads from the
environment, the functions see too; therefore the rest comes as arguments.

1. Standard input is a lifeline. The parent holds the other end and never writes; end of file means
   that the parent is gone, however it went, and this process ends and takes its files along.
2. On SIGTERM the Lambda workers are ended and collected first, so that no request in flight keeps
   the server open and no orphan is left for an init process to collect.
3. Operations are counted by API and caller, which is how a test proves what a request costs.
4. Functions find in `<folder>/runtime` what AWS's runtime ships, boto3 above all, and this process
   does not; and schedules are looked at every second instead of every ten, so that they fire on the
   minute as on AWS.
5. Code is unpacked once, below `<folder>/code`, instead of for each execution environment. ministack
   answers nothing while it removes an environment's files: 3 s for the thousand of ours (2026-11, 2
   cores, beside other work), so that a busy stack took minutes to delete. Compiled modules are shared
   likewise, which shortens cold starts.

Imports nothing of the project: the emulator's environment does not have it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import threading
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypercorn.asyncio import serve  # type: ignore[import-not-found]
from hypercorn.config import Config  # type: ignore[import-not-found]
from ministack import app as ministack_app  # type: ignore[import-not-found]
from ministack.core import lambda_runtime  # type: ignore[import-not-found]
from ministack.services import scheduler, sts  # type: ignore[import-not-found]

OPERATIONS_PATH = "/_headgate/operations"
SCHEDULE_SWEEP_S = 1
KEEP_ALIVE_S = 75
SHUTDOWN_GRACE_S = 2
ORPHAN_GRACE_S = 5.0

_CREDENTIAL = re.compile(rb"Credential=([^/]+)/")
_INVOKE_PATH = re.compile(r"^/2015-03-31/functions/.+/invocations$")
_FUNCTION_URL_PREFIX = "/_aws/lambda-url/"


class CountingApp:
    """An ASGI application that counts operations on their way to ministack."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._counts: Counter[tuple[str, str]] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the counts, or count the request and pass it on."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif scope["path"] == OPERATIONS_PATH:
            await self._answer_counts(send)
        else:
            self._count(scope)
            await self._application(scope, receive, send)

    def _count(self, scope: Any) -> None:
        headers = dict(scope["headers"])
        operation = _operation(headers, scope["path"])
        if operation is not None:
            self._counts[operation, _caller(headers)] += 1

    async def _answer_counts(self, send: Any) -> None:
        rows = [[operation, caller, count] for (operation, caller), count in self._counts.items()]
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(rows).encode()})


def _operation(headers: dict[bytes, bytes], path: str) -> str | None:
    """Name the operation: `DynamoDB.UpdateItem`, `Lambda.Invoke`; None for protocols that do not say."""
    target = headers.get(b"x-amz-target")
    if target is not None:
        service, _, name = target.decode("latin-1").partition(".")
        return f"{service.partition('_')[0]}.{name}"
    if path.startswith(_FUNCTION_URL_PREFIX):
        return "Lambda.InvokeFunctionUrl"
    return "Lambda.Invoke" if _INVOKE_PATH.match(path) else None


def _caller(headers: dict[bytes, bytes]) -> str:
    """Name who signed: a role session's ARN where IAM is enforced, else the access key's id."""
    found = _CREDENTIAL.search(headers.get(b"authorization", b""))
    if found is None:
        return "anonymous"
    access_key = found.group(1).decode("latin-1")
    session = sts._sessions.get(access_key)  # noqa: SLF001 - ministack offers no public lookup; the version is pinned
    return str(session["Arn"]) if session else access_key


def share_code(folder: Path) -> None:
    """Have every archive that ministack gives to a function unpacked below `folder`, once."""
    unpacking = threading.Lock()

    class SharedArchive(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
            """Make `path`, an empty folder, a link to the one that holds this archive's files."""
            content = Path(str(self.filename)).read_bytes()
            shared = folder / hashlib.sha256(content).hexdigest()
            with unpacking:
                if not shared.exists():
                    partial = shared.with_suffix(".partial")
                    super().extractall(partial, members, pwd)
                    partial.rename(shared)
            Path(path).rmdir()
            Path(path).symlink_to(shared, target_is_directory=True)

    lambda_runtime.zipfile = SimpleNamespace(ZipFile=SharedArchive, BadZipFile=zipfile.BadZipFile)


class Lifeline:
    """Standard input, held by the parent: ends this process, and its files with it, once the parent is gone."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._broken = threading.Event()
        self._served = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        self._broken.set()
        os.kill(os.getpid(), signal.SIGTERM)
        if not self._served.wait(ORPHAN_GRACE_S):
            self._remove_files()
            os.killpg(os.getpgid(0), signal.SIGKILL)

    def close(self) -> None:
        """Say that serving has ended; remove the files if nobody else will."""
        self._served.set()
        if self._broken.is_set():
            self._remove_files()

    def _remove_files(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


async def _serve(listening_fd: int) -> None:
    config = Config()
    config.bind = [f"fd://{listening_fd}"]
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.graceful_timeout = SHUTDOWN_GRACE_S
    config.loglevel = os.environ.get("LOG_LEVEL", "INFO")
    asked_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_stop.set)

    async def stop() -> None:
        await asked_to_stop.wait()
        await asyncio.to_thread(lambda_runtime.reset)

    await serve(CountingApp(ministack_app.app), config, shutdown_trigger=stop)


def main() -> None:
    """Serve until SIGTERM or until the parent is gone."""
    listening_fd, folder = int(sys.argv[1]), sys.argv[2]
    share_code(Path(folder, "code"))
    os.environ["PYTHONPATH"] = f"{folder}/runtime"
    scheduler._SCHEDULE_TICK_INTERVAL = SCHEDULE_SWEEP_S  # noqa: SLF001 - no setting for it; the version is pinned
    lifeline = Lifeline(folder)
    try:
        asyncio.run(_serve(listening_fd))
    finally:
        lambda_runtime.reset()
        lifeline.close()


if __name__ == "__main__":
    main()
