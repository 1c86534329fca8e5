"""A sandbox command as a child process: its output line by line, its descendants, its temporary folder."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

REPOSITORY: Final = Path(__file__).resolve().parents[2]
LINE_DEADLINE_S: Final = 90.0
# A release waits for nobody, but asks the marketplace until it has confirmed everything: 16 s, 20 s on a machine that is busy.
END_DEADLINE_S: Final = 60.0


class Running:
    """`python -m sandbox <arguments>`, with every temporary file below `folder`. Ends it at exit, whatever happens."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._arrived: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        descendants = self.descendants()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for process in descendants:
            if process.is_running():
                process.kill()

    def await_line(self, text: str) -> str:
        """Return the first line that holds `text`. Fails if the command ends, or the deadline passes, without one."""
        while (line := self._arrived.get(timeout=LINE_DEADLINE_S)) is not None:
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}:\n{self.output}")

    def await_end(self) -> int:
        """Return the exit status."""
        return self._process.wait(END_DEADLINE_S)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def child(self, marker: str) -> psutil.Process:
        """Return the direct child whose command line holds `marker`."""
        children = psutil.Process(self._process.pid).children()
        return next(child for child in children if any(marker in word for word in child.cmdline()))

    def descendants(self) -> list[psutil.Process]:
        """Return every process below the command now."""
        if self._process.poll() is not None:
            return []
        return psutil.Process(self._process.pid).children(recursive=True)

    @property
    def output(self) -> str:
        """Everything that it printed so far."""
        return "\n".join(self.lines)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            self._arrived.put(line)
        self._arrived.put(None)
