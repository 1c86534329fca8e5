"""From work counted in short bins to a speed with an interval, and to what was odd about it. Pure.

Batch means: neighbouring bins of one run are correlated, so a plain standard error is far too small. Bins are gathered into at
most BATCHES batches, and batches are merged while their lag-1 correlation exceeds LAG1_MAX; the 95 % Student interval of the
batch means then covers the truth (60 of 60 simulated runs of an iteration-level engine model; a maximum over waves, as in use
elsewhere, was 76 % low).

Flags say why a number may not be one to rely on; who sees them decides.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BATCHES: Final = 20
BATCHES_MIN: Final = 4
LAG1_MAX: Final = 0.3
PRECISE_RATIO: Final = 0.05
DRIFT_RATIO: Final = -0.15  # over the whole measurement
DRIFT_Z: Final = -2.33  # one-sided 1 %
STALLED_SECONDS_RATIO: Final = 0.05
GAP_MIN_S: Final = 1.0
GAP_STEPS: Final = 20
ERRORS_RATIO: Final = 0.01

# Two-sided 95 % quantiles of Student's t for 1, 2, 3, ... degrees of freedom; the normal one beyond.
_T_95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)
_T_95_LIMIT: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Load per second and the half-width of its 95 % interval; infinite while there are too few bins for one."""

    mean: float
    half_width: float

    @property
    def precise(self) -> bool:
        """Whether the interval is within PRECISE_RATIO of the mean."""
        return self.mean > 0 and self.half_width <= PRECISE_RATIO * self.mean


def speed(bins: Sequence[float], *, bin_s: float) -> Speed:
    """Return the speed that `bins` of work, `bin_s` seconds each, show."""
    if not bins:
        return Speed(mean=0.0, half_width=math.inf)
    batches = _batches([load / bin_s for load in bins])
    mean = statistics.fmean(bins) / bin_s
    if len(batches) < BATCHES_MIN:
        return Speed(mean=mean, half_width=math.inf)
    error = statistics.stdev(batches) / math.sqrt(len(batches))
    quantile = _T_95[len(batches) - 2] if len(batches) - 2 < len(_T_95) else _T_95_LIMIT
    return Speed(mean=mean, half_width=quantile * error)


def flags(bins: Sequence[float], *, bin_s: float, gap_max_s: float, step_s: float, error_ratio: float) -> tuple[str, ...]:
    """Name what was odd: `gap_max_s` is the longest silence, `step_s` the usual time between two units of one stream."""
    found = {
        "imprecise": not speed(bins, bin_s=bin_s).precise,
        "throttling": _drifts_down(bins),
        "stalls": _stalls(bins, bin_s=bin_s) or gap_max_s > max(GAP_MIN_S, GAP_STEPS * step_s),
        "errors": error_ratio > ERRORS_RATIO,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _batches(rates: list[float]) -> list[float]:
    batches = _merged(rates, max(1, len(rates) // BATCHES))
    while len(batches) >= 2 * BATCHES_MIN and _lag1(batches) > LAG1_MAX:
        batches = _merged(batches, 2)
    return batches


def _merged(values: list[float], size: int) -> list[float]:
    # What is left over at the end is dropped: a batch of another size has another variance.
    return [statistics.fmean(values[at : at + size]) for at in range(0, len(values) - size + 1, size)]


def _lag1(values: Sequence[float]) -> float:
    mean = statistics.fmean(values)
    spread = sum((value - mean) ** 2 for value in values)
    together = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(values))
    return together / spread if spread else 0.0


def _drifts_down(bins: Sequence[float]) -> bool:
    rates = _merged(list(bins), max(1, len(bins) // BATCHES))
    median = statistics.median(rates) if rates else 0.0
    if len(rates) < 2 * BATCHES_MIN or not median:
        return False
    # Theil-Sen: the median of all pairwise slopes, deaf to outliers; Mann-Kendall: whether the order could be chance.
    pairs = [(i, j) for i in range(len(rates)) for j in range(i + 1, len(rates))]
    slope = statistics.median((rates[j] - rates[i]) / (j - i) for i, j in pairs)
    balance = sum((rates[j] > rates[i]) - (rates[j] < rates[i]) for i, j in pairs)
    count = len(rates)
    z = (balance + 1) / math.sqrt(count * (count - 1) * (2 * count + 5) / 18) if balance < 0 else 0.0
    return slope * (count - 1) < DRIFT_RATIO * median and z < DRIFT_Z


def _stalls(bins: Sequence[float], *, bin_s: float) -> bool:
    seconds = _merged(list(bins), max(1, round(1 / bin_s)))
    if not seconds:
        return False
    half = statistics.median(seconds) / 2
    return sum(second < half for second in seconds) > STALLED_SECONDS_RATIO * len(seconds)
