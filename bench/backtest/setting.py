"""What holds for a run: the machine, its price and boots, the group's parameters, the luck.

A machine is as fast as it takes for the busiest ten minutes of a trace to fill `peak_machines` of them, so that traces of any size
ask the same question; STREAMS streams of output fill one, prompts fill it by themselves, and a batch holds SLOTS_PER_STREAM times
what fills it, SLOTS_MIN at least. A trace that measured its service in seconds of a machine that serves one request at a time
(`Trace.serial`) brings its own machine, of one load unit a second.

Every policy begins with the machines that the first ten minutes keep busy to BEGIN_UTIL, ready: a trace is never the launch of a
system. What is stopped at the beginning is nothing, for everybody; excerpts are warmed up instead (`trace.warmed`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from bench.backtest.machines import Boots, Machine
from bench.backtest.trace import Trace
from bench.backtest.world import Rules
from functions.core.model import EndpointGroup

PEAK_S: Final = 600.0
PEAK_MACHINES: Final = 12
STREAMS: Final = 16.0
SLOTS_PER_STREAM: Final = 2.0
SLOTS_MIN: Final = 8
BEGIN_UTIL: Final = 0.7
WORKERS_MAX: Final = 200


def default_group() -> EndpointGroup:
    """Return a group at the defaults, with room enough."""
    return EndpointGroup(endpoint="backtest", max_workers=WORKERS_MAX, max_hourly_cost_micro_usd=10**9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The choices of a run. `perf` is the load per second of a machine; None: by `peak_machines`."""

    group: EndpointGroup = field(default_factory=default_group)
    boots: Boots = field(default_factory=Boots)
    perf: float | None = None
    peak_machines: int = PEAK_MACHINES
    running_micro_usd_per_hour: int = 420_000
    stopped_micro_usd_per_hour: int = 20_000
    seed: int = 1

    def machine(self, trace: Trace) -> Machine:
        """Return the machine that serves this trace."""
        by_peak = 1.0 if trace.serial else peak_load_per_s(trace, PEAK_S) / self.peak_machines
        perf = self.perf or by_peak
        streams = 1.0 if trace.serial else max(1.0, STREAMS * trace.output_share)
        return Machine(
            perf=perf,
            stream_perf=perf / streams,
            slots=1 if trace.serial else max(SLOTS_MIN, round(SLOTS_PER_STREAM * streams)),
            running_micro_usd_per_hour=self.running_micro_usd_per_hour,
            stopped_micro_usd_per_hour=self.stopped_micro_usd_per_hour,
        )

    def rules(self, trace: Trace) -> Rules:
        """Return what holds for every policy on this trace."""
        machine = self.machine(trace)
        first_s = min(PEAK_S, trace.duration_s)
        first = sum(arrival.load for arrival in trace.arrivals if arrival.at_s < first_s) / first_s
        return Rules(machine=machine, boots=self.boots, begin_ready=math.ceil(first / machine.perf / BEGIN_UTIL), seed=self.seed)


def peak_load_per_s(trace: Trace, interval_s: float) -> float:
    """Return the load per second of the busiest interval."""
    bins: dict[int, float] = {}
    for arrival in trace.arrivals:
        bins[int(arrival.at_s // interval_s)] = bins.get(int(arrival.at_s // interval_s), 0.0) + arrival.load
    return max(bins.values()) / min(interval_s, trace.duration_s)
