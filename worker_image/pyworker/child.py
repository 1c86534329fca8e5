"""The inference server as our child.

It is started in a process group of its own, with our environment less our credential; its output is appended to the log that we
watch; and it is ended with us.

Its exit is fatal whatever its code: a server that should serve and ended has failed. An exit is the one sign that never lies; of 23
induced start failures of real servers all ended with an exit, and few said a line that anybody had listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

STOP_GRACE_S: Final = 10.0
LOG_BYTES_MAX: Final = 64 * 2**20
LOG_LOOK_S: Final = 60.0
_LOG_MODE: Final = 0o640


class ServerProcess:
    """One run of the server."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: tuple[str, ...], *, environment: Mapping[str, str], log: Path) -> ServerProcess:
        """Start it. Raises OSError when there is no such program."""
        log.parent.mkdir(parents=True, exist_ok=True)
        # O_APPEND, so that the log may be truncated under the writer, and both of us may write.
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, _LOG_MODE)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                # Never written to: it breaks when we are gone, however that happens, and a server that cares can see it.
                stdin=asyncio.subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                env=dict(environment),
                process_group=0,
            )
        finally:
            os.close(descriptor)
        return cls(process)

    async def ended(self) -> str:
        """Wait for its end; return a phrase that says how: `exited with code 1`, `was killed by SIGKILL`."""
        code = await self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    async def stop(self) -> None:
        """End it and everything it started: a request first, then by force after STOP_GRACE_S."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The group outlives its leader while a shard of it runs.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


async def bound_log(log: Path) -> None:
    """Empty the log whenever it has grown too large, for ever: a server that writes a line a request would fill the rented disk."""
    while True:
        await asyncio.sleep(LOG_LOOK_S)
        _empty_large(log)


def _empty_large(log: Path) -> None:
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES_MAX:
            os.truncate(log, 0)
