"""What kind of demand a trace is, by its own figures, and what is asked of a policy on it.

Windows of ten minutes, counted from the first request on, load and not requests:

* *bursts*: a quarter of the windows or more are empty, or the busiest is at least 20 times the mean: next to its bursts it is idle;
* *steady*: not that, and the busiest window is less than 1.5 times the mean;
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

WINDOW_S: Final = 600.0
EMPTY_SHARE_OF_BURSTS: Final = 0.25
PEAK_OF_BURSTS: Final = 20.0
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
        if self.empty_share >= EMPTY_SHARE_OF_BURSTS or self.peak_to_mean >= PEAK_OF_BURSTS:
            return Kind.BURSTS
        return Kind.STEADY if self.peak_to_mean < PEAK_OF_STEADY else Kind.DIURNAL


def profile(trace: Trace) -> Profile:
    """Return the figures of a trace. A last window that is cut short by more than half is left out."""
    loads: dict[int, float] = defaultdict(float)
    first_s = trace.arrivals[0].at_s
    for arrival in trace.arrivals:
        loads[int((arrival.at_s - first_s) // WINDOW_S)] += arrival.load
    number = max(1, round((trace.duration_s - first_s) / WINDOW_S))
    whole = [loads.get(window, 0.0) for window in range(number)]
    return Profile(empty_share=whole.count(0.0) / number, peak_to_mean=max(whole) * number / sum(whole))
