"""Which machine to rent next, of those on offer: the most useful load for a dollar, and what trying one may teach.

*Useful*: no more load counts than is missing, and each worker's share of it counts if `max_workers` is to suffice: the cheapest
load is no use where it takes the last place. What a dollar buys is reckoned by `valuing`, what a machine may serve by `expecting`.

*Trying.* A GPU model that was never measured is known by its benchmark alone. If it turns out better than the best one known (the
incumbent), all that is rented later is cheaper: what trying may teach is taken off its price. With X the cost of a unit of its load
over that of the incumbent, lognormal by the model's uncertainty, the expected share of dollars saved is

    E[(1 - X)+] = Φ(-m/s) - exp(m + s²/2) Φ(-m/s - s),   m = E[log X], s its standard deviation,

the expected improvement of Jones, Schonlau and Welch (1998), closed as for a put option (Black and Scholes, 1973). It is saved on
what the group now needs to run, for one generation of workers: a large fleet may try much, a small one little, an idle one nothing.
No more than half of the price is taken off, so that a trial is never a gamble; at most `test_workers` trials are under way at a
time, and one of a GPU model; and as the model gets known, s goes towards 0 and the reason to try goes with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from functions.core.bidding import falls_back, lost_per_hour
from functions.core.expecting import Expectation, key_of, perf_key
from functions.core.fleet import Fleet
from functions.core.lifecycle import HELD, WorkerState
from functions.core.model import Offer
from functions.core.pricing import Headroom
from functions.core.snapshot import OFFERS_MAX, Snapshot
from functions.core.valuing import ENDING_S, serving_s_per_usd, terms

LESSON_SHARE_MAX: Final = 0.5
AVOIDED_AT_LEAST_S: Final = 300.0
_COMING: Final = frozenset({WorkerState.RENTING, WorkerState.BOOTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer for one autogroup. `expected` is None while nothing can be expected; `s_per_usd`: seconds of service for a dollar.

    `lesson` is the share of its price that trying it may save later.
    """

    autogroup: str
    offer: Offer
    expected: Expectation | None
    s_per_usd: float
    lesson: float = 0.0

    @property
    def perf(self) -> float | None:
        """Return the load per second to be expected, None while nothing can be."""
        return None if self.expected is None else self.expected.perf

    @property
    def key(self) -> str:
        """Return the name of what would be measured."""
        return perf_key(self.autogroup, self.offer.gpu_name, self.offer.num_gpus)

    @property
    def is_trial(self) -> bool:
        """Tell whether it is a GPU model that was never measured, and something is expected of it."""
        return self.expected is not None and self.expected.samples == 0

    @property
    def load_s_per_usd(self) -> float:
        """Return the load that a dollar buys where all of it is useful; 0 while nothing can be expected."""
        return (self.perf or 0.0) * self.s_per_usd

    def score(self, missing_load: float, places: int) -> float:
        """Return useful load per dollar; one of which nothing can be expected goes by its benchmark."""
        perf = self.offer.dlperf if self.perf is None else self.perf
        if missing_load > 0:
            perf = min(perf, missing_load) * min(1.0, perf * places / missing_load)
        return perf * self.s_per_usd / (1 - self.lesson)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be chosen for: the load that is missing, that must run in all, the ceilings, and whom to explore."""

    missing_load: float
    running_load: float
    quotas: Mapping[str, int]  # by autogroup that was never measured: how many more to explore
    serves: bool  # something is missing
    desperate: bool  # nothing runs at all: a machine of which nothing can be expected is better than none
    trials_max: int
    bids_max: int  # how many more may be rented by a bid


def candidates(snapshot: Snapshot, fleet: Fleet, wanted: Iterable[str], room: Headroom, *, desperate: bool) -> list[Candidate]:
    """Return what may be rented of these autogroups; of machines that are avoided one, where nothing runs and nothing else is."""
    affordable = _affordable(snapshot, fleet, wanted, room)
    allowed = snapshot.group.blacklist.allow
    failed_s = {
        machine.machine_id: machine.since_s
        for machine in snapshot.state.avoided
        if fleet.now_s < machine.until_s and machine.machine_id not in allowed
    }
    left = [candidate for candidate in affordable if candidate.offer.machine_id not in failed_s]
    if left or not desperate:
        return left
    # A machine that failed a while ago is better than none.
    rested = [one for one in affordable if fleet.now_s - failed_s[one.offer.machine_id] >= AVOIDED_AT_LEAST_S]
    return sorted(rested, key=lambda one: (failed_s[one.offer.machine_id], one.offer.offer_id))[:1]


def best(left: Iterable[Candidate], choice: Choice, trials: Mapping[str, int], room: Headroom) -> Candidate | None:
    """Return the candidate to rent next; `trials` counts those under way, by what they measure."""
    affordable = [candidate for candidate in left if room.admits(candidate.offer.running_micro_usd_per_hour)]
    if choice.bids_max < 1:
        on_demand = [candidate for candidate in affordable if candidate.offer.bid_micro_usd_per_hour is None]
        affordable = on_demand if on_demand or not choice.desperate else affordable
    known = [candidate for candidate in affordable if candidate.expected is not None] if choice.serves else []
    if known:
        # What serves now comes before what teaches for later.
        return _highest(_with_lessons(known, choice, trials), choice.missing_load, room.workers)
    untested = [one for one in affordable if one.expected is None and (choice.desperate or choice.quotas.get(one.autogroup, 0) > 0)]
    return _highest(untested, 0.0, room.workers)


def trials_under_way(fleet: Fleet) -> Counter[str]:
    """Return how many workers boot of GPU models that were never measured, by what they measure."""
    coming = (worker.rental for worker in fleet.workers if worker.rental.state in _COMING)
    keys = map(key_of, coming)
    return Counter(key for key in keys if key not in fleet.outlook.measured.models)


def _affordable(snapshot: Snapshot, fleet: Fleet, wanted: Iterable[str], room: Headroom) -> list[Candidate]:
    taken = {worker.rental.offer_id for worker in snapshot.workers if worker.rental.state in HELD}
    blacklist = snapshot.group.blacklist
    autogroups, state = snapshot.autogroups, snapshot.state
    rents = {one.name: terms(one, state, lost_per_hour=lost_per_hour(state, one.name)) for one in autogroups}
    holding = {one.name for one in autogroups if falls_back(one, state, now_s=fleet.now_s)}
    return [
        Candidate(
            autogroup=name,
            offer=offer,
            expected=fleet.outlook.of_offer(name, offer),
            s_per_usd=serving_s_per_usd(offer, rents[name]),
        )
        for name in sorted(wanted)
        for offer in snapshot.offers.get(name, ())[:OFFERS_MAX]
        if offer.offer_id not in taken
        and room.admits(offer.running_micro_usd_per_hour)
        and not (offer.ends_in_s is not None and offer.ends_in_s < 2 * ENDING_S)
        and not (offer.bid_micro_usd_per_hour is not None and name in holding)
        # The search leaves them out too, but has been seen to ignore a filter.
        and not blacklist.names(machine_id=offer.machine_id, host_id=offer.host_id)
    ]


def _with_lessons(known: list[Candidate], choice: Choice, trials: Mapping[str, int]) -> list[Candidate]:
    proven = [candidate for candidate in known if candidate.expected is not None and candidate.expected.samples > 0]
    if not proven:
        return known
    incumbent = max(proven, key=lambda candidate: candidate.load_s_per_usd)
    if sum(trials.values()) >= max(1, choice.trials_max):
        return proven
    may_try = [candidate for candidate in known if not trials.get(candidate.key)]
    return [replace(candidate, lesson=lesson(candidate, incumbent, running_load=choice.running_load)) for candidate in may_try]


def lesson(candidate: Candidate, incumbent: Candidate, *, running_load: float) -> float:
    """Return the share of the candidate's price that trying it is expected to save later, at most LESSON_SHARE_MAX."""
    if candidate.expected is None or candidate.key == incumbent.key or min(candidate.load_s_per_usd, incumbent.load_s_per_usd) <= 0:
        return 0.0
    saved = expected_saving(math.log(incumbent.load_s_per_usd / candidate.load_s_per_usd), candidate.expected.model_sd)
    later_per_s = max(0.0, running_load) / incumbent.load_s_per_usd  # dollars for each second of this fleet
    return min(LESSON_SHARE_MAX, saved * later_per_s * candidate.s_per_usd)


def expected_saving(log_cost_ratio: float, sd: float) -> float:
    """Return the mean of (1 - X)+ for a lognormal cost ratio X with this mean and standard deviation of its logarithm."""
    if sd <= 0:
        return max(0.0, -math.expm1(log_cost_ratio))
    below = -log_cost_ratio / sd
    dearer = min(log_cost_ratio + sd * sd / 2, _EXPONENT_MAX)
    return max(0.0, _normal_cdf(below) - math.exp(dearer) * _normal_cdf(below - sd))


_EXPONENT_MAX: Final = 700.0


def _normal_cdf(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))


def _highest(found: Iterable[Candidate], missing_load: float, places: int) -> Candidate | None:
    return max(found, key=lambda one: (one.score(missing_load, places), -one.offer.offer_id, one.autogroup), default=None)
