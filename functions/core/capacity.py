"""What a worker can carry: measured where it has been measured, expected where it has not, unknown otherwise.

What is expected of machines that have not been measured yet is the business of `expecting`. An autogroup that was never measured
has no expectation at all: None, which is not zero and not a guess.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from functions.core.expecting import Expectation, Measured, is_of_autogroup, key_of, measured, perf_key, with_sample
from functions.core.lifecycle import COMING
from functions.core.model import Offer, Worker
from functions.core.routing import is_in_service, is_silent
from functions.core.scaler_state import LearnedPerf, ObservedPerf, ScalerState

PEERS_MIN: Final = 2
# Standard deviations of the logarithm: by how much a test with made-up requests misses what real ones take, and how well a window
# of real ones is measured beside the chance of their number.
TEST_SD: Final = 0.15
USE_SD: Final = 0.05
LEARNED_MAX: Final = 200  # GPU models of all autogroups; beyond it those that were measured longest ago are forgotten
SAME_SPEED: Final = 0.2  # by how much machines of one GPU model differ in what they measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What may be expected of machines, measured or not."""

    measured: Measured
    observed: Mapping[str, ObservedPerf]  # by worker id

    def of_worker(self, worker: Worker) -> float | None:
        """Return the load per second of a worker: measured by its test and in use, else expected, else None."""
        if worker.condition.perf > 0:
            observed = self.observed.get(worker.worker_id)
            return worker.condition.perf if observed is None else _in_use(worker.condition.perf, observed)
        rental = worker.rental
        expected = self.measured.of(rental.autogroup, rental.gpu_name, rental.num_gpus, dlperf=rental.dlperf)
        return None if expected is None else expected.perf

    def of_offer(self, autogroup: str, offer: Offer) -> Expectation | None:
        """Return what is to be expected of an offer, None if nothing can be said."""
        return self.measured.of(autogroup, offer.gpu_name, offer.num_gpus, dlperf=offer.dlperf)

    def knows(self, autogroup: str) -> bool:
        """Tell whether this autogroup was ever measured."""
        return autogroup in self.measured.autogroups


def peers_perf(learned: Mapping[str, LearnedPerf], autogroup: str, offer: Offer) -> float | None:
    """Return what machines like this one have measured, None before PEERS_MIN of them have: one alone is no yardstick."""
    known = learned.get(perf_key(autogroup, offer.gpu_name, offer.num_gpus))
    return known.perf if known is not None and known.samples >= PEERS_MIN else None


def outlook(state: ScalerState) -> Outlook:
    """Return what the measurements so far let expect."""
    return Outlook(measured=measured(state.learned), observed=state.observed)


def _in_use(tested: float, observed: ObservedPerf) -> float:
    """Return the mean of what a test and real requests showed, each by what it tells (inverse variances of the logarithm)."""
    of_test = 1 / TEST_SD**2
    of_use = 1 / (USE_SD**2 + 1 / max(1, observed.requests))
    return math.exp((of_test * math.log(tested) + of_use * math.log(observed.perf)) / (of_test + of_use))


def learn(learned: Mapping[str, LearnedPerf], worker: Worker, *, now_s: float) -> Mapping[str, LearnedPerf]:
    """Add one worker's measurement to what is known of its like."""
    rental = worker.rental
    key = key_of(rental)
    after = with_sample(learned.get(key), perf=worker.condition.perf, dlperf=rental.dlperf, now_s=now_s)
    known = {**learned, key: after}
    while len(known) > LEARNED_MAX:
        del known[min(known, key=lambda one: known[one].measured_at_s)]
    return known


def carry_over(
    learned: Mapping[str, LearnedPerf], autogroup: str, workers: Sequence[Worker], *, now_s: float
) -> Mapping[str, LearnedPerf]:
    """Return what is known of an autogroup once its first workers of another version are measured.

    A version that is faster or slower on one GPU model is so on the others, by about as much. So where it differs by more than
    machines of one model do, all the means move by its share and count for little, until they are measured.
    """
    mine, usual = 0.0, 0.0
    for worker in workers:
        known = learned.get(key_of(worker.rental))
        if known is not None:
            mine, usual = mine + worker.condition.perf, usual + known.perf
    factor = mine / usual if usual > 0 else 1.0
    if abs(factor - 1.0) > SAME_SPEED:
        mine_of = {key: each for key, each in learned.items() if is_of_autogroup(key, autogroup)}
        moved = {key: replace(each, perf=each.perf * factor, samples=1, deviations=0.0) for key, each in mine_of.items()}
        learned = {**learned, **moved}
    for worker in workers:
        learned = learn(learned, worker, now_s=now_s)
    return learned


def load_per_place(workers: Iterable[Worker], target_queue_time_s: float, mean_cost: float) -> float:
    """Return the load per second of one place of those workers that have said how many slots they have; 0 if none has.

    Worked example: 100 load/s in 4 slots, requests of 50 load, `target_queue_time` 10 s: 4 begin at once and 10 more within 5 s.
    """
    told = [worker.condition for worker in workers if worker.condition.slots > 0 and worker.condition.perf > 0]
    slots, perf = sum(condition.slots for condition in told), sum(condition.perf for condition in told)
    soon = perf * target_queue_time_s / 2 / mean_cost if mean_cost > 0 else 0.0
    return perf / (slots + soon) if slots else 0.0


def is_heard(worker: Worker, *, now_s: float) -> bool:
    """Tell whether the worker has reported of late, in this boot."""
    reported_at_s = worker.condition.reported_at_s
    return reported_at_s > worker.rental.boot_started_at_s and not is_silent(worker, now_s=now_s)


def is_serving(worker: Worker, *, now_s: float) -> bool:
    """Tell whether routers can use the worker now: READY to us, ready by its own word, and heard of late."""
    return is_in_service(worker) and is_heard(worker, now_s=now_s)


def is_coming(worker: Worker) -> bool:
    """Tell whether the worker will serve without another decision."""
    return worker.rental.state in COMING
