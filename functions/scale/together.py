"""In which order a plan's actions are carried out, and which of them in one call.

A tick has less than a minute and the marketplace wants pauses, so a plan of a large fleet may not be done in one; the next tick
decides anew about what is left. Hence first what only writes (it brings capacity into service, or makes room that later actions
count on), then what those who wait are waiting for, starts before rents, and last what takes away.

Destroying, and confirming what was destroyed, is done for up to DESTROYED_AT_ONCE_MAX instances in one call: at the documented
pause of three seconds one by one, a thousand would take an hour. A repeated destroy that finds none of them confirms them all; one
that still finds some is asked again by halves, so that a single stubborn instance does not keep the others in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.plan import Action, ConfirmGone, Destroy, DestroyStray, Rent, Start, Stop
from functions.ports import DESTROYED_AT_ONCE_MAX, InstanceGone, MarketplaceBusy
from functions.scale.apply import Desk, Outcome, Result, gone, intend_now, outcomes_of
from functions.scale.turn import Turn

Losing: TypeAlias = Destroy | DestroyStray
_URGENCY: Final[Mapping[type, int]] = {Start: 1, Rent: 2, Stop: 3, Destroy: 3, DestroyStray: 3, ConfirmGone: 3}
_WRITES_ONLY: Final = 0


def batches(actions: Iterable[Action], workers: Mapping[str, Worker]) -> Iterator[tuple[Action, ...]]:
    """Yield the actions in the order in which they are carried out; those together that one call does."""
    losing: list[Action] = []
    confirming: list[Action] = []
    for action in sorted(actions, key=lambda action: _URGENCY.get(type(action), _WRITES_ONLY)):
        if isinstance(action, Destroy | DestroyStray):
            losing.append(action)
        elif isinstance(action, ConfirmGone) and workers[action.worker_id].rental.state is WorkerState.DESTROYING:
            confirming.append(action)
        else:
            yield (action,)
    for kind in (losing, confirming):
        yield from (tuple(kind[start : start + DESTROYED_AT_ONCE_MAX]) for start in range(0, len(kind), DESTROYED_AT_ONCE_MAX))


def carry_out_together(batch: Sequence[Action], desk: Desk) -> tuple[Outcome, ...]:
    """Do a batch of several. Raises LeaseLost and StoreUnavailable; what the marketplace raises becomes the outcome of each."""
    losing = [action for action in batch if isinstance(action, Destroy | DestroyStray)]
    return _destroy(losing, desk) if losing else _confirm([action for action in batch if isinstance(action, ConfirmGone)], desk)


def _destroy(batch: Sequence[Losing], desk: Desk) -> tuple[Outcome, ...]:
    rentals = {action.worker_id: intend_now(action, desk) for action in batch if isinstance(action, Destroy)}

    def destroy() -> Result:
        try:
            desk.marketplace.destroy_all([action.instance_id for action in batch])
        except InstanceGone:
            return Result.GONE
        return Result.DONE

    outcomes = outcomes_of(batch, destroy)
    if outcomes[0].result is Result.GONE:
        for worker_id, rental in rentals.items():
            gone(worker_id, rental, desk)
    return outcomes


def _confirm(batch: Sequence[ConfirmGone], desk: Desk) -> tuple[Outcome, ...]:
    confirmed = confirmed_gone([action.instance_id for action in batch], desk.turn)
    for action in batch:
        if action.instance_id in confirmed:
            gone(action.worker_id, desk.workers[action.worker_id].rental, desk)
    results = (Result.GONE if action.instance_id in confirmed else Result.UNCONFIRMED for action in batch)
    return tuple(Outcome(action=action, result=result) for action, result in zip(batch, results, strict=True))


def confirmed_gone(instance_ids: Sequence[int], turn: Turn) -> frozenset[int]:
    """Destroy these once more, and return those of which the marketplace says that they do not exist. Raises LeaseLost.

    What there was no time or no answer for is left out.
    """
    if turn.is_over():
        return frozenset()
    try:
        turn.marketplace.destroy_all(instance_ids)
    except InstanceGone:
        return frozenset(instance_ids)
    except MarketplaceBusy:
        return frozenset()
    if len(instance_ids) == 1:
        return frozenset()
    half = len(instance_ids) // 2
    return confirmed_gone(instance_ids[:half], turn) | confirmed_gone(instance_ids[half:], turn)
