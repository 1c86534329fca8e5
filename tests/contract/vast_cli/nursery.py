"""A process that has imported the official CLI once and forks a child for every command.

The interpreter and the CLI's imports take more than a second, a fork a few milliseconds; each child is an unmodified `vastai`:
its own process, its own `main()` on its own `sys.argv`, ended by its own exit. The environment is what the nursery was started
with, so isolation is decided once, by `official.py`.

Speaks JSON lines: `{"argv": [...]}` is answered by `{"status", "out", "err"}`, `{"script": text, "argv": [...]}` likewise for a
script that uses the package, `{"commands": true}` by `{"commands": [...]}`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import IO, Any

COMMAND_MODULES = (
    *(
        "instances",
        "offers",
        "machines",
        "teams",
        "keys",
        "endpoints",
        "billing",
        "storage",
        "auth",
        "misc",
        "deployments",
        "metrics",
    ),
    *("benchmarks", "price_increase", "repl", "update", "uninstall"),
)


def main() -> None:
    """Answer until the input ends."""
    entry = importlib.import_module("vastai.cli.main")
    for name in COMMAND_MODULES:
        importlib.import_module(f"vastai.cli.commands.{name}")
    for line in sys.stdin:
        asked = json.loads(line)
        answer = _run(_job(entry, asked), asked["argv"]) if "argv" in asked else {"commands": _commands(entry)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _commands(entry: Any) -> list[str]:
    """Return the names of all commands, other spellings included."""
    return sorted(entry.parser.subparsers().choices)


def _job(entry: Any, asked: dict[str, Any]) -> Callable[[], object]:
    """Return what a child has to do: be the CLI, or a script."""
    if "script" not in asked:
        main: Callable[[], object] = entry.main
        return main
    return lambda: exec(asked["script"], {"__name__": "__main__"})  # noqa: S102 - the tests' own scripts


def _run(job: Callable[[], object], argv: list[str]) -> dict[str, object]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            _become(job, argv, out, err)
        _, code = os.waitpid(child, 0)
        return {"status": os.waitstatus_to_exitcode(code), "out": _read(out), "err": _read(err)}


def _become(job: Callable[[], object], argv: list[str], out: IO[str], err: IO[str]) -> None:
    """Be `vastai argv`, or a script with these arguments; never returns."""
    status = 1
    try:
        with open(os.devnull) as nothing:  # noqa: PTH123 - a device, not a path
            os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv = ["vastai", *argv]
        job()
        status = 0
    except SystemExit as exited:
        status = _status(exited.code)
    except BaseException:  # noqa: BLE001 - the outermost edge of a process: whatever it was, it is told on stderr
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _status(code: object) -> int:
    """Return what a shell would see of `sys.exit(code)`."""
    if code is None:
        return 0
    return int(code) if isinstance(code, int) else 1


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


if __name__ == "__main__":
    main()
