"""What a worker can carry: measured where it has been measured, expected where it has not, unknown otherwise.

Three sources, best first: the worker's own measurement, the mean of what the same autogroup measured on the same GPU model and
count, and the marketplace's benchmark (`dlperf`) times the ratio of the two that the autogroup has shown on other models. An
autogroup that was never measured has no expectation at all: None, which is not zero and not a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.lifecycle import COMING_OR_SERVING, WorkerState
from functions.core.model import Offer, Rental, Worker
from functions.core.routing import is_routable, is_silent
from functions.core.scaler_state import LearnedPerf, ScalerState

PEERS_MIN: Final = 2
_SAMPLES_MAX: Final = 20  # beyond it an old mean would outweigh a new driver or engine version
_KEY_SEPARATOR: Final = "|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What may be expected of machines that have not been measured yet."""

    learned: Mapping[str, LearnedPerf]
    perf_per_dlperf: Mapping[str, float]  # by autogroup

    def of_worker(self, worker: Worker) -> float | None:
        """Return the load per second of a worker: measured, else expected, else None."""
        if worker.condition.perf > 0:
            return worker.condition.perf
        return self._expected(worker.rental.autogroup, worker.rental)

    def of_offer(self, autogroup: str, offer: Offer) -> float | None:
        """Return the load per second to be expected of an offer, None if nothing can be said."""
        return self._expected(autogroup, offer)

    def knows(self, autogroup: str) -> bool:
        """Tell whether this autogroup was ever measured."""
        return autogroup in self.perf_per_dlperf

    def _expected(self, autogroup: str, machine: Offer | Rental) -> float | None:
        learned = self.learned.get(perf_key(autogroup, machine.gpu_name, machine.num_gpus))
        if learned is not None:
            return learned.perf
        return machine.dlperf * self.perf_per_dlperf.get(autogroup, 0.0) or None


def perf_key(autogroup: str, gpu_name: str, num_gpus: int) -> str:
    """Return the key under which a measurement is remembered."""
    return _KEY_SEPARATOR.join((autogroup, gpu_name, str(num_gpus)))


def peers_perf(learned: Mapping[str, LearnedPerf], autogroup: str, offer: Offer) -> float | None:
    """Return what machines like this one have measured, None before PEERS_MIN of them have: one alone is no yardstick."""
    known = learned.get(perf_key(autogroup, offer.gpu_name, offer.num_gpus))
    return known.perf if known is not None and known.samples >= PEERS_MIN else None


def outlook(state: ScalerState) -> Outlook:
    """Return what the measurements so far let expect."""
    perf: dict[str, float] = {}
    dlperf: dict[str, float] = {}
    for key, learned in state.learned.items():
        autogroup = key.partition(_KEY_SEPARATOR)[0]
        perf[autogroup] = perf.get(autogroup, 0.0) + learned.perf * learned.samples
        dlperf[autogroup] = dlperf.get(autogroup, 0.0) + learned.dlperf * learned.samples
    ratios = {autogroup: total / dlperf[autogroup] if dlperf[autogroup] > 0 else 0.0 for autogroup, total in perf.items()}
    return Outlook(learned=state.learned, perf_per_dlperf=ratios)


def learn(learned: Mapping[str, LearnedPerf], worker: Worker) -> Mapping[str, LearnedPerf]:
    """Add one worker's measurement to the running means."""
    rental = worker.rental
    key = perf_key(rental.autogroup, rental.gpu_name, rental.num_gpus)
    before = learned.get(key, LearnedPerf(perf=0.0, samples=0))
    weight = min(before.samples, _SAMPLES_MAX - 1)
    after = LearnedPerf(
        perf=(before.perf * weight + worker.condition.perf) / (weight + 1),
        dlperf=(before.dlperf * weight + rental.dlperf) / (weight + 1),
        samples=weight + 1,
    )
    return {**learned, key: after}


def is_heard(worker: Worker, *, now_s: float) -> bool:
    """Tell whether the worker has reported of late, in this boot."""
    reported_at_s = worker.condition.reported_at_s
    return reported_at_s > worker.rental.boot_started_at_s and not is_silent(worker, now_s=now_s)


def is_serving(worker: Worker, *, now_s: float) -> bool:
    """Tell whether routers can use the worker now: READY to us, ready by its own word, and heard of late."""
    return is_routable(worker, now_s=now_s) and is_heard(worker, now_s=now_s)


def is_coming(worker: Worker) -> bool:
    """Tell whether the worker will serve without another decision."""
    return worker.rental.state in COMING_OR_SERVING - {WorkerState.READY}
