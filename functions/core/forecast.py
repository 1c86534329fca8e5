"""What the next seconds will ask, as far as the last ones prove it: load per second, and requests to be held side by side.

A worker is full in one of two ways: its load per second is used up, or its slots are. A burst fills the slots first, long before a
mean over minutes has moved; a lasting rise fills both. Hence two figures, each with its own uncertainty.

*Load.* Arrivals are random, and the highest of several noisy rates overstates a steady demand, at few requests by half. So what
counts is what is *proven*: of the mean over each window, its lower confidence bound (EVIDENCE standard deviations of a compound
Poisson sum, whose variance is the sum of the squared sizes, taken as twice the squared mean size, as of exponential sizes); the
highest bound of all windows, and no less than the plain mean over the longest. Strong evidence shows at once, weak evidence takes
longer.

*Open requests.* Those in flight and those that wait now, and what their number is proven to grow by until a stopped worker that is
started now serves (`lead_time`). Whatever arrives beyond that finds a slot free as long as there is headroom: `headroom` standard
deviations of a Poisson number, where headroom follows from what being short costs against being idle (`sizing`).

Requests that began before the oldest sample are in no growth: without a sample from before there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from functions.core.scaler_state import DemandSample

RATE_WINDOWS_S: Final = (120.0, 300.0)  # the longest last
# A burst seven seconds after the first sample is no rate of a seventh of it per second.
SPAN_S_MIN: Final = 15.0
GROWTH_S_MIN: Final = 9.0
GROWTH_S_MAX: Final = 60.0
# One in fifteen by chance, and a decision looks every ten seconds at windows that overlap.
EVIDENCE: Final = 1.5
SIZE_VARIANCE: Final = 2.0  # the mean of the squared size over the squared mean size
# Of a total, far above what adding a thousand workers in another order changes and far below any request.
ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected. `load_per_s` is None while no rate is known.

    `open_requests` are those in flight or waiting now; `growth_per_s` is what their number is proven to grow by in the `lead_s`
    seconds that a start takes.
    """

    load_per_s: float | None
    open_requests: int
    growth_per_s: float
    lead_s: float
    mean_load_per_s: float = 0.0  # over the longest window

    @property
    def open_ahead(self) -> float:
        """How many requests will be open once a worker that is started now serves."""
        return self.open_requests + self.growth_per_s * self.lead_s


def forecast(
    samples: tuple[DemandSample, ...], *, arrived_load: float, open_requests: int, mean_cost: float, lead_s: float, now_s: float
) -> Forecast:
    """Return what the samples, oldest first, and the totals of this moment let expect."""
    before = tuple(sample for sample in samples if sample.at_s < now_s)
    grown = [_growth_per_s(before, arrived_load, window_s=window_s, now_s=now_s) for window_s in RATE_WINDOWS_S] if before else []
    return Forecast(
        mean_load_per_s=grown[-1][1] if grown else 0.0,
        load_per_s=_proven_load_per_s(grown, mean_cost=mean_cost),
        open_requests=open_requests,
        growth_per_s=_proven_growth_per_s(before, arrived_load, open_requests, mean_cost=mean_cost, now_s=now_s),
        lead_s=lead_s,
    )


def growth(before: float, after: float) -> float:
    """Return by how much a total has grown; the last digits of a sum whose terms moved about are no demand."""
    grown = after - before
    return grown if grown > ROUNDING * after else 0.0


def _proven_load_per_s(grown: list[tuple[float, float]], *, mean_cost: float) -> float | None:
    """Return what the growth over each window, the longest last, proves; None of none."""
    if not grown:
        return None
    bounds = [0.0]
    mean_per_s = 0.0
    for load, mean_per_s in grown:
        uncertain = EVIDENCE * math.sqrt(SIZE_VARIANCE * load * mean_cost) / load if load > 0 else 0.0
        bounds.append(mean_per_s * (1 - uncertain))
    return max(mean_per_s, *bounds)


def _growth_per_s(before: tuple[DemandSample, ...], arrived_load: float, *, window_s: float, now_s: float) -> tuple[float, float]:
    """Return by how much the load has grown over a window, or since the oldest sample, and how much that is a second."""
    begin = next((sample for sample in reversed(before) if now_s - sample.at_s >= window_s), before[0])
    grown = growth(begin.assigned_load + begin.waiting_load, arrived_load)
    return grown, grown / max(now_s - begin.at_s, SPAN_S_MIN)


def _proven_growth_per_s(
    before: tuple[DemandSample, ...], arrived_load: float, open_requests: int, *, mean_cost: float, now_s: float
) -> float:
    highest = 0.0
    for sample in before:
        span_s = now_s - sample.at_s
        grown = 0 if sample.open_requests is None else open_requests - sample.open_requests
        if grown <= 0 or not GROWTH_S_MIN <= span_s <= GROWTH_S_MAX:
            continue
        arrived = growth(sample.assigned_load + sample.waiting_load, arrived_load) / mean_cost if mean_cost > 0 else 0.0
        # What came and what went are both left to chance; what came cannot be less than what stayed.
        came = max(arrived, grown)
        highest = max(highest, (grown - EVIDENCE * math.sqrt(max(0.0, came + came - grown))) / span_s)
    return highest
