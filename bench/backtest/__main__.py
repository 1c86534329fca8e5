"""`python -m bench.backtest`: one trace or a directory of them, our policy and what peers do, in dollars and seconds.

`make backtest TRACE=requests.csv STACK=Pulumi.prod.yaml` takes the parameters of a stack file's endpoint group, so that a change
can be judged before it is deployed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from bench.backtest import picture, sweep
from bench.backtest.entrants import NAMES, OURS, TUNED, enter
from bench.backtest.figures import Figures
from bench.backtest.kinds import Profile, profile
from bench.backtest.machines import Boots, read_duration
from bench.backtest.setting import PEAK_MACHINES, Setting, default_group
from bench.backtest.stack_file import read_group
from bench.backtest.sweep import Done, Job
from bench.backtest.tables import described, markdown, terminal, verdicts, written
from bench.backtest.trace import LoadModel, UnreadableTrace, read_trace, synthetic
from functions.core.pricing import micro_usd

BEFORE: Final = "headgate before"
USD_PER_HOUR_MAX: Final = 1_000
WIDTH_MIN: Final = 130  # the table, not wrapped


def main() -> None:
    """Run the policies that were asked for and print the table."""
    arguments = _arguments()
    try:
        setting = _setting(arguments)
        rows, profiles = _all(arguments, setting) if arguments.all else _one(arguments, setting)
    except (OSError, ValueError) as exc:  # files that are missing, or are not what they should be
        sys.exit(f"bench.backtest: {exc}")
    for name, figures in sorted(profiles.items()):
        Console(stderr=True).print(described(name, figures), highlight=False)
    if arguments.json:
        arguments.json.write_text(json.dumps([row.json() for row in rows], indent=1) + "\n")
    if arguments.document:
        kinds = "\n".join(f"* {described(name, figures)}" for name, figures in sorted(profiles.items()))
        block = f"{markdown(rows)}\n\n{kinds}"
        arguments.document.write_text(written(arguments.document.read_text(), block))
    console = Console()
    Console(width=max(console.width, WIDTH_MIN)).print(terminal("Backtest", rows))
    for sentence in verdicts(rows):
        console.print(sentence, highlight=False)


def _one(arguments: argparse.Namespace, setting: Setting) -> tuple[list[Figures], Mapping[str, Profile]]:
    trace = read_trace(arguments.trace, LoadModel()) if arguments.trace else synthetic()
    runs = {name: enter(name, trace, setting) for name in _policies(arguments)}
    if arguments.before:
        before = replace(setting, group=read_group(arguments.before, arguments.group))
        row, world = enter(OURS, trace, before)
        runs = {BEFORE: (replace(row, policy=BEFORE), world), **runs}
    bounds_usd = {} if arguments.no_bound else {trace.name: sweep.bound_usd(trace, setting)}
    rows = sweep.bounded((row for row, _ in runs.values()), bounds_usd)
    if arguments.picture:
        picture.draw(arguments.picture, {row.policy: (row, runs[row.policy][1]) for row in rows})
    return rows, {trace.name: profile(trace)}


def _all(arguments: argparse.Namespace, setting: Setting) -> tuple[list[Figures], Mapping[str, Profile]]:
    paths = sweep.traces(arguments.all, held_out=arguments.held_out)
    if not paths:
        raise UnreadableTrace(f"{arguments.all} holds no trace: a trace is a .csv or .csv.gz of t_s,prompt_tokens,output_tokens")
    wanted = [*([] if arguments.no_bound else [None]), *_policies(arguments)]
    jobs = [Job(path=path, policy=name, setting=setting) for path in paths for name in wanted]
    finished: list[Done] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("traces x policies", total=len(jobs))
        for done in sweep.run(jobs, processes=arguments.jobs):
            finished.append(done)
            progress.update(task, advance=1, description=f"{done.trace}: {done.job.policy or 'lower bound'}")
    bounds_usd = {done.trace: done.bound_usd for done in finished if done.row is None}
    rows = sweep.bounded((done.row for done in finished if done.row is not None), bounds_usd)
    order = {name: place for place, name in enumerate(_policies(arguments))}
    profiles = {done.trace: done.profile for done in finished}
    return sorted(rows, key=lambda row: (row.trace, order[row.policy])), profiles


def _policies(arguments: argparse.Namespace) -> Sequence[str]:
    return arguments.policies or (*NAMES, *(TUNED if arguments.tuned else ()))


def _setting(arguments: argparse.Namespace) -> Setting:
    boots = Boots(never_ready=arguments.never_ready, unavailable=arguments.unavailable)
    if arguments.boot_new:
        boots = replace(boots, new=read_duration(arguments.boot_new))
    if arguments.boot_started:
        boots = replace(boots, started=read_duration(arguments.boot_started))
    return Setting(
        group=read_group(arguments.stack, arguments.group) if arguments.stack else default_group(),
        boots=boots,
        perf=arguments.perf,
        peak_machines=arguments.peak_machines,
        running_micro_usd_per_hour=arguments.usd_per_hour,
        stopped_micro_usd_per_hour=arguments.stopped_usd_per_hour,
        seed=arguments.seed,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.backtest", description="What a scaling policy would have cost over a trace of requests."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--trace", type=Path, help="CSV of t_s,prompt_tokens,output_tokens (default: the synthetic one)")
    what.add_argument("--all", type=Path, metavar="DIR", help="every trace of a directory but the one that is held out")
    parser.add_argument("--held-out", action="store_true", help="the one that is held out as well")
    parser.add_argument("--jobs", type=int, default=2, help="processes of --all")
    parser.add_argument("--stack", type=Path, help="stack file whose endpoint group's parameters to take")
    parser.add_argument("--group", help="which endpoint group of it (default: the first)")
    parser.add_argument("--policies", nargs="*", choices=(*NAMES, *TUNED), help="only these")
    parser.add_argument("--tuned", action="store_true", help="the best peers too, tuned to each trace in hindsight (slow)")
    parser.add_argument("--no-bound", action="store_true", help="leave out the lower bound")
    parser.add_argument("--before", type=Path, metavar="STACK", help="a second stack file, to compare --stack with")
    parser.add_argument("--picture", type=_picture, metavar="FILE", help="draw the machines over time (.png or .svg)")
    parser.add_argument("--document", type=Path, metavar="FILE", help="write the table between the markers of this document")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    _add_rules(parser)
    arguments = parser.parse_args()
    if arguments.all and (arguments.before or arguments.picture):
        parser.error("--before and --picture are of one trace: give it with --trace, not --all")
    return arguments


def _add_rules(parser: argparse.ArgumentParser) -> None:
    boots = Boots()
    rules = parser.add_argument_group("the rules, the same for every policy")
    rules.add_argument("--perf", type=float, help="load per second of a machine (default: by --peak-machines)")
    rules.add_argument("--peak-machines", type=int, default=PEAK_MACHINES, help="how many the busiest ten minutes fill")
    rules.add_argument("--usd-per-hour", type=_micro_usd, default="0.42", help="price of a running machine")
    rules.add_argument("--stopped-usd-per-hour", type=_micro_usd, default="0.02", help="price of a stopped one")
    rules.add_argument("--boot-new", help="seconds from rent to ready: median:p95, or a CSV file with a column ms or s")
    rules.add_argument("--boot-started", help="seconds from start to ready, likewise")
    rules.add_argument("--never-ready", type=float, default=boots.never_ready, help="share of rents that never become ready")
    rules.add_argument("--unavailable", type=float, default=boots.unavailable, help="share of starts that are refused")
    rules.add_argument("--seed", type=int, default=1)


def _micro_usd(text: str) -> int:
    try:
        usd = Decimal(text)
        is_price = 0 <= usd <= USD_PER_HOUR_MAX
    except InvalidOperation:  # no number, or none that can be compared
        is_price = False
    if not is_price:
        raise argparse.ArgumentTypeError(f"{text!r} is no price: write dollars an hour, 0 to {USD_PER_HOUR_MAX}, such as 0.42")
    return micro_usd(usd)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix not in picture.SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} is no picture: its name must end with {' or '.join(picture.SUFFIXES)}")
    return path


if __name__ == "__main__":
    main()
