"""What a decision wants done, as values: one class a kind of action, and what each means for the worker's record.

An action is *intent* first: `intend` gives the record that is written before its effect is asked of the marketplace. Actions
without an effect (`Adopt`, `ConfirmStarted`, `MarkReady`, `ConfirmStopped`, `Drain`, `Undrain`, `Reprice`, `GiveUp`) are done once
written. `ConfirmGone` is the reverse: it writes nothing before the marketplace has confirmed. Every state change passes
`lifecycle.check_transition`; an action that finds its worker in the target state already repeats the effect and changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from functions.core.jsonable import encode
from functions.core.lifecycle import WorkerState, check_transition
from functions.core.model import Autogroup, Offer, Rental, Worker
from functions.core.scaler_state import ScalerState

# What a bid that was lost looks like, and a host's term that is over.
STOPPED_BY_MARKETPLACE: Final = "the marketplace stopped it"


class Fault(enum.StrEnum):
    """What is wrong with a machine that leaves; each of these machines is avoided for a while."""

    BOOT = "boot"  # never became ready: counts towards the crash breaker of its autogroup
    SERVICE = "service"  # failed or fell silent while it served
    MISMATCH = "mismatch"  # not what was offered: counts towards the breaker too
    TAKEN = "taken"  # its GPUs serve someone else: it cannot be started again
    SLOW = "slow"  # far below its like
    PRICE = "price"  # dearer than when it was rented
    UNREACHABLE = "unreachable"  # reports well, and no request arrives: counts towards the breaker too


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """Write the intent, then create. `worker_id` is derived from the decision's inputs."""

    worker_id: str
    autogroup: str
    offer: Offer
    reason: str
    version: str = ""  # of the autogroup, that the worker is born with


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """An intended worker was found on the marketplace by its label."""

    worker_id: str
    instance_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmStarted:
    """The marketplace runs a worker that was asked to start."""

    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReady:
    """The worker reported ready and measured in this boot: routers may use it."""

    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Route nothing new to the worker; `to` follows once it is free. `fault` is None when nothing is wrong with it."""

    worker_id: str
    to: WorkerState
    reason: str
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undrain:
    """The worker is needed after all."""

    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprice:
    """Reckon with what the marketplace bills for the worker from now on."""

    worker_id: str
    running_micro_usd_per_hour: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Stop the instance: only its storage is billed."""

    worker_id: str
    instance_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmStopped:
    """The marketplace says that the instance no longer runs."""

    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a stopped instance."""

    worker_id: str
    instance_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """Destroy the instance. `fault` is None when nothing was wrong with it."""

    worker_id: str
    instance_id: int
    reason: str
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmGone:
    """Ask about this one instance. Gone: the record becomes DESTROYED. Still there, and meant to go: destroy it once more."""

    worker_id: str
    instance_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The rent was never confirmed and the marketplace does not list it: nothing was rented."""

    worker_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyStray:
    """An instance with a label of ours that no held worker accounts for."""

    instance_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Delete the record of a worker that was destroyed long ago."""

    worker_id: str
    reason: str


WorkerAction: TypeAlias = (
    Adopt
    | ConfirmStarted
    | MarkReady
    | Drain
    | Undrain
    | Reprice
    | Stop
    | ConfirmStopped
    | Start
    | Destroy
    | ConfirmGone
    | GiveUp
    | Forget
)
Action: TypeAlias = Rent | DestroyStray | WorkerAction


class Cadence(enum.StrEnum):
    """When to look again: in a few seconds, or at the next schedule."""

    BUSY = "busy"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One decision. `wanted` names the autogroups whose offers would have been considered, had they been known.

    `specs` says, for autogroups of which another than the configured version is rented now, how (see `core.rollout`).
    """

    actions: tuple[Action, ...]
    sentences: tuple[str, ...]
    facts: Mapping[str, float]
    state: ScalerState
    cadence: Cadence
    wanted: frozenset[str] = field(default_factory=frozenset)
    specs: Mapping[str, Autogroup] = field(default_factory=dict)


def rental_of(action: Rent, *, now_s: float) -> Rental:
    """Return the record of a worker that is about to be rented."""
    offer = action.offer
    return Rental(
        state=WorkerState.RENTING,
        state_since_s=now_s,
        autogroup=action.autogroup,
        created_at_s=now_s,
        offer_id=offer.offer_id,
        machine_id=offer.machine_id,
        host_id=offer.host_id,
        gpu_name=offer.gpu_name,
        num_gpus=offer.num_gpus,
        bid_micro_usd_per_hour=offer.bid_micro_usd_per_hour,
        running_micro_usd_per_hour=offer.running_micro_usd_per_hour,
        stopped_micro_usd_per_hour=offer.stopped_micro_usd_per_hour,
        up_micro_usd_per_gb=offer.up_micro_usd_per_gb,
        dlperf=offer.dlperf,
        reason=action.reason,
        boot_started_at_s=now_s,
        autogroup_version=action.version,
    )


_TARGET: Final[Mapping[type, WorkerState]] = {
    Adopt: WorkerState.BOOTING,
    ConfirmStarted: WorkerState.BOOTING,
    MarkReady: WorkerState.READY,
    Drain: WorkerState.DRAINING,
    Undrain: WorkerState.READY,
    Stop: WorkerState.STOPPING,
    ConfirmStopped: WorkerState.STOPPED,
    Start: WorkerState.STARTING,
    Destroy: WorkerState.DESTROYING,
    GiveUp: WorkerState.DESTROYED,
}


def intend(action: WorkerAction, rental: Rental, *, now_s: float) -> Rental:
    """Return the worker's record once the action is intended. Raises IllegalTransition, which is a bug."""
    if isinstance(action, Reprice):
        was = rental.raised_from_micro_usd_per_hour or rental.running_micro_usd_per_hour
        now = action.running_micro_usd_per_hour
        return replace(rental, running_micro_usd_per_hour=now, raised_from_micro_usd_per_hour=was)
    target = _TARGET.get(type(action), rental.state)
    if rental.state is target:
        return rental
    match action:
        case Adopt(instance_id=instance_id) | Destroy(instance_id=instance_id):
            rental = replace(rental, instance_id=instance_id)
        case Drain(to=to):
            rental = replace(rental, drain_to=to)
        case Start():
            # What the worker said before it was stopped does not speak of this boot.
            rental = replace(rental, boot_started_at_s=now_s)
        case _:
            pass
    return move(rental, target, action.reason, now_s=now_s)


def move(rental: Rental, state: WorkerState, reason: str, *, now_s: float) -> Rental:
    """Return the record in its next state. Raises IllegalTransition, which is a bug."""
    check_transition(rental.state, state)
    drain_to = rental.drain_to if state is WorkerState.DRAINING else None
    return replace(rental, state=state, state_since_s=now_s, reason=reason, drain_to=drain_to)


def advance(workers: Iterable[Worker], actions: Iterable[Action], *, endpoint: str, now_s: float) -> tuple[Worker, ...]:
    """Return the fleet as the intents of these actions will leave it."""
    fleet = {worker.worker_id: worker for worker in workers}
    for action in actions:
        match action:
            case Rent(worker_id=worker_id):
                fleet[worker_id] = Worker(worker_id=worker_id, endpoint=endpoint, rental=rental_of(action, now_s=now_s))
            case Forget(worker_id=worker_id):
                del fleet[worker_id]
            case DestroyStray():
                pass
            case _:
                worker = fleet[action.worker_id]
                fleet[worker.worker_id] = replace(worker, rental=intend(action, worker.rental, now_s=now_s))
    return tuple(fleet.values())


def action_json(action: Action) -> Mapping[str, Any]:
    """Return the JSON object of an action, its kind under `kind`."""
    return {"kind": type(action).__name__, **encode(action)}
