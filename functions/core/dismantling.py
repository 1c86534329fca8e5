"""How a group is given up for good: everything goes, and nothing is believed gone that the marketplace has not confirmed.

Requests in flight do not delay it: whoever runs `pulumi destroy` has taken the clients' route away already, and a GPU that is left
behind bills for ever. An intended rent that nobody has confirmed cannot be destroyed yet; it is waited for until it is listed, or
given up as in `reconcile`, but never while a scaler that was overtaken may still be about to rent it.
"""

from __future__ import annotations

from dataclasses import replace

from functions.core.lifecycle import HELD, WorkerState
from functions.core.listing import index, strays
from functions.core.memory import unlisted
from functions.core.model import Worker
from functions.core.plan import Action, Cadence, Destroy, DestroyStray, GiveUp, Plan
from functions.core.reconcile import View, next_step, view
from functions.core.snapshot import Snapshot

_REASON = "the endpoint is removed"


def dismantle(snapshot: Snapshot, *, now_s: float, alone_from_s: float = 0.0) -> Plan:
    """Return what is left to do until nothing of this group exists. IDLE cadence: nothing does, as far as a list can tell.

    Before `alone_from_s` another scaler's last call to the marketplace may still have its effect.
    """
    listing = None if snapshot.listing is None else index(snapshot.listing)
    sight = view(snapshot, listing, now_s=now_s)
    held = [worker for worker in snapshot.workers if worker.rental.state in HELD]
    astray = () if listing is None else strays(listing, snapshot.workers, now_s=now_s)
    steps = [step for worker in held if (step := _remove(worker, sight, is_alone=now_s >= alone_from_s)) is not None]
    steps += (DestroyStray(instance_id=instance.instance_id, reason=_REASON) for instance in astray)
    done = listing is not None and not held and not astray
    return Plan(
        actions=tuple(steps),
        sentences=(f"Removing the endpoint: {len(held)} workers and {len(astray)} strays are left.",),
        facts={"held": float(len(held)), "astray": float(len(astray))},
        state=replace(snapshot.state, unlisted=unlisted(snapshot, listing)),
        cadence=Cadence.IDLE if done else Cadence.BUSY,
    )


def _remove(worker: Worker, sight: View, *, is_alone: bool) -> Action | None:
    instance = sight.seen(worker)
    if worker.rental.state is WorkerState.DESTROYING:
        return next_step(worker, sight)
    if worker.rental.state is not WorkerState.RENTING:
        assert worker.rental.instance_id is not None, f"{worker.worker_id} has no instance"
        return Destroy(worker_id=worker.worker_id, instance_id=worker.rental.instance_id, reason=_REASON)
    if instance is not None:
        return Destroy(worker_id=worker.worker_id, instance_id=instance.instance_id, reason=_REASON)
    step = next_step(worker, sight)
    return step if is_alone and isinstance(step, GiveUp) else None
