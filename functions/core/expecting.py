"""What load per second a machine may be expected to serve, and how sure that is.

A normal model on the logarithm, in three levels. A machine i of GPU model m, rented for autogroup a, serves

    log perf_i = log dlperf_m + ratio_a + deviation_m + error_i,   deviation_m ~ N(0, BETWEEN_MODELS_SD²), error_i ~ N(0, spread_a²)

where `dlperf_m` is the marketplace's benchmark of the model, `ratio_a` what this autogroup makes of a point of it (flat prior: load
units are the backend's own, so before any measurement nothing is expected at all, which is neither zero nor a guess), `deviation_m`
what the benchmark misses about the model, and `error_i` what machines of one model differ by. All posteriors are closed: Gelman
et al., Bayesian Data Analysis, 3rd ed., section 5.4 (normal hierarchy, variances known). So a model that was never measured is
expected to follow its benchmark, within half or twice; one measurement counts for nine tenths, three leave little to be learned.

Where the constants come from. BETWEEN_MODELS_SD: output tokens/s of Llama-3.1-8B over `dlperf` on 7 and 8 GPU models
(tech-grandpa/llmperf; benchmark of December 2025) has a standard deviation of the logarithm of 0.41 (BF16) and 0.55 (FP8).
BENCHMARK_SD: the benchmark of machines of one model differs by 0.41 in the median over 63 models (the whole market of November
2024), far more than their speed does. That is why the benchmark of a *model* is used, and that of the single machine at hand only
where no better is known, with this much less trust.

`perf` is the median of what is expected: half of such machines serve more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from functions.core.model import Rental
from functions.core.scaler_state import LearnedPerf

BETWEEN_MODELS_SD: Final = 0.45
BENCHMARK_SD: Final = 0.4
BETWEEN_MACHINES_SD: Final = 0.15  # until measured; then it counts like this many machines:
BETWEEN_MACHINES_WEIGHT: Final = 4.0
SAMPLES_MAX: Final = 20  # beyond it an old mean would outweigh a new driver or engine version
_KEY_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Load per second of one more machine: `perf` in the median, with standard deviations of its logarithm.

    `model_sd` is what measuring this GPU model would settle, `machine_sd` what machines of it differ by, `samples` how many were
    measured.
    """

    perf: float
    model_sd: float
    machine_sd: float
    samples: int

    @property
    def sd(self) -> float:
        """Return the standard deviation of the logarithm, of one machine."""
        return math.hypot(self.model_sd, self.machine_sd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """What an autogroup makes of a point of the benchmark: log mean, its variance, and what machines of one model differ by."""

    mean: float
    variance: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything measured, ready to be asked. Built once a decision."""

    models: Mapping[str, Expectation]  # by `perf_key`: those measured
    ratios: Mapping[str, Ratio]  # by autogroup: those measured on a machine that has a benchmark
    autogroups: frozenset[str]  # those measured at all

    def of(self, autogroup: str, gpu_name: str, num_gpus: int, *, dlperf: float) -> Expectation | None:
        """Return what a machine may be expected to serve, None if nothing can be said."""
        known = self.models.get(perf_key(autogroup, gpu_name, num_gpus))
        return self._unmeasured(autogroup, dlperf) if known is None else known

    def _unmeasured(self, autogroup: str, dlperf: float) -> Expectation | None:
        ratio = self.ratios.get(autogroup)
        if ratio is None or dlperf <= 0:
            return None
        model_sd = math.sqrt(BETWEEN_MODELS_SD**2 + BENCHMARK_SD**2 + ratio.variance)
        return Expectation(perf=dlperf * math.exp(ratio.mean), model_sd=model_sd, machine_sd=ratio.spread, samples=0)


def perf_key(autogroup: str, gpu_name: str, num_gpus: int) -> str:
    """Return the key under which measurements of one autogroup on one GPU model and count are remembered."""
    return _KEY_SEPARATOR.join((autogroup, gpu_name, str(num_gpus)))


def key_of(rental: Rental) -> str:
    """Return the key under which a worker's measurements are remembered."""
    return perf_key(rental.autogroup, rental.gpu_name, rental.num_gpus)


def is_of_autogroup(key: str, autogroup: str) -> bool:
    """Tell whether this is the key of a measurement of an autogroup."""
    return key.partition(_KEY_SEPARATOR)[0] == autogroup


def measured(learned: Mapping[str, LearnedPerf]) -> Measured:
    """Return what the measurements so far let expect."""
    groups: dict[str, dict[str, LearnedPerf]] = defaultdict(dict)
    for key, known in learned.items():
        if known.samples > 0 and known.perf > 0:
            groups[key.partition(_KEY_SEPARATOR)[0]][key] = known
    spreads = {name: _spread(models.values()) for name, models in groups.items()}
    ratios = {name: ratio for name, models in groups.items() if (ratio := _ratio(models.values(), spreads[name])) is not None}
    models = {
        key: _posterior(known, ratios.get(name), spreads[name]) for name, models in groups.items() for key, known in models.items()
    }
    return Measured(models=models, ratios=ratios, autogroups=frozenset(groups))


def with_sample(before: LearnedPerf | None, *, perf: float, dlperf: float, now_s: float) -> LearnedPerf:
    """Return what is known of a model after one more machine of it was measured. Means are geometric: a liar moves them little."""
    if before is None or before.perf <= 0:
        return LearnedPerf(perf=perf, samples=1, dlperf=dlperf, measured_at_s=now_s)
    weight = min(before.samples, SAMPLES_MAX - 1)
    away = math.log(perf / before.perf)
    return LearnedPerf(
        perf=before.perf * math.exp(away / (weight + 1)),
        samples=weight + 1,
        dlperf=_mean_benchmark(before.dlperf, dlperf, weight),
        # Welford: the squared deviations of all samples, from their running mean.
        deviations=before.deviations * weight / max(1, before.samples) + away * away * weight / (weight + 1),
        measured_at_s=now_s,
    )


def without(known: LearnedPerf, perf: float) -> LearnedPerf | None:
    """Return what is known of a model without one machine that measured `perf`; None if that was the only one."""
    if known.samples < 2 or perf <= 0:
        return None
    mean = (math.log(known.perf) * known.samples - math.log(perf)) / (known.samples - 1)
    deviations = known.deviations - (math.log(perf) - mean) ** 2 * (known.samples - 1) / known.samples
    return replace(known, perf=math.exp(mean), samples=known.samples - 1, deviations=max(0.0, deviations))


def _mean_benchmark(before: float, now: float, weight: int) -> float:
    if before <= 0 or now <= 0:
        return max(before, now)
    return before * math.exp(math.log(now / before) / (weight + 1))


def _spread(models: Iterable[LearnedPerf]) -> float:
    """Return the standard deviation between machines of one model, over all models of an autogroup, with its prior."""
    known = tuple(models)
    deviations = BETWEEN_MACHINES_WEIGHT * BETWEEN_MACHINES_SD**2 + math.fsum(model.deviations for model in known)
    # Records of earlier versions have no time and tell nothing of their spread.
    freedom = sum(model.samples - 1 for model in known if model.measured_at_s > 0)
    return math.sqrt(deviations / (BETWEEN_MACHINES_WEIGHT + freedom))


def _ratio(models: Iterable[LearnedPerf], spread: float) -> Ratio | None:
    # Of each model: how much its mean tells of the autogroup (precision), and what it says.
    said = [
        (1 / (BETWEEN_MODELS_SD**2 + spread**2 / model.samples), math.log(model.perf / model.dlperf))
        for model in models
        if model.dlperf > 0
    ]
    if not said:
        return None
    precision = math.fsum(weight for weight, _ in said)
    mean = math.fsum(weight * log_ratio for weight, log_ratio in said) / precision
    return Ratio(mean=mean, variance=1 / precision, spread=spread)


def _posterior(known: LearnedPerf, ratio: Ratio | None, spread: float) -> Expectation:
    own = known.samples / spread**2
    if ratio is None or known.dlperf <= 0:
        return Expectation(perf=known.perf, model_sd=math.sqrt(1 / own), machine_sd=spread, samples=known.samples)
    prior = 1 / BETWEEN_MODELS_SD**2
    shrunk = prior / (own + prior)
    # Shrunk from what was measured towards what the benchmark predicts.
    away = ratio.mean - math.log(known.perf / known.dlperf)
    return Expectation(
        perf=known.perf * math.exp(shrunk * away),
        model_sd=math.sqrt(1 / (own + prior) + shrunk**2 * ratio.variance),
        machine_sd=spread,
        samples=known.samples,
    )
