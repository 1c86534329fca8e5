"""A process that outlives the simulator just long enough to end what it left behind.

The simulator starts one warden and keeps a pipe to it. While both live, the simulator writes which process groups exist. When the
pipe closes, for whatever reason (also SIGKILL, which nobody can handle), the warden kills every group it was told of, then, where
`/proc` exists, every process that still carries the simulator's token in its environment: that catches children that moved to a
session of their own. It ignores the signals of a terminal and runs in its own session, so that it is not ended together with what
it guards.

Runs as a script with an isolated interpreter (`python -I -S warden.py TOKEN DIRECTORY`), so it imports nothing but the standard
library. DIRECTORY, if not empty, is removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

TOKEN_VARIABLE = "SIM_TOKEN"
_PROC = Path("/proc")
_SWEEPS_MAX = 20


def kill_group(group: int, signal_number: int) -> None:
    """Signal a process group; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal_number)


def strays(*marks: bytes) -> list[int]:
    """Return the processes whose environment has all of these `NAME=value` entries; empty where there is no /proc."""
    me = os.getpid()
    return [pid for pid in _pids() if pid != me and _carries(pid, marks)]


def kill_strays(*marks: bytes) -> None:
    """Kill until none is left: what is being forked meanwhile is caught by the next sweep."""
    for _ in range(_SWEEPS_MAX):
        found = strays(*marks)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def mark(name: str, value: str) -> bytes:
    """Return an environment entry as /proc shows it."""
    return f"{name}={value}".encode()


def _pids() -> list[int]:
    try:
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _carries(pid: int, marks: tuple[bytes, ...]) -> bool:
    try:
        status = (_PROC / str(pid) / "stat").read_bytes()
        entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    dead = status.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])
    return not dead and all(entry in entries for entry in marks)


def _guard(token: str, directory: str) -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line[1:])
        groups.add(number) if line[0] == "+" else groups.discard(number)
    for group in groups:
        kill_group(group, signal.SIGKILL)
    kill_strays(mark(TOKEN_VARIABLE, token))
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _guard(sys.argv[1], sys.argv[2])
