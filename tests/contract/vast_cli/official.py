"""The official `vastai` CLI as a user runs it, kept away from the Internet and from the user's own files.

Isolation: home and XDG folders of its own; no key from the environment; no check for updates. `VAST_URL`, which the CLI asks for
GPU names at its import, is a simulator spelled `localhost`, never textually equal to what `--url` gives: the CLI takes an equal
address for the real service and would send its router calls, with the key, to `run.vast.ai`. And every proxy variable points at a
closed port, so that a call to anywhere else fails at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NURSERY: Final = Path(__file__).with_name("nursery.py")
EXECUTABLE: Final = Path(sys.executable).with_name("vastai")
_CLOSED: Final = "http://127.0.0.1:9"
_END_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command did."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        """Show everything, for the message of a failing assertion."""
        return f"vastai {' '.join(self.argv)}\nexit status {self.status}\nstdout: {self.out}\nstderr: {self.err}"


class Official:
    """A running nursery of CLI processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *argv: str) -> Ran:
        """Run one command and return how it ended."""
        answer = self._ask({"argv": list(argv)})
        return Ran(argv, answer["status"], answer["out"], answer["err"])

    def script(self, text: str, *argv: str) -> Ran:
        """Run a Python script that uses the package, with these arguments."""
        answer = self._ask({"script": text, "argv": list(argv)})
        return Ran(argv, answer["status"], answer["out"], answer["err"])

    def commands(self) -> frozenset[str]:
        """Return the names of every command that the CLI has, other spellings included."""
        return frozenset(self._ask({"commands": True})["commands"])

    def _ask(self, asked: dict[str, object]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the CLI's nursery has ended; its traceback is in the captured stderr"
        return json.loads(answer)


def isolated_environment(home: Path, names_url: str) -> dict[str, str]:
    """Return the environment in which the CLI knows only this machine. `names_url` must not equal any `--url` to come."""
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "CACHE", "STATE", "DATA")}
    proxies = {name: _CLOSED for scheme in ("http", "https", "all") for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")}
    local = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        **folders,
        **proxies,
        **local,
        "VASTAI_NO_UPDATE_CHECK": "1",
        "VAST_URL": names_url,
        # Tables as wide as they come, and no pager.
        "COLUMNS": "400",
        "LINES": "2000",
        "PYTHONWARNINGS": "ignore",
    }


@contextmanager
def official(home: Path, names_url: str) -> Iterator[Official]:
    """Yield the CLI, ready to run commands."""
    process = subprocess.Popen(
        [sys.executable, str(NURSERY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=isolated_environment(home, names_url),
        cwd=home,
    )
    try:
        yield Official(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(_END_WITHIN_S)
        assert process.stdout is not None
        process.stdout.close()
