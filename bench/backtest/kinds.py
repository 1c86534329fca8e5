"""What kind of demand a trace is, by its own figures, and what is asked of a policy on it.

* *bursts*: a quarter or more of the windows of 30 s are empty. A stopped machine takes about as long to come back: what begins
  after such a window begins from idle, sooner than any capacity can follow;
* *steady*: not that, and the busiest ten minutes bring less than 1.5 times the mean load;
* *diurnal*: what is left.

Who serves a steady or diurnal trace is to begin 99 % of the requests within ten seconds, for at most twice the lower bound at that
share; one that bursts from idle, 95 % for at most four times. Nowhere may more than 0.1 % be dropped.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.backtest.trace import Trace

EMPTY_S: Final = 30.0
PEAK_S: Final = 600.0
EMPTY_SHARE_OF_BURSTS: Final = 0.25
PEAK_OF_STEADY: Final = 1.5
DROPPED_MAX: Final = 0.001


class Kind(enum.StrEnum):
    """How the demand of a trace moves."""

    STEADY = "steady"
    DIURNAL = "diurnal"
    BURSTS = "bursts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is asked: the least share that begins in time, and the most that it may cost, in lower bounds."""

    within_target: float
    ratio: float


GOALS: Final[Mapping[Kind, Goal]] = {
    Kind.STEADY: Goal(within_target=0.99, ratio=2.0),
    Kind.DIURNAL: Goal(within_target=0.99, ratio=2.0),
    Kind.BURSTS: Goal(within_target=0.95, ratio=4.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The figures by which a trace is sorted."""

    empty_share: float
    peak_to_mean: float

    @property
    def kind(self) -> Kind:
        """The kind that these figures make."""
        if self.empty_share >= EMPTY_SHARE_OF_BURSTS:
            return Kind.BURSTS
        return Kind.STEADY if self.peak_to_mean < PEAK_OF_STEADY else Kind.DIURNAL


def profile(trace: Trace) -> Profile:
    """Return the figures of a trace, from its first request on. A last window that is cut short by more than half is left out."""
    short, long = _windows(trace, EMPTY_S), _windows(trace, PEAK_S)
    return Profile(empty_share=short.count(0.0) / len(short), peak_to_mean=max(long) * len(long) / sum(long))


def _windows(trace: Trace, window_s: float) -> list[float]:
    loads: dict[int, float] = defaultdict(float)
    first_s = trace.arrivals[0].at_s
    for arrival in trace.arrivals:
        loads[int((arrival.at_s - first_s) // window_s)] += arrival.load
    return [loads.get(window, 0.0) for window in range(max(1, round((trace.duration_s - first_s) / window_s)))]
