"""What a decision leaves behind for the next one: demand seen, performance learned, machines to avoid, halts.

`remember` adds what the snapshot itself taught; `after_refusal` and `after_vanishing` add what only the marketplace's answers to
the plan's actions could tell. All are pure: the service stores the result.

The *crash breaker*: BREAKER_FAILURES boots of one autogroup that failed in a row, without one that succeeded, or as many workers
that nobody could reach, halt its renting for BREAKER_HALT_S. The count survives the halt, so that afterwards a single further
failure halts it again, until one succeeds or the autogroup is changed. The failures of a version that is being proven count
against that version instead (`core.rollout`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from functions.core.bidding import bid_records
from functions.core.capacity import learn
from functions.core.demand import Demand, add_sample
from functions.core.lead_time import with_arrival
from functions.core.lifecycle import WorkerState
from functions.core.listing import Listing
from functions.core.model import Worker
from functions.core.plan import Action, Destroy, Drain, Fault, Forget, MarkReady, Rent, rental_of
from functions.core.rollout import changed, follow, is_on_probation, judge, spoken_against
from functions.core.scaler_state import Avoided, Halt, ScalerState
from functions.core.snapshot import Snapshot
from functions.core.track_record import with_boot, with_stay

BREAKER_FAILURES: Final = 4  # a third of unverified machines fail (measured 2024): one group in 80 meets this by chance
BREAKER_HALT_S: Final = 900.0
REFUSAL_HALT_S: Final = 300.0
THROTTLE_HALT_S_MIN: Final = 5.0
AVOID_S: Final[Mapping[Fault, float]] = {
    Fault.BOOT: 3600.0,
    Fault.SERVICE: 1800.0,
    Fault.MISMATCH: 3600.0,
    Fault.TAKEN: 600.0,
    Fault.SLOW: 6 * 3600.0,
    Fault.PRICE: 3600.0,
    Fault.UNREACHABLE: 3600.0,
}
AVOIDED_MAX: Final = 200
# What the next rent may well meet again: an image that starts nowhere, or rows that never show what was offered.
COUNTED: Final = frozenset({Fault.BOOT, Fault.MISMATCH})
# What speaks against a version that is being proven, and not against the marketplace.
TRIED: Final = frozenset({Fault.BOOT, Fault.SERVICE, Fault.UNREACHABLE})
# The marketplace means the account, not the request: no other rent would fare better.
ACCOUNT_CODES: Final = frozenset({"auth_error", "missing_billing", "insufficient_credit", "search_quota_exceeded"})


def unlisted(snapshot: Snapshot, listing: Listing | None) -> Mapping[str, int]:
    """Return how many lists in a row, this one included, lacked each intended rent; one that could not be had does not count."""
    if listing is None:
        return snapshot.state.unlisted
    intended = (worker for worker in snapshot.workers if worker.rental.state is WorkerState.RENTING)
    missing = (worker.worker_id for worker in intended if listing.of(worker) is None)
    return {worker_id: snapshot.state.unlisted.get(worker_id, 0) + 1 for worker_id in missing}


def remember(
    before: ScalerState,
    snapshot: Snapshot,
    demand: Demand,
    repairs: Iterable[Action],
    *,
    listing: Listing | None,
    now_s: float,
) -> ScalerState:
    """Return the state `before` with what this snapshot taught."""
    actions = tuple(repairs)
    known = {worker.worker_id: worker for worker in snapshot.workers}
    forgotten = sum(known[action.worker_id].assignments.assigned_load for action in actions if isinstance(action, Forget))
    rollouts = follow(snapshot, now_s=now_s)
    # What was changed may do what failed before.
    renewed = changed(before.rollouts, rollouts)
    halted = {name: halt for name, halt in before.halted_autogroups.items() if name not in renewed}
    state = replace(
        before,
        rollouts=rollouts,
        boot_failures={name: count for name, count in before.boot_failures.items() if name not in renewed},
        unreached={name: count for name, count in before.unreached.items() if name not in renewed},
        samples=add_sample(before.samples, demand, now_s=now_s),
        peaks=demand.peaks,
        lasting=demand.lasting,
        surges=demand.surges,
        bursts=demand.bursts,
        season=demand.season,
        last_demand_at_s=demand.last_asked_at_s,
        retired_assigned_load=demand.retired_load + forgotten,
        avoided=tuple(machine for machine in before.avoided if now_s < machine.until_s),
        halted_autogroups={name: halt for name, halt in halted.items() if now_s < halt.until_s},
        unlisted=unlisted(snapshot, listing),
        bids=bid_records(before, snapshot.workers, actions, now_s=now_s),
        bids_at_s=now_s,
    )
    for action in actions:
        state = _learn_from(state, action, known, now_s=now_s)
    return judge(state, snapshot, now_s=now_s)


def after_refusal(
    state: ScalerState, *, autogroup: str | None, code: str, message: str, now_s: float, rent: Rent | None = None
) -> ScalerState:
    """Return the state after the marketplace refused: an account's fault halts all renting, a rent's counts as a failed boot.

    `rent` is what was refused, None where it was a search.
    """
    reason = f"the marketplace refused ({message})"
    if code in ACCOUNT_CODES:
        return replace(state, halted_until_s=now_s + REFUSAL_HALT_S, halted_reason=reason)
    if rent is not None and is_on_probation(state, rent.autogroup, rental_of(rent, now_s=now_s), now_s=now_s):
        return spoken_against(state, rent.autogroup, rent.worker_id, reason)
    return state if autogroup is None else _count_failure(state, autogroup, reason, now_s=now_s)


def after_throttling(state: ScalerState, *, retry_after_s: float, now_s: float) -> ScalerState:
    """Return the state after the marketplace asked for fewer calls."""
    until_s = now_s + max(retry_after_s, THROTTLE_HALT_S_MIN)
    if until_s <= state.halted_until_s:
        return state
    return replace(state, halted_until_s=until_s, halted_reason="the marketplace limits the rate of calls")


def after_vanishing(state: ScalerState, worker: Worker, *, now_s: float) -> ScalerState:
    """Return the state after an instance was found gone that nobody had asked to go."""
    return avoid(state, worker, "it vanished", Fault.SERVICE, now_s=now_s)


def _learn_from(state: ScalerState, action: Action, known: Mapping[str, Worker], *, now_s: float) -> ScalerState:
    match action:
        case MarkReady(worker_id=worker_id):
            worker = known[worker_id]
            state = with_arrival(with_boot(state, worker, ready=True, now_s=now_s), worker, now_s=now_s)
            if is_on_probation(state, worker.rental.autogroup, worker.rental, now_s=now_s):
                return state  # its measurement counts once its version does
            failures = {name: count for name, count in state.boot_failures.items() if name != worker.rental.autogroup}
            return replace(state, learned=learn(state.learned, worker, now_s=now_s), boot_failures=failures)
        case Destroy(worker_id=worker_id, reason=reason, fault=fault) | Drain(worker_id=worker_id, reason=reason, fault=fault) if (
            fault is not None
        ):
            again = isinstance(action, Drain) and known[worker_id].rental.state is WorkerState.DRAINING
            return state if again else _after_fault(state, known[worker_id], reason, fault, now_s=now_s)
        case Forget(worker_id=worker_id):
            return with_stay(state, known[worker_id])
        case _:
            return state


def _after_fault(state: ScalerState, worker: Worker, reason: str, fault: Fault, *, now_s: float) -> ScalerState:
    state, autogroup = avoid(state, worker, reason, fault, now_s=now_s), worker.rental.autogroup
    if fault in TRIED and is_on_probation(state, autogroup, worker.rental, now_s=now_s):
        return spoken_against(state, autogroup, worker.worker_id, reason)
    if fault is Fault.UNREACHABLE:
        return _count_unreached(state, autogroup, reason, now_s=now_s)
    if fault is Fault.BOOT:
        state = with_boot(state, worker, ready=False, now_s=now_s)
    return _count_failure(state, autogroup, reason, now_s=now_s) if fault in COUNTED else state


def avoid(state: ScalerState, worker: Worker, reason: str, fault: Fault, *, now_s: float) -> ScalerState:
    """Return the state in which the worker's machine is avoided for a while; a machine without an id cannot be."""
    if not worker.rental.machine_id:
        return state
    avoided = Avoided(
        machine_id=worker.rental.machine_id,
        until_s=now_s + AVOID_S[fault],
        reason=reason,
        since_s=now_s,
        host_id=worker.rental.host_id,
        worker_id=worker.worker_id,
        fault=fault.value,
    )
    others = (machine for machine in state.avoided if machine.machine_id != avoided.machine_id)
    return replace(state, avoided=(*others, avoided)[-AVOIDED_MAX:])


def _count_failure(state: ScalerState, autogroup: str, reason: str, *, now_s: float) -> ScalerState:
    count = state.boot_failures.get(autogroup, 0) + 1
    state = replace(state, boot_failures={**state.boot_failures, autogroup: count})
    return _broken(state, autogroup, count, reason, now_s=now_s)


def _count_unreached(state: ScalerState, autogroup: str, reason: str, *, now_s: float) -> ScalerState:
    """Count apart from boots: a worker that nobody can reach boots well every time, and only one that is reached ends the row."""
    count = state.unreached.get(autogroup, 0) + 1
    state = replace(state, unreached={**state.unreached, autogroup: count})
    return _broken(state, autogroup, count, reason, now_s=now_s)


def _broken(state: ScalerState, autogroup: str, count: int, reason: str, *, now_s: float) -> ScalerState:
    if count < BREAKER_FAILURES:
        return state
    told = f"autogroup {autogroup} is halted for {BREAKER_HALT_S:.0f} s after {count} failures in a row, the last: {reason}"
    halt = Halt(until_s=now_s + BREAKER_HALT_S, reason=told)
    return replace(state, halted_autogroups={**state.halted_autogroups, autogroup: halt})
