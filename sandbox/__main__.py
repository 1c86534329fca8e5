"""`python -m sandbox demo|up`: Headgate on one machine. SIGTERM ends either as Ctrl-C does."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from sandbox.demo import run_demo
from sandbox.system import SystemSettings
from sandbox.up import run_sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    settings = SystemSettings(seed=given.seed, faults=given.faults)
    console = Console()
    if given.command == "demo":
        return run_demo(settings, console=console, facts_file=given.json)
    return run_sandbox(settings, console=console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Headgate on this machine: no account, no GPU.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="deploy, scale, survive, destroy; exit status 0 only if all of it happened")
    demo.add_argument("--json", type=Path, metavar="FILE", help="write the facts of the run to FILE")
    up = commands.add_parser("up", help="stay up until Ctrl-C, with commands to paste")
    for command in (demo, up):
        command.add_argument("--seed", type=int, default=7, help="decides the market's offers and the load (default 7)")
        command.add_argument("--faults", choices=("none", "typical", "hostile"), default="none", help="the marketplace's manners")
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
