"""Machines rented by a bid: how often they are lost, when to rent on demand instead, and when to come back.

An autogroup with `rental_type: interruptible` bids. With `on_demand_fallback` its offers on demand are looked at too, and compete
with bids by what a dollar serves (`valuing`): a bid is cheaper and is lost at a learned rate, each loss costing a boot. So where no
bid can be had within `max_bid_usd`, or what is left of bids is worse, machines are rented on demand, within the same ceilings.

* *Rate*: losses over hours of bidding, with a prior of PRIOR_LOST in PRIOR_HOURS (spot machines of the large clouds live for 0.7 to
  10 hours in the mean, by zone; skypilot-org/spot-traces). The past fades by half every FADE_HOURS of bidding.
* *Falling back*: LOST_MAX bids lost within LOST_WINDOW_S say that someone else wants these machines now, which a rate over days
  does not know yet: for HOLD_S no bid is made. If that happens again soon after, the hold doubles, up to HOLD_S_MAX: no flapping.
* *Coming back*: what is rented anew bids again as soon as the hold is over. What runs on demand meanwhile is brought back one by
  one, if a bid that is cheaper by RETURN_GAIN can be had: it counts as leaving (`replacing`), and is replaced before it goes.
  Offers are asked for at most every RETURN_LOOK_S.

Invariant: without `on_demand_fallback` nothing is ever rented on demand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from functions.core.capacity import is_coming
from functions.core.lifecycle import RUNNING, WorkerState
from functions.core.model import Autogroup, Offer, RentalType, Worker
from functions.core.plan import STOPPED_BY_MARKETPLACE, Action, Destroy, Drain, Fault
from functions.core.scaler_state import BidRecord, ScalerState

PRIOR_LOST: Final = 1.0
PRIOR_HOURS: Final = 5.0
FADE_HOURS: Final = 200.0
LOST_MAX: Final = 3
LOST_WINDOW_S: Final = 1_800.0
HOLD_S: Final = 1_800.0
HOLD_S_MAX: Final = 4 * 3_600.0
RETURN_GAIN: Final = 0.9  # of the price on demand
RETURN_LOOK_S: Final = 600.0
LOOK_S_MAX: Final = 120.0  # a longer pause between two decisions tells little of what ran in it
_S = WorkerState


def may_fall_back(autogroup: Autogroup) -> bool:
    """Tell whether this autogroup bids, and may rent on demand where that fails."""
    return autogroup.rental_type is RentalType.INTERRUPTIBLE and autogroup.on_demand_fallback


def ways_to_rent(autogroup: Autogroup) -> tuple[Autogroup, ...]:
    """Return the autogroup as it is to be searched for, once for each way in which it may be rented."""
    return (autogroup, replace(autogroup, rental_type=RentalType.ON_DEMAND)) if may_fall_back(autogroup) else (autogroup,)


def falls_back(autogroup: Autogroup, state: ScalerState, *, now_s: float) -> bool:
    """Tell whether no bid is made for this autogroup now."""
    return may_fall_back(autogroup) and now_s < state.bids.get(autogroup.name, BidRecord()).hold_until_s


def lost_per_hour(state: ScalerState, autogroup: str) -> float:
    """Return how often a bid of this autogroup is lost."""
    record = state.bids.get(autogroup, BidRecord())
    return (PRIOR_LOST + record.lost) / (PRIOR_HOURS + record.hours)


def bid_records(
    state: ScalerState, workers: Iterable[Worker], actions: Iterable[Action], *, now_s: float
) -> Mapping[str, BidRecord]:
    """Return the records by autogroup after the bidding since `bids_at_s`, with the losses that these actions tell of."""
    bidding = {one.worker_id: one for one in workers if _bids(one) and one.rental.state in RUNNING}
    since_s = min(LOOK_S_MAX, max(0.0, now_s - state.bids_at_s)) if state.bids_at_s else 0.0
    records = dict(state.bids)
    for worker in bidding.values():
        before = records.get(worker.rental.autogroup, BidRecord())
        records[worker.rental.autogroup] = _faded(replace(before, hours=before.hours + since_s / 3_600.0))
    for action in actions:
        lost = bidding.get(action.worker_id) if isinstance(action, Drain | Destroy) else None
        if lost is not None and _is_loss(action):
            records[lost.rental.autogroup] = _with_loss(records[lost.rental.autogroup], now_s=now_s)
    return records


def due_to_return(
    autogroups: Iterable[Autogroup], state: ScalerState, workers: Iterable[Worker], *, now_s: float
) -> frozenset[str]:
    """Return the autogroups of which something runs on demand and could bid again: their offers are worth a look."""
    workers = tuple(workers)
    return frozenset(
        autogroup.name
        for autogroup in autogroups
        if may_fall_back(autogroup)
        and not falls_back(autogroup, state, now_s=now_s)
        and now_s - state.bids.get(autogroup.name, BidRecord()).looked_at_s >= RETURN_LOOK_S
        and _on_demand(autogroup, workers)
        and not any(is_coming(worker) for worker in workers)
    )


def coming_back(
    state: ScalerState,
    offers: Mapping[str, tuple[Offer, ...]],
    autogroups: Iterable[Autogroup],
    workers: Iterable[Worker],
    *,
    now_s: float,
) -> tuple[ScalerState, Mapping[str, str]]:
    """Return the state after a look at the offers, and the workers on demand that bids are to replace, with the reason."""
    autogroups, workers = tuple(filter(may_fall_back, autogroups)), tuple(workers)
    if not autogroups:
        return state, {}
    due = due_to_return(autogroups, state, workers, now_s=now_s)
    found: dict[str, str] = {}
    records = dict(state.bids)
    for autogroup in autogroups:
        record, name = records.get(autogroup.name, BidRecord()), autogroup.name
        mine = {one.worker_id: one for one in _on_demand(autogroup, workers)}
        if name in due and name in offers:
            records[name] = replace(record, looked_at_s=now_s, returning=_to_replace(offers[name], mine.values()))
        elif record.returning and record.returning not in mine:
            records[name] = replace(record, returning="")
        if (returning := records.get(name, BidRecord()).returning) and not falls_back(autogroup, state, now_s=now_s):
            found[returning] = "it was rented on demand for want of a bid, and bids can be had again"
    return replace(state, bids=records), found


def _to_replace(offers: Iterable[Offer], on_demand: Iterable[Worker]) -> str:
    """Return the dearest worker on demand if a bid on offer is enough cheaper, else ""."""
    bids = [offer.running_micro_usd_per_hour for offer in offers if offer.bid_micro_usd_per_hour is not None]
    dearest = max(on_demand, key=lambda one: (one.rental.running_micro_usd_per_hour, one.worker_id), default=None)
    if dearest is None or not bids or min(bids) > RETURN_GAIN * dearest.rental.running_micro_usd_per_hour:
        return ""
    return dearest.worker_id


def _on_demand(autogroup: Autogroup, workers: Iterable[Worker]) -> list[Worker]:
    mine = (one for one in workers if one.rental.autogroup == autogroup.name and one.rental.state is _S.READY)
    return [one for one in mine if not _bids(one)]


def _bids(worker: Worker) -> bool:
    return worker.rental.bid_micro_usd_per_hour is not None


def _is_loss(action: Action) -> bool:
    match action:
        case Drain(reason=reason):
            return reason == STOPPED_BY_MARKETPLACE
        case Destroy(fault=fault):
            return fault is Fault.TAKEN
        case _:
            return False


def _with_loss(before: BidRecord, *, now_s: float) -> BidRecord:
    lately = (*(at_s for at_s in before.lost_at_s if now_s - at_s < LOST_WINDOW_S), now_s)[-LOST_MAX:]
    after = replace(before, lost=before.lost + 1, lost_at_s=lately)
    if len(lately) < LOST_MAX or now_s < before.hold_until_s:
        return after
    again = before.hold_s > 0 and now_s - before.hold_until_s < HOLD_S_MAX
    hold_s = min(HOLD_S_MAX, 2 * before.hold_s) if again else HOLD_S
    return replace(after, hold_s=hold_s, hold_until_s=now_s + hold_s, lost_at_s=())


def _faded(record: BidRecord) -> BidRecord:
    return replace(record, lost=record.lost / 2, hours=record.hours / 2) if record.hours > FADE_HOURS else record


def told_of_holds(autogroups: Iterable[Autogroup], state: ScalerState, *, now_s: float) -> tuple[str, ...]:
    """Return a sentence for each autogroup that makes no bids for a while."""
    return tuple(
        f"Autogroup {one.name} rents on demand for a while: {LOST_MAX} bids were lost within {LOST_WINDOW_S / 60:.0f} minutes."
        for one in autogroups
        if falls_back(one, state, now_s=now_s)
    )
