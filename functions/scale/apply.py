"""Carry out one action: write the intent, ask for the effect, write what came of it.

The order is what makes a crash harmless. Between the intent and the effect nothing has happened that the record does not
announce; between the effect and the last write the next tick finds the effect on the marketplace and adopts or confirms it.
Nothing is retried here: the next tick decides again, from what is then true.

A create is never repeated for a worker id: after a busy answer its intent stays until the instance is listed, or certainly is not.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from functions.core.capacity import peers_perf
from functions.core.labels import instance_label
from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup, EndpointGroup, Rental, Worker
from functions.core.plan import (
    Action,
    Adopt,
    ConfirmGone,
    ConfirmStarted,
    ConfirmStopped,
    Destroy,
    DestroyStray,
    Drain,
    Forget,
    GiveUp,
    MarkReady,
    Rent,
    Reprice,
    Start,
    Stop,
    Undrain,
    WorkerAction,
    intend,
    move,
    rental_of,
)
from functions.core.scaler_state import LearnedPerf
from functions.ports import (
    InstanceGone,
    Marketplace,
    MarketplaceBusy,
    MarketplaceRefused,
    MarketplaceThrottled,
    OfferGone,
    RentRequest,
)
from functions.scale.turn import Turn
from functions.scale.worker_env import worker_env
from protocol.worker_token import WorkerIdentity

_S = WorkerState


class Result(enum.StrEnum):
    """What came of an action."""

    DONE = "done"
    GONE = "gone"  # the instance was found not to exist any more
    OFFER_GONE = "offer_gone"
    QUEUED = "queued"  # a start that waits for its GPUs
    UNCONFIRMED = "unconfirmed"  # no certain answer: the next tick looks again
    THROTTLED = "throttled"  # certainly nothing happened
    REFUSED = "refused"  # certainly nothing happened, and would not the next time


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An action and what came of it. `code` and `message` are the marketplace's, if it refused."""

    action: Action
    result: Result
    code: str = ""
    message: str = ""
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What carrying out the actions of one plan needs."""

    turn: Turn
    group: EndpointGroup
    autogroups: Mapping[str, Autogroup]
    workers: Mapping[str, Worker]
    learned: Mapping[str, LearnedPerf]
    unmeasured: frozenset[str] = frozenset()  # versions of which `learned` says nothing yet

    @property
    def marketplace(self) -> Marketplace:
        """The marketplace, for one effect: reading this checks the right to act. Raises LeaseLost."""
        return self.turn.marketplace

    def now_s(self) -> float:
        """Return the time now."""
        return self.turn.now_s()

    def write(self, worker_id: str, rental: Rental) -> None:
        """Write a worker's record. Raises LeaseLost."""
        self.turn.ports.store.put_rental(self.turn.tenure.lease(), worker_id, rental)


def carry_out(action: Action, desk: Desk) -> Outcome:
    """Do one action. Raises LeaseLost and StoreUnavailable; what the marketplace raises becomes the outcome."""
    return outcomes_of((action,), lambda: _do(action, desk))[0]


def outcomes_of(actions: Sequence[Action], do: Callable[[], Result]) -> tuple[Outcome, ...]:
    """Do what these actions have in common, and return what came of it for each."""
    try:
        told: dict[str, Any] = {"result": do()}
    except MarketplaceThrottled as busy:
        told = {"result": Result.THROTTLED, "message": str(busy), "retry_after_s": busy.retry_after_s}
    except MarketplaceBusy as busy:
        told = {"result": Result.UNCONFIRMED, "message": str(busy), "retry_after_s": busy.retry_after_s}
    except MarketplaceRefused as refusal:
        told = {"result": Result.REFUSED, "code": refusal.code, "message": str(refusal)}
    return tuple(Outcome(action=action, **told) for action in actions)


def _do(action: Action, desk: Desk) -> Result:
    match action:
        case Rent():
            return _rent(action, desk)
        case Stop() | Start() | Destroy():
            return _effect(action, intend_now(action, desk), desk)
        case ConfirmGone():
            return _confirm_gone(action, desk)
        case DestroyStray():
            return _destroy(action.instance_id, desk)
        case Forget():
            desk.turn.ports.store.forget_worker(desk.turn.tenure.lease(), action.worker_id)
            return Result.DONE
        case Adopt() | ConfirmStarted() | ConfirmStopped() | MarkReady() | Drain() | Undrain() | Reprice() | GiveUp():
            intend_now(action, desk)
            return Result.DONE
        case _:
            assert_never(action)


def intend_now(action: WorkerAction, desk: Desk) -> Rental:
    """Write what an action means for its worker before anything is asked, and return it."""
    before = desk.workers[action.worker_id].rental
    after = intend(action, before, now_s=desk.now_s())
    if after != before:
        desk.write(action.worker_id, after)
    return after


def _rent(action: Rent, desk: Desk) -> Result:
    request = _rent_request(action, desk)
    intent = rental_of(action, now_s=desk.now_s())
    desk.write(action.worker_id, intent)
    try:
        instance_id = desk.marketplace.create(request)
    except OfferGone:
        _nothing_rented(action, intent, "the offer was taken by someone else", desk)
        return Result.OFFER_GONE
    except MarketplaceThrottled:
        _nothing_rented(action, intent, "the marketplace limits the rate of calls", desk)
        raise
    except MarketplaceRefused as refusal:
        _nothing_rented(action, intent, f"the marketplace refused: {refusal}", desk)
        raise
    rented = move(replace(intent, instance_id=instance_id), _S.BOOTING, action.reason, now_s=desk.now_s())
    desk.write(action.worker_id, rented)
    return Result.DONE


def _rent_request(action: Rent, desk: Desk) -> RentRequest:
    autogroup, endpoint = desk.autogroups[action.autogroup], desk.turn.endpoint
    identity = WorkerIdentity(endpoint=endpoint, worker_id=action.worker_id)
    return RentRequest(
        offer=action.offer,
        label=instance_label(desk.turn.settings.stack, endpoint, action.worker_id),
        autogroup=autogroup,
        env=worker_env(
            desk.turn.settings,
            desk.group,
            autogroup,
            identity,
            peers_perf=_peers_perf(action, desk),
        ),
        image_login=desk.turn.settings.image_login.get(f"{endpoint}/{autogroup.name}"),
    )


def _peers_perf(action: Rent, desk: Desk) -> float | None:
    # A version that is meant to be slower is no slow machine.
    return None if action.version in desk.unmeasured else peers_perf(desk.learned, action.autogroup, action.offer)


def _nothing_rented(action: Rent, intent: Rental, reason: str, desk: Desk) -> None:
    desk.write(action.worker_id, move(intent, _S.DESTROYED, reason, now_s=desk.now_s()))


def _effect(action: Stop | Start | Destroy, rental: Rental, desk: Desk) -> Result:
    try:
        match action:
            case Stop():
                desk.marketplace.stop(action.instance_id)
                return Result.DONE
            case Start():
                return _start(action, rental, desk)
            case Destroy():
                desk.marketplace.destroy(action.instance_id)
                return Result.DONE
    except InstanceGone:
        return gone(action.worker_id, rental, desk)


def _start(action: Start, rental: Rental, desk: Desk) -> Result:
    try:
        return Result.DONE if desk.marketplace.start(action.instance_id) else Result.QUEUED
    except MarketplaceRefused:
        # Nothing runs: back to where it stands, by way of STOPPING, which the next list confirms.
        desk.write(action.worker_id, move(rental, _S.STOPPING, "the marketplace refused to start it", now_s=desk.now_s()))
        raise


def _destroy(instance_id: int, desk: Desk) -> Result:
    try:
        desk.marketplace.destroy(instance_id)
    except InstanceGone:
        return Result.GONE
    return Result.DONE


def _confirm_gone(action: ConfirmGone, desk: Desk) -> Result:
    rental = desk.workers[action.worker_id].rental
    if desk.marketplace.instance(action.instance_id) is None:
        return gone(action.worker_id, rental, desk)
    if rental.state is not _S.DESTROYING:
        return Result.DONE
    result = _destroy(action.instance_id, desk)
    return gone(action.worker_id, rental, desk) if result is Result.GONE else Result.UNCONFIRMED


def gone(worker_id: str, rental: Rental, desk: Desk) -> Result:
    """Record that the marketplace has confirmed: this instance does not exist, and costs nothing."""
    reason = rental.reason if rental.state is _S.DESTROYING else "it vanished: the marketplace knows no such instance"
    desk.write(worker_id, move(rental, _S.DESTROYED, reason, now_s=desk.now_s()))
    return Result.GONE
