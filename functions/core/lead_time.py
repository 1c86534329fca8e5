"""How long capacity takes to arrive: learned from every boot and every start of the group, and how widely that scatters.

Two ways lead to a serving worker, and each has its own time: a *boot* after a rent (image, model, performance test), and a *start*
of what was stopped (the engine alone). Times of either kind are lognormal as far as has been measured (a few are ten times the
median, none is a tenth of it), so that means and deviations of their logarithms are kept. The past fades: beyond SAMPLES_MAX the
newest counts for a share of it, so that a new image's longer boot is believed within a day.

Until a group has seen its own, a prior counts as much as PRIOR_SAMPLES of them: a boot takes 180 s in the median and 600 s at the
95th percentile, a start 25 s and 90 s (measured on the marketplace, 2024 to 2026: the defaults of `bench.backtest.machines`).

Invariant: every time is positive and finite, and at most LEAD_S_MAX.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from functions.core.model import Worker
from functions.core.scaler_state import LearnedTime, ScalerState

LEAD_S_MAX: Final = 3_600.0
LEAD_S_MIN: Final = 1.0
SAMPLES_MAX: Final = 30.0
PRIOR_SAMPLES: Final = 4.0
_P95: Final = 1.6449  # standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadTime:
    """A time to expect, in seconds: its mean, its median, and what one in twenty takes longer than."""

    mean_s: float
    median_s: float
    p95_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prior:
    """What is expected of the logarithm of a time before any was seen."""

    mean_log: float
    variance: float


def _prior(*, median_s: float, p95_s: float) -> _Prior:
    return _Prior(mean_log=math.log(median_s), variance=(math.log(p95_s / median_s) / _P95) ** 2)


_BOOT: Final = _prior(median_s=180.0, p95_s=600.0)
_START: Final = _prior(median_s=25.0, p95_s=90.0)


def boot_time(state: ScalerState) -> LeadTime:
    """Return how long it takes from a rent to a worker that serves."""
    return _expected(state.boot_time, _BOOT)


def start_time(state: ScalerState) -> LeadTime:
    """Return how long it takes from the start of a stopped worker until it serves."""
    return _expected(state.start_time, _START)


def is_restarted(worker: Worker) -> bool:
    """Tell whether its present boot is a start of what was stopped, not the first."""
    return worker.rental.boot_started_at_s > worker.rental.created_at_s


def with_arrival(state: ScalerState, worker: Worker, *, now_s: float) -> ScalerState:
    """Return the state after this worker has become ready now."""
    took_s = min(LEAD_S_MAX, max(LEAD_S_MIN, now_s - worker.rental.boot_started_at_s))
    if is_restarted(worker):
        return replace(state, start_time=_with_sample(state.start_time, math.log(took_s)))
    return replace(state, boot_time=_with_sample(state.boot_time, math.log(took_s)))


def _with_sample(before: LearnedTime, log_s: float) -> LearnedTime:
    """Add one time to a running mean and sum of squared deviations (Welford), of which the past keeps SAMPLES_MAX - 1 at most."""
    kept = min(before.samples, SAMPLES_MAX - 1)
    deviations = before.deviations * kept / before.samples if before.samples else 0.0
    step = log_s - before.mean_log
    mean_log = before.mean_log + step / (kept + 1)
    return LearnedTime(samples=kept + 1, mean_log=mean_log, deviations=deviations + step * (log_s - mean_log))


def _expected(learned: LearnedTime, prior: _Prior) -> LeadTime:
    weight = learned.samples + PRIOR_SAMPLES
    mean_log = (learned.mean_log * learned.samples + prior.mean_log * PRIOR_SAMPLES) / weight
    variance = (learned.deviations + prior.variance * PRIOR_SAMPLES) / weight
    return LeadTime(
        mean_s=_bounded_s(mean_log + variance / 2),
        median_s=_bounded_s(mean_log),
        p95_s=_bounded_s(mean_log + _P95 * math.sqrt(variance)),
    )


def _bounded_s(log_s: float) -> float:
    return min(LEAD_S_MAX, math.exp(log_s))
