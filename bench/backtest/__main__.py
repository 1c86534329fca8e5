"""`python -m bench.backtest`: one trace, our policy and what peers do, in dollars and seconds.

`make backtest TRACE=requests.csv STACK=Pulumi.prod.yaml` takes the parameters of a stack file's endpoint group, so that a change
can be judged before it is deployed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from bench.backtest.figures import Figures, figures
from bench.backtest.machines import Machine
from bench.backtest.policies.headgate import Headgate, measured
from bench.backtest.policies.peers import Concurrency, DocumentedVast, RequestRate, Static
from bench.backtest.trace import LoadModel, Trace, read_trace, synthetic
from bench.backtest.world import Policy, Rules, World
from functions.core.jsonable import decode
from functions.core.model import EndpointGroup
from functions.core.pricing import micro_usd
from infra.endpoint_settings import EndpointSettings
from infra.group import group_spec

PEAK_S: Final = 600.0
STREAMS: Final = 16  # how many streams saturate a machine
STATIC_TRIES: Final = 8
# What is rented is the machine above; the stack file's own autogroups may hold secrets that only Pulumi can read.
_ONE_AUTOGROUP: Final = {"any": {"search_params": "num_gpus=1", "image": "engine"}}


def main() -> None:
    """Run the policies that were asked for and print the table."""
    arguments = _arguments()
    try:
        trace = read_trace(arguments.trace, LoadModel()) if arguments.trace else synthetic()
        group = _group(arguments.stack, arguments.group)
    except (OSError, ValueError) as exc:  # also what pydantic and the YAML reader raise of a stack file
        sys.exit(f"bench.backtest: {exc}")
    machine = _machine(trace, arguments)
    rules = Rules(machine=machine, begin_ready=_begin_ready(trace, machine), seed=arguments.seed)
    rows: list[Figures] = []
    for name, make in _policies(group, machine).items():
        if arguments.policies and name not in arguments.policies:
            continue
        rows.append(figures(trace.name, name, World(trace, make(), rules).run()))
    if not arguments.policies or "static" in arguments.policies:
        rows.append(_best_static(trace, rules))
    if arguments.json:
        print(json.dumps([row.json() for row in rows], indent=1))
    else:
        Console().print(_table(trace, machine, rows))


def _policies(group: EndpointGroup, machine: Machine) -> Mapping[str, Callable[[], Policy]]:
    known = measured(machine.perf, gpu_name=machine.gpu_name, dlperf=machine.dlperf)
    return {
        "headgate": lambda: Headgate(group=group, state=known),
        "skyserve": RequestRate,
        "dstack": lambda: RequestRate(name="dstack", down_after_s=600.0),
        "kpa": Concurrency,
        "ray serve": lambda: Concurrency(
            name="ray serve", util=1.0, stable_s=30.0, panic_s=None, down_after_s=600.0, workers_min=1
        ),
        "vast rule": DocumentedVast,
        "kpa + pool": lambda: Concurrency(name="kpa + pool", pool=16),
    }


def _best_static(trace: Trace, rules: Rules) -> Figures:
    """Return the cheapest fixed fleet that begins 99 % in time, found by bisection; the largest tried if none does."""
    low, high = 0, math.ceil(_peak_load_per_s(trace, 60.0) / rules.machine.perf * 2) + 1
    best = None
    for _ in range(STATIC_TRIES):
        if high - low <= 1 and best is not None:
            break
        middle = max(1, (low + high + 1) // 2)
        tried = figures(trace.name, f"static {middle}", World(trace, Static(workers=middle), rules).run())
        if tried.within_target >= 0.99:
            best, high = tried, middle
        else:
            low = middle
    return best or tried


def _machine(trace: Trace, arguments: argparse.Namespace) -> Machine:
    """Return the machine: as given, or such that the busiest ten minutes of the trace fill `--peak-machines` of them."""
    perf = arguments.perf or _peak_load_per_s(trace, PEAK_S) / arguments.peak_machines
    return Machine(perf=perf, stream_perf=perf / STREAMS, running_micro_usd_per_hour=micro_usd(Decimal(arguments.usd_per_hour)))


def _peak_load_per_s(trace: Trace, interval_s: float) -> float:
    bins: dict[int, float] = {}
    for arrival in trace.arrivals:
        bins[int(arrival.at_s // interval_s)] = bins.get(int(arrival.at_s // interval_s), 0.0) + arrival.load
    return max(bins.values()) / min(interval_s, trace.duration_s)


def _begin_ready(trace: Trace, machine: Machine) -> int:
    first = sum(arrival.load for arrival in trace.arrivals if arrival.at_s < PEAK_S) / PEAK_S
    return math.ceil(first / machine.perf / 0.7)


def _group(stack: Path | None, name: str | None) -> EndpointGroup:
    """Return the parameters of a stack file's group, or the defaults with room enough."""
    if stack is None:
        return EndpointGroup(endpoint="backtest", max_workers=200, max_hourly_cost_micro_usd=10**9)
    endpoints: Mapping[str, Mapping[str, Any]] = yaml.safe_load(stack.read_text())["config"]["headgate:endpoints"]
    chosen = name or next(iter(endpoints))
    if chosen not in endpoints:
        raise ValueError(f"{stack} has no endpoint group {chosen!r}; name one of {', '.join(endpoints)}")
    spec = group_spec(chosen, EndpointSettings.model_validate_json(json.dumps({**endpoints[chosen], "autogroups": _ONE_AUTOGROUP})))
    return decode(EndpointGroup, spec)


def _table(trace: Trace, machine: Machine, rows: list[Figures]) -> Table:
    hours = trace.duration_s / 3_600
    title = f"{trace.name}: {len(trace.arrivals):,} requests in {hours:,.1f} h; a machine does {machine.perf:,.0f} load/s"
    table = Table(title=title)
    for column in ("policy", "$", "x ideal", "in 10 s", "dropped", "p50 s", "p95 s", "p99 s", "peak"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for row in rows:
        waits = (f"{wait_s:.1f}" for wait_s in (row.wait_p50_s, row.wait_p95_s, row.wait_p99_s))
        shares = (f"{row.within_target:.2%}", f"{row.dropped:.2%}")
        table.add_row(row.policy, f"{row.usd:,.2f}", f"{row.usd / row.ideal_usd:.2f}", *shares, *waits, str(row.running_max))
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.backtest", description="What a scaling policy would have cost over a trace of requests."
    )
    parser.add_argument("--trace", type=Path, help="CSV of t_s,prompt_tokens,output_tokens (default: the synthetic one)")
    parser.add_argument("--stack", type=Path, help="stack file whose endpoint group's parameters to take")
    parser.add_argument("--group", help="which endpoint group of it (default: the first)")
    parser.add_argument("--perf", type=float, help="load per second of a machine (default: by --peak-machines)")
    parser.add_argument("--peak-machines", type=int, default=12, help="how many machines the busiest ten minutes fill")
    parser.add_argument("--usd-per-hour", default="0.42", help="price of a running machine")
    parser.add_argument("--policies", nargs="*", help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
