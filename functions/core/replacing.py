"""Who serves and should not stay: found, written among the machines to avoid, and replaced before it leaves.

What is broken is destroyed at once (`reconcile`). Here are machines that do their work and are not worth what they cost:

* *slow*: far below what the others of its GPU model serve, by SLOW_SHARE and by more than such machines differ by chance. The
  yardstick is the others without it, and a model of which most are slow is no slow machine but another yardstick.
* *dearer*: its price was raised after the rent. It is reckoned with at once (`Reprice`), so that the ceilings hold and that it goes
  first when anything may go; replaced it is only if that pays.
* *ending*: the host's term, and with it the contract, ends within ENDING_S. A raised price that nobody accepts ends like this too.
* *unwanted*: its owner has put the machine or the host on the blacklist.

A worker that is *leaving* counts for nothing in the fleet: hence its replacement is rented, within the ceilings, and once the
others carry the load it is drained (`releasing.retire`). If nothing can be rented it goes on serving. To replace pays if what is
saved over the usual stay exceeds the boot of the replacement, those that fail included, by PAYS_MARGIN. A few leave at a time, and
none if there is no place for a replacement and none is coming.

The list of machines to avoid is the single truth: whoever allows a machine there (`blacklist.allow`) keeps its worker, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.capacity import PEERS_MIN, Outlook, is_coming, is_serving
from functions.core.expecting import key_of, without
from functions.core.lifecycle import HELD, WorkerState
from functions.core.listing import Listing
from functions.core.memory import avoid
from functions.core.model import Autogroup, EndpointGroup, Worker
from functions.core.plan import Fault
from functions.core.pricing import Headroom, dollars
from functions.core.rollout import due, is_of, is_on_probation
from functions.core.scaler_state import ScalerState
from functions.core.valuing import ENDING_S, terms

SLOW_SHARE: Final = 0.8
SLOW_SD: Final = 2.0
PAYS_MARGIN: Final = 1.5
_LEAVING_DIVISOR: Final = 8  # an eighth of the fleet at a time, at least one
_S = WorkerState
_STAYING: Final = HELD - {_S.DESTROYING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is looked at. `listing` is None when the marketplace could not be asked."""

    group: EndpointGroup
    autogroups: Mapping[str, Autogroup]
    workers: tuple[Worker, ...]
    listing: Listing | None
    room: Headroom
    now_s: float


def with_findings(state: ScalerState, outlook: Outlook, sight: Sight) -> ScalerState:
    """Return the state in which machines that turned out slow or dear are avoided, with the workers that showed it."""
    known = {machine.worker_id for machine in state.avoided}
    places = _places(sight) - len(_named(state, sight))
    serving = [one for one in sight.workers if is_serving(one, now_s=sight.now_s) and one.worker_id not in known]
    found = [*_dear(serving, state, sight), *_slow(serving, state, outlook, sight)]
    for _, worker, reason, fault in sorted(found, key=lambda each: (-each[0], each[1].worker_id))[: max(0, places)]:
        state = avoid(state, worker, reason, fault, now_s=sight.now_s)
    return state


def leaving(state: ScalerState, sight: Sight, *, returning: Mapping[str, str]) -> Mapping[str, str]:
    """Return the workers that are to be replaced, with the reason; `returning` are those that a bid is to replace."""
    unwanted = {
        worker.worker_id: "its machine is on the blacklist"
        for worker in sight.workers
        if sight.group.blacklist.names(machine_id=worker.rental.machine_id, host_id=worker.rental.host_id)
    }
    found = {**returning, **_named(state, sight), **dict(_ending(sight)), **unwanted}
    if (sight.room.workers >= 1 and sight.room.micro_usd_per_hour > 0) or any(is_coming(worker) for worker in sight.workers):
        return found
    serving = {worker.worker_id for worker in sight.workers if worker.rental.state is _S.READY}
    return {worker_id: reason for worker_id, reason in found.items() if worker_id not in serving}


def _named(state: ScalerState, sight: Sight) -> dict[str, str]:
    """Return the workers that showed why their machine is avoided, and are still there."""
    if not state.avoided:
        return {}
    held = {worker.worker_id for worker in sight.workers if worker.rental.state in _STAYING}
    return {
        machine.worker_id: machine.reason
        for machine in state.avoided
        if machine.worker_id in held and machine.machine_id not in sight.group.blacklist.allow
    }


def _ending(sight: Sight) -> Iterator[tuple[str, str]]:
    for worker in sight.workers if sight.listing is not None else ():
        instance = sight.listing.of(worker) if worker.rental.state is _S.READY and sight.listing is not None else None
        if instance is not None and instance.ends_at_s is not None and 0 < instance.ends_at_s - sight.now_s < ENDING_S:
            yield worker.worker_id, "the host's term ends, and its contract with it"


def _dear(serving: Iterable[Worker], state: ScalerState, sight: Sight) -> Iterator[tuple[float, Worker, str, Fault]]:
    for worker in serving:
        was, now = worker.rental.raised_from_micro_usd_per_hour, worker.rental.running_micro_usd_per_hour
        if 0 < was < now and _pays(1 - was / now, worker, state, sight):
            yield 1 - was / now, worker, f"its price was raised from {dollars(was)} to {dollars(now)} an hour", Fault.PRICE


def _slow(serving: list[Worker], state: ScalerState, outlook: Outlook, sight: Sight) -> list[tuple[float, Worker, str, Fault]]:
    short = [(told, worker) for worker in serving if (told := _shortfall(worker, state, outlook)) is not None]
    if not short:
        return []
    settled = {one.worker_id: one for one in serving if is_settled(one, state, now_s=sight.now_s)}
    found = [
        (share, worker, why, Fault.SLOW)
        for (share, why), worker in short
        if worker.worker_id in settled and _pays(share, worker, state, sight)
    ]
    like, slow = Counter(key_of(one.rental) for one in settled.values()), Counter(key_of(each[1].rental) for each in found)
    few = {key for key, number in like.items() if 2 * slow[key] < number or number == 1}
    return [each for each in found if key_of(each[1].rental) in few]


def is_settled(worker: Worker, state: ScalerState, *, now_s: float) -> bool:
    """Tell whether the worker is what those of its autogroup should be: one of another version is no machine's fault."""
    rollout = state.rollouts.get(worker.rental.autogroup)
    if rollout is None:
        return True
    tried = is_on_probation(state, worker.rental.autogroup, worker.rental, now_s=now_s)
    return not tried and is_of(due(rollout, now_s=now_s), worker.rental, rollout)


def _shortfall(worker: Worker, state: ScalerState, outlook: Outlook) -> tuple[float, str] | None:
    """Return by which share the worker is slower than its like, and a sentence; None if it is not, or there is no yardstick."""
    key = key_of(worker.rental)
    known, perf = state.learned.get(key), outlook.of_worker(worker) or 0.0
    if known is None or perf <= 0 or perf >= known.perf:
        return None
    others, expected = without(known, worker.condition.perf), outlook.measured.models.get(key)
    if others is None or expected is None or others.samples < PEERS_MIN or perf >= SLOW_SHARE * others.perf:
        return None
    if math.log(others.perf / perf) < SLOW_SD * expected.machine_sd * math.sqrt(1 + 1 / others.samples):
        return None
    return 1 - perf / others.perf, f"it serves {perf:.1f} load/s where its like serve {others.perf:.1f}"


def _pays(saved: float, worker: Worker, state: ScalerState, sight: Sight) -> bool:
    """Tell whether saving this share of its price over the usual stay is worth a boot."""
    autogroup = sight.autogroups.get(worker.rental.autogroup)
    if autogroup is None or worker.rental.machine_id in sight.group.blacklist.allow:
        return False
    rent = terms(autogroup, state)
    return saved * rent.stay_s > PAYS_MARGIN * rent.boot_s / rent.ready_share


def _places(sight: Sight) -> int:
    return max(1, sum(worker.rental.state is _S.READY for worker in sight.workers) // _LEAVING_DIVISOR)
