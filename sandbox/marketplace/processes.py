"""The processes behind running instances: one process group each, in a directory of its own.

Booting an instance starts the boot command with exactly the environment of its container (see `environment`), a home directory,
a minimal PATH and what `--boot-env` adds; its output goes to the instance's log. Stopping sends SIGTERM to the whole group, waits
a grace, then SIGKILL; the directory stays and a later start finds it again; destroying removes it. A machine that loses its
network is a group that is stopped (SIGSTOP) until it returns.

Per instance everything happens in the order the world asked for it, one thing at a time; instances do not wait for each other.
When a process ends, asked or not, `on_exit` is told its contract and which boot it was; `is_latest` says whether that still
matters.

Nothing outlives the simulator: see `warden`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, assert_never

from sandbox.marketplace import warden
from sandbox.marketplace.effects import Boot, Effect, Freeze, Halt, Kill, Thaw, Wipe
from sandbox.marketplace.environment import container_environment
from sandbox.marketplace.instance import Contract
from sandbox.marketplace.shell import Command, run

LOG_TAIL_BYTES_MAX: Final = 1024 * 1024
Work = Callable[[], Coroutine[object, object, None]]

BOOT_VARIABLE: Final = "SIM_BOOT"
SHUTDOWN_GRACE_S: Final = 3.0
WARDEN_WAIT_S: Final = 10.0
MINIMAL_PATH: Final = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOptions:
    """How instances boot.

    `command` and the values of `extra_env` may name variables of the container in braces, such as `{VAST_TCP_PORT_3000}`, and
    `{python}` for this interpreter. `directory` holds instances and logs; `temporary` says that it is removed at the end.
    """

    command: tuple[str, ...]
    directory: Path
    extra_env: Mapping[str, str] = field(default_factory=dict)
    stop_grace_s: float = 5.0
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class _Running:
    """One boot's process. `mark` is in the environment of everything that this boot started, and of nothing else."""

    process: asyncio.subprocess.Process
    boot: int
    mark: bytes


@dataclass(slots=True)
class _Seat:
    """One instance: how often it was booted, what runs, and the tail of its queue of things to do."""

    boots: int = 0
    running: _Running | None = None
    tail: asyncio.Task[None] | None = None


class LocalProcesses:
    """All processes of one simulator. Use from one event loop; call `start` before and `close` after."""

    def __init__(self, options: BootOptions, *, on_exit: Callable[[int, int], None]) -> None:
        self._options = options
        self._on_exit = on_exit
        self._token = secrets.token_hex(16)
        self._seats: dict[int, _Seat] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._warden: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Make the directories and start the warden."""
        for name in ("instances", "logs"):
            (self._options.directory / name).mkdir(parents=True, exist_ok=True)
        removed = str(self._options.directory) if self._options.temporary else ""
        self._warden = subprocess.Popen(
            [sys.executable, "-I", "-S", warden.__file__, self._token, removed],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def carry_out(self, effect: Effect, contract: Contract) -> None:
        """Do, in the contract's turn, what the world wants done."""
        seat = self._seats.setdefault(contract.contract_id, _Seat())
        match effect:
            case Boot():
                seat.boots += 1
                environment = self._environment(contract, seat.boots)
                self._queue(seat, partial(self._boot, contract.contract_id, seat, seat.boots, environment))
            case Halt():
                self._queue(seat, partial(self._end, seat, grace_s=self._options.stop_grace_s))
            case Kill():
                self._queue(seat, partial(self._end, seat, grace_s=0.0))
            case Freeze():
                self._queue(seat, partial(self._signal, seat, signal.SIGSTOP))
            case Thaw():
                self._queue(seat, partial(self._signal, seat, signal.SIGCONT))
            case Wipe():
                self._queue(seat, partial(self._wipe, contract.contract_id))
            case _:
                assert_never(effect)

    def log_tail(self, contract_id: int, lines: int) -> str:
        """Return the last lines of the instance's log, at most 1 MiB; empty if it never ran."""
        try:
            with self._log(contract_id).open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - LOG_TAIL_BYTES_MAX))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "".join(text.splitlines(keepends=True)[-lines:]) if lines else ""

    def pid(self, contract_id: int) -> int | None:
        """Return the process id, which is also the group's, while one runs."""
        seat = self._seats.get(contract_id)
        return None if seat is None or seat.running is None else seat.running.process.pid

    def execute(self, contract_id: int, command: Command) -> str:
        """Run a command on the instance's files; return what it prints."""
        return run(command, self._home(contract_id))

    def is_latest(self, contract_id: int, boot: int) -> bool:
        """Return whether no newer boot of the instance was asked for."""
        return self._seats[contract_id].boots == boot

    async def close(self) -> None:
        """End every process, then the warden, which removes a temporary directory."""
        grace_s = min(self._options.stop_grace_s, SHUTDOWN_GRACE_S)
        await asyncio.gather(*(self._end(seat, grace_s=grace_s) for seat in self._seats.values()))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._warden is not None and self._warden.stdin is not None:
            self._warden.stdin.close()
            await asyncio.to_thread(self._warden.wait, WARDEN_WAIT_S)

    def _environment(self, contract: Contract, boot: int) -> dict[str, str]:
        home = str(self._home(contract.contract_id))
        container = {
            **container_environment(contract),
            "HOME": home,
            "WORKSPACE": home,
            "DATA_DIRECTORY": home,
            "TMPDIR": home,
            "PATH": MINIMAL_PATH,
            warden.TOKEN_VARIABLE: self._token,
            BOOT_VARIABLE: f"{self._token}.{contract.contract_id}.{boot}",
        }
        return {**container, **{name: _filled(text, container) for name, text in self._options.extra_env.items()}}

    def _home(self, contract_id: int) -> Path:
        return self._options.directory / "instances" / f"C.{contract_id}"

    def _log(self, contract_id: int) -> Path:
        return self._options.directory / "logs" / f"C.{contract_id}.log"

    def _queue(self, seat: _Seat, work: Work) -> None:
        seat.tail = self._task(partial(_after, seat.tail, work))

    def _task(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _boot(self, contract_id: int, seat: _Seat, boot: int, environment: Mapping[str, str]) -> None:
        home = self._home(contract_id)
        home.mkdir(parents=True, exist_ok=True)
        with self._log(contract_id).open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(_filled(word, environment) for word in self._options.command),
                    env=dict(environment),
                    cwd=home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as exc:
                log.write(f"cannot start {self._options.command[0]}: {exc.strerror}\n".encode())
                self._on_exit(contract_id, boot)
                return
        self._tell_warden("+", process.pid)
        seat.running = _Running(process, boot, warden.mark(BOOT_VARIABLE, environment[BOOT_VARIABLE]))
        self._task(partial(self._watch, contract_id, seat, seat.running))

    async def _watch(self, contract_id: int, seat: _Seat, running: _Running) -> None:
        await running.process.wait()
        _sweep(running)
        self._tell_warden("-", running.process.pid)
        if seat.running is running:
            seat.running = None
        self._on_exit(contract_id, running.boot)

    async def _end(self, seat: _Seat, *, grace_s: float) -> None:
        running = seat.running
        if running is None:
            return
        if grace_s > 0:
            warden.kill_group(running.process.pid, signal.SIGTERM)
            # A frozen process would never see its SIGTERM.
            warden.kill_group(running.process.pid, signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.process.wait(), grace_s)
        _sweep(running)
        await running.process.wait()

    async def _wipe(self, contract_id: int) -> None:
        await asyncio.to_thread(shutil.rmtree, self._home(contract_id), ignore_errors=True)

    @staticmethod
    async def _signal(seat: _Seat, number: signal.Signals) -> None:
        if seat.running is not None:
            warden.kill_group(seat.running.process.pid, number)

    def _tell_warden(self, sign: str, group: int) -> None:
        if self._warden is not None and self._warden.stdin is not None and not self._warden.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._warden.stdin.write(f"{sign}{group}\n")
                self._warden.stdin.flush()


def _sweep(running: _Running) -> None:
    """Kill what is left of a boot's group, and what moved out of it."""
    warden.kill_group(running.process.pid, signal.SIGKILL)
    warden.kill_strays(running.mark)


async def _after(previous: asyncio.Task[None] | None, work: Work) -> None:
    if previous is not None:
        await asyncio.wait([previous])
    await work()


def _filled(text: str, environment: Mapping[str, str]) -> str:
    """Replace `{NAME}` by the container's variable; an unknown name stays as it is."""
    filled = text.replace("{python}", sys.executable)
    for name, value in environment.items():
        filled = filled.replace(f"{{{name}}}", value)
    return filled
