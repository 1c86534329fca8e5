"""One tick: look, decide, remember, act, record.

Records are read before the list, so that whatever the list shows was intended before; offers last, and only where the decision
would use them. What cannot be had is unknown, never empty.

What the plan wants remembered is written before anything is done, what the marketplace's answers taught is written after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from functions.core.bidding import ways_to_rent
from functions.core.credit import after_reading, is_due
from functions.core.labels import label_prefix
from functions.core.lifecycle import WorkerState
from functions.core.memory import after_refusal, after_throttling, after_vanishing
from functions.core.model import Instance, Offer, Worker
from functions.core.plan import Action, ConfirmGone, Forget, Plan, Rent, Start, action_json
from functions.core.record import DecisionRecord
from functions.core.rollout import unmeasured_versions
from functions.core.scaler_state import ScalerState
from functions.core.scaling import decide
from functions.core.snapshot import OFFERS_MAX, Snapshot, to_json
from functions.ports import GroupRecords, MarketplaceBusy, MarketplaceRefused
from functions.scale.apply import Desk, Outcome, Result, carry_out
from functions.scale.secret_digest import secret_digests
from functions.scale.together import batches, carry_out_together
from functions.scale.turn import Turn

RECORD_KEPT_S: Final = 14 * 24 * 3600.0
_TROUBLE: Final = frozenset({Result.REFUSED, Result.THROTTLED, Result.UNCONFIRMED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one tick saw, decided and achieved. `recorded`: it stored a decision record; `read_credit`: it asked for the credit."""

    snapshot: Snapshot
    plan: Plan
    outcomes: tuple[Outcome, ...]
    decided_at_s: float
    recorded: bool
    read_credit: bool = False


def tick(turn: Turn) -> Tick | None:
    """Look at the group once and act on it; None if there is no such group.

    Raises LeaseLost, StoreUnavailable and UnreadableItem.
    """
    records = turn.ports.store.load(turn.endpoint)
    if records is None:
        return None
    snapshot = with_credit(look(records, turn), turn)
    now_s = turn.now_s()
    plan = decide(snapshot, now_s=now_s)
    if plan.wanted:
        snapshot = with_offers(snapshot, plan, turn)
        now_s = turn.now_s()
        plan = decide(snapshot, now_s=now_s)
    # Recorded first: what follows may be cut short, and the record says why it was begun.
    recorded = _record(snapshot, plan, turn, decided_at_s=now_s)
    return Tick(
        snapshot=snapshot,
        plan=plan,
        outcomes=act(snapshot, plan, turn),
        decided_at_s=now_s,
        recorded=recorded,
        read_credit=snapshot.state.credit_asked_at_s != records.state.credit_asked_at_s,
    )


def look(records: GroupRecords, turn: Turn) -> Snapshot:
    """Return what there is to decide on, without offers."""
    listing: tuple[Instance, ...] | None = None
    state = records.state
    try:
        listing = tuple(turn.ports.marketplace.instances(label_prefix(turn.settings.stack, turn.endpoint)))
    except MarketplaceBusy:
        pass
    except MarketplaceRefused as refusal:
        state = after_refusal(state, autogroup=None, code=refusal.code, message=str(refusal), now_s=turn.now_s())
    return Snapshot(
        group=records.group,
        autogroups=records.autogroups,
        workers=records.workers,
        waiting=records.waiting,
        state=state,
        listing=listing,
        rent_confirm_s=turn.settings.rent_confirm_s,
        credit_hours_min=turn.settings.credit_hours_min,
        secrets=secret_digests(turn.settings, turn.endpoint, records.autogroups),
        updates=records.updates,
    )


def with_credit(snapshot: Snapshot, turn: Turn) -> Snapshot:
    """Return the snapshot with the account's credit, if it is time to look again."""
    now_s = turn.now_s()
    if not is_due(snapshot.state, now_s=now_s):
        return snapshot
    credit_micro_usd: int | None = None
    # A key that may not read the account is no reason to stop.
    with suppress(MarketplaceBusy, MarketplaceRefused):
        credit_micro_usd = turn.ports.marketplace.credit_micro_usd()
    return replace(snapshot, state=after_reading(snapshot.state, credit_micro_usd, now_s=now_s))


def with_offers(snapshot: Snapshot, plan: Plan, turn: Turn) -> Snapshot:
    """Return the snapshot with the offers that the plan wants, as far as they can be had; priced as they would be rented."""
    found: dict[str, tuple[Offer, ...]] = {}
    state = snapshot.state
    for autogroup in (autogroup for autogroup in snapshot.autogroups if autogroup.name in plan.wanted):
        ways = ways_to_rent(plan.specs.get(autogroup.name, autogroup))
        try:
            searched = [turn.ports.marketplace.search(way)[: OFFERS_MAX // len(ways)] for way in ways]
            found[autogroup.name] = tuple(chain.from_iterable(searched))
        except MarketplaceBusy:
            continue
        except MarketplaceRefused as refusal:
            state = after_refusal(state, autogroup=autogroup.name, code=refusal.code, message=str(refusal), now_s=turn.now_s())
    return replace(snapshot, offers=found, state=state)


def act(snapshot: Snapshot, plan: Plan, turn: Turn) -> tuple[Outcome, ...]:
    """Remember, carry out the plan action by action, and remember what came of it."""
    store = turn.ports.store
    autogroups = {autogroup.name: autogroup for autogroup in snapshot.autogroups} | dict(plan.specs)
    desk = Desk(
        turn=turn,
        group=snapshot.group,
        autogroups=autogroups,
        workers={worker.worker_id: worker for worker in snapshot.workers},
        learned=plan.state.learned,
        unmeasured=unmeasured_versions(plan.state.rollouts),
    )
    # Forgotten before remembered: should a crash fall between, the load that is missing is taken back from the samples.
    outcomes = [carry_out(action, desk) for action in plan.actions if isinstance(action, Forget)]
    store.put_state(turn.tenure.lease(), plan.state)
    outcomes += _carry_out(plan.actions, desk)
    taught = _learn(plan.state, outcomes, desk.workers, now_s=turn.now_s())
    if taught != plan.state:
        store.put_state(turn.tenure.lease(), taught)
    return tuple(outcomes)


def _carry_out(actions: Iterable[Action], desk: Desk) -> Iterator[Outcome]:
    renting = True
    left = (action for action in actions if not isinstance(action, Forget))
    for batch in batches(left, desk.workers):
        if desk.turn.is_over():
            return
        if len(batch) > 1:
            yield from carry_out_together(batch, desk)
            continue
        [action] = batch
        if isinstance(action, Rent | Start) and not renting:
            continue
        outcome = carry_out(action, desk)
        yield outcome
        # Where one rent was refused, throttled or lost, the next would fare no better.
        renting = renting and outcome.result not in _TROUBLE


def _learn(state: ScalerState, outcomes: Iterable[Outcome], workers: Mapping[str, Worker], *, now_s: float) -> ScalerState:
    for outcome in outcomes:
        match outcome:
            case Outcome(action=Rent(autogroup=autogroup) as rent, result=Result.REFUSED, code=code, message=message):
                state = after_refusal(state, autogroup=autogroup, code=code, message=message, now_s=now_s, rent=rent)
            case Outcome(action=Start(), result=Result.REFUSED, code=code, message=message):
                state = after_refusal(state, autogroup=None, code=code, message=message, now_s=now_s)
            case Outcome(action=Rent(), result=Result.THROTTLED, retry_after_s=retry_after_s):
                state = after_throttling(state, retry_after_s=retry_after_s, now_s=now_s)
            case Outcome(action=ConfirmGone(worker_id=worker_id), result=Result.GONE) if _vanished(workers[worker_id]):
                state = after_vanishing(state, workers[worker_id], now_s=now_s)
            case _:
                pass
    return state


def _vanished(worker: Worker) -> bool:
    return worker.rental.state is not WorkerState.DESTROYING


def _record(snapshot: Snapshot, plan: Plan, turn: Turn, *, decided_at_s: float) -> bool:
    """Store the decision if it did or said anything new; tells whether it did."""
    if not plan.actions and plan.sentences == snapshot.state.said:
        return False
    lease = turn.tenure.lease()
    decision = DecisionRecord(
        endpoint=turn.endpoint,
        decided_at_s=decided_at_s,
        epoch=lease.epoch,
        sentences=plan.sentences,
        actions=tuple(action_json(action) for action in plan.actions),
        facts=plan.facts,
        snapshot=to_json(snapshot),
    )
    turn.ports.store.put_decision(lease, decision, expires_at_s=decided_at_s + RECORD_KEPT_S)
    return True
