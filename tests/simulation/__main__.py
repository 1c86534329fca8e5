"""`python -m tests.simulation one --seed 17`: the story of one seed. `python -m tests.simulation soak --seeds 5000`: many, judged.

Exit status 1 if an invariant was violated; the command that replays the seed is printed with it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from typing import Final

from rich.console import Console

from tests.simulation.episode import play
from tests.simulation.invariants import Violated
from tests.simulation.soak import Soaked, soak
from tests.simulation.telling import dumper, printer, summary

SEEDS_DEFAULT: Final = 5_000
FAILURES_MAX: Final = 20  # beyond it, more of them tell nothing new
TOLD_EVERY: Final = 100


def main(words: list[str]) -> int:
    """Run one command; returns the exit status."""
    asked = _parser().parse_args(words)
    return _one(asked) if asked.command == "one" else _soak(asked)


def _one(asked: argparse.Namespace) -> int:
    console = Console(highlight=False, soft_wrap=True)
    try:
        episode = play(asked.seed, hears=dumper(sys.stdout.write) if asked.json else printer(console))
    except Violated as violated:
        print(json.dumps({"seed": asked.seed, "violated": str(violated)}) if asked.json else _failure(asked.seed, str(violated)))
        return 1
    if asked.json:
        print(json.dumps(asdict(episode)))
    else:
        console.print(summary(episode))
        console.print("No invariant was violated.", style="bold green")
    return 0


def _soak(asked: argparse.Namespace) -> int:
    soaked = Soaked()
    seeds = range(asked.first, asked.first + asked.seeds)
    for verdict in soak(seeds, processes=asked.processes, seconds_max=asked.minutes * 60):
        soaked.add(verdict)
        if verdict.violated and not asked.json:
            print(_failure(verdict.seed, verdict.violated), flush=True)
        if soaked.seeds % TOLD_EVERY == 0 and not asked.json:
            print(_progress(soaked), flush=True)
        if len(soaked.failed) >= FAILURES_MAX:
            break
    print(json.dumps(asdict(soaked)) if asked.json else _progress(soaked))
    return 1 if soaked.failed else 0


def _progress(soaked: Soaked) -> str:
    days = soaked.simulated_s / 86_400
    each_s = soaked.cpu_s / max(1, soaked.seeds)
    return (
        f"{soaked.seeds} seeds, {len(soaked.failed)} failed; {days:.0f} simulated days, {soaked.ticks} ticks, "
        f"{soaked.decisions} decisions replayed; {each_s:.2f} s of CPU a seed"
    )


def _failure(seed: int, violated: str) -> str:
    return f"VIOLATED by seed {seed}: {violated}\n  make simulate SEED={seed}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("one", help="tell the story of one seed")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    many = commands.add_parser("soak", help="judge many seeds")
    many.add_argument("--seeds", type=int, default=SEEDS_DEFAULT)
    many.add_argument("--first", type=int, default=0)
    many.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    many.add_argument("--minutes", type=float, default=24 * 60.0, help="begin no seed after this time")
    many.add_argument("--json", action="store_true", help="only the result, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
