"""Who takes part: our core at the group's parameters, peers at their defaults, and, in hindsight, the best of several.

In hindsight means: of several runs the cheapest that serves as well as the kind of the trace asks, or the one that serves best if
none does. So are chosen the number of machines of a fixed fleet, how full the clairvoyant keeps its machines, and the
parameters of the *tuned* peers: over a small grid, anew for each trace.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bench.backtest.figures import Figures, figures
from bench.backtest.kinds import DROPPED_MAX, GOALS, profile
from bench.backtest.policies.clairvoyant import Clairvoyant
from bench.backtest.policies.headgate import Headgate, measured
from bench.backtest.policies.peers import Concurrency, DocumentedVast, RequestRate, Static
from bench.backtest.setting import Setting, peak_load_per_s
from bench.backtest.trace import Trace, warmed
from bench.backtest.world import Policy, World

OURS: Final = "headgate"
STATIC: Final = "static"
FILLS: Final = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)


def _headgate(trace: Trace, setting: Setting) -> Policy:
    machine = setting.machine(trace)
    return Headgate(group=setting.group, state=measured(machine.perf, gpu_name=machine.gpu_name, dlperf=machine.dlperf))


ENTRANTS: Final[Mapping[str, Callable[[Trace, Setting], Policy]]] = {
    OURS: _headgate,
    "skyserve": lambda _trace, _setting: RequestRate(),
    "dstack": lambda _trace, _setting: RequestRate(name="dstack", down_after_s=600.0),
    "kpa": lambda _trace, _setting: Concurrency(),
    "ray serve": lambda _trace, _setting: Concurrency(
        name="ray serve", util=1.0, stable_s=30.0, panic_s=None, down_after_s=600.0, workers_min=1
    ),
    "vast rule": lambda _trace, _setting: DocumentedVast(),
    "kpa + pool": lambda _trace, _setting: Concurrency(name="kpa + pool", pool=16),
}
# What takes several runs over one trace, to choose from in hindsight.
_HINDSIGHT: Final[Mapping[str, Callable[[], Iterable[Policy]]]] = {
    "clairvoyant": lambda: (Clairvoyant(fill=fill) for fill in FILLS),
    "tuned kpa + pool": lambda: (
        Concurrency(name="tuned kpa + pool", util=util, down_after_s=down_after_s, pool=pool)
        for util, down_after_s, pool in itertools.product((0.3, 0.5, 0.7), (60.0, 600.0), (8, 16, 32))
    ),
    "tuned rate": lambda: (
        RequestRate(name="tuned rate", util=util, up_after_s=up_after_s, down_after_s=down_after_s, pool=pool)
        for util, up_after_s, down_after_s, pool in itertools.product((0.4, 0.6, 0.8), (0.0, 60.0), (120.0, 600.0), (8, 24))
    ),
}
TUNED: Final = ("tuned kpa + pool", "tuned rate")
NAMES: Final = (*ENTRANTS, STATIC, "clairvoyant")


def play(trace: Trace, policy: Policy, setting: Setting) -> World:
    """Run one policy over a trace."""
    return World(warmed(trace), policy, setting.rules(trace)).run()


def enter(name: str, trace: Trace, setting: Setting) -> tuple[Figures, World]:
    """Run the policy of this name. Raises KeyError."""
    begun_s = time.process_time()
    if name == STATIC:
        world = _best_static(trace, setting)
    elif name in _HINDSIGHT:
        world = _best(trace, _HINDSIGHT[name](), setting)
    else:
        world = play(trace, ENTRANTS[name](trace, setting), setting)
    return figures(world, name, seconds=time.process_time() - begun_s), world


def _best(trace: Trace, policies: Iterable[Policy], setting: Setting) -> World:
    """Return the cheapest run that serves well enough; the one that serves best if none does."""
    best: tuple[bool, float, World] | None = None
    for policy in policies:
        world = play(trace, policy, setting)
        row = figures(world, policy.name)
        good = meets(row, trace)
        rank = (good, -row.usd if good else row.within_target - row.dropped)
        if best is None or rank > best[:2]:
            best = (*rank, world)
    assert best is not None, "a grid has a point"
    return best[2]


def meets(row: Figures, trace: Trace) -> bool:
    """Tell whether a run begins enough in time, and drops little enough, for a trace of this kind."""
    return row.within_target >= GOALS[profile(trace).kind].within_target and row.dropped <= DROPPED_MAX


def _best_static(trace: Trace, setting: Setting) -> World:
    """Return the run of the smallest fixed fleet that serves well enough, by bisection; of a very large one if none does."""
    low, high = 0, math.ceil(peak_load_per_s(trace, 60.0) / setting.machine(trace).perf * 2) + 1
    best = play(trace, Static(workers=high), setting)
    if not meets(figures(best, STATIC), trace):
        return best
    while high - low > 1:
        middle = (low + high) // 2
        tried = play(trace, Static(workers=middle), setting)
        if meets(figures(tried, STATIC), trace):
            best, high = tried, middle
        else:
            low = middle
    return best
