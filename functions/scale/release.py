"""Give a group up for good, before the function that could do so is gone itself: no stack may leave a billed GPU behind.

Called by `pulumi destroy` (an `aws.lambda_.Invocation` with `lifecycle_scope="CRUD"`) and repeated by it when it fails.
Everything of the group is destroyed and asked for until the marketplace has confirmed each single one. The lease is then kept
until it runs out, so that a schedule or a waiting request that is still about cannot rent anew meanwhile.

Nobody is waited for: a scaler at work, or a release before this one, is overtaken. It ends at its next write, and every create
comes after one; so at most one create may still be on its way, whose intent is on record here. That is found by its label and
destroyed, and it is given up only once the lease of whoever was overtaken would have run out, since no effect outlives a lease.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from functions.core.dismantling import dismantle
from functions.core.lifecycle import HELD
from functions.core.model import EndpointGroup
from functions.core.plan import Cadence, ConfirmGone, Destroy, DestroyStray
from functions.core.scaler_state import ScalerState
from functions.core.snapshot import Snapshot
from functions.ports import DESTROYED_AT_ONCE_MAX, GroupRecords, Lease
from functions.scale.apply import Outcome, Result
from functions.scale.tick import act, look
from functions.scale.together import confirmed_gone
from functions.scale.turn import LEASE_S, ScalePorts, ScaleSettings, Tenure, Turn

ROUND_S: Final = 3.0
ROUNDS_MAX: Final = 1_000
QUIET_LISTS_MIN: Final = 3  # one list may be empty by a fault of the marketplace, hardly three in a row
KEPT_S: Final = 300.0


class ReleaseIncomplete(Exception):
    """Time is up and these are not confirmed gone: run the destroy again. `instances` may bill; `intended` were never confirmed."""

    def __init__(self, *, instances: tuple[int, ...], intended: tuple[str, ...]) -> None:
        super().__init__(f"time is up: instances {list(instances)}, intended workers {list(intended)}; run the destroy again")
        self.instances = instances
        self.intended = intended

    @property
    def count(self) -> int:
        """How many are not confirmed gone; at least one, also where no list could be had."""
        return max(1, len(self.instances) + len(self.intended))


def release_group(endpoint: str, *, owner: str, ports: ScalePorts, settings: ScaleSettings, deadline_s: float) -> int:
    """Destroy everything of the group and return how many instances were confirmed gone.

    Raises ReleaseIncomplete, LeaseLost, StoreUnavailable and UnreadableItem: each means "run it again".
    """
    lease, alone_from_s = _take_lease(endpoint, owner=owner, ports=ports)
    tenure = Tenure(lease, store=ports.store, clock=ports.clock)
    turn = Turn(tenure=tenure, ports=ports, settings=settings, deadline_s=deadline_s)
    gone: set[int] = set()
    seen: set[int] = set()
    quiet_lists = 0
    for _ in range(ROUNDS_MAX):
        snapshot = look(ports.store.load(endpoint) or _nothing_known(endpoint), turn)
        plan = dismantle(snapshot, now_s=turn.now_s(), alone_from_s=alone_from_s)
        seen |= _instances(snapshot)
        quiet_lists = quiet_lists + 1 if plan.cadence is Cadence.IDLE and _confirm(seen, gone, turn) else 0
        if quiet_lists >= QUIET_LISTS_MIN:
            break
        if turn.is_over():
            raise ReleaseIncomplete(instances=tuple(sorted(seen - gone)), intended=_intended(snapshot))
        gone |= _found_gone(act(snapshot, plan, turn))
        ports.clock.wait_s(ROUND_S)
    ports.store.renew_lease(tenure.lease(), now_s=turn.now_s(), duration_s=KEPT_S)
    return len(gone)


def _take_lease(endpoint: str, *, owner: str, ports: ScalePorts) -> tuple[Lease, float]:
    """Return the lease, and from when on nothing happens any more that its last holder has begun."""
    now_s = ports.clock.now_s()
    free = ports.store.acquire_lease(endpoint, owner=owner, now_s=now_s, duration_s=LEASE_S)
    if free is not None:
        return free, now_s
    now_s = ports.clock.now_s()
    taken = ports.store.overtake_lease(endpoint, owner=owner, now_s=now_s, duration_s=LEASE_S)
    return taken, taken.until_s


def _confirm(seen: set[int], gone: set[int], turn: Turn) -> bool:
    """Ask about every instance that was ever seen; tells whether the marketplace has confirmed that none exists."""
    left = sorted(seen - gone)
    for start in range(0, len(left), DESTROYED_AT_ONCE_MAX):
        gone |= confirmed_gone(left[start : start + DESTROYED_AT_ONCE_MAX], turn)
    return gone == seen


def _found_gone(outcomes: Iterable[Outcome]) -> set[int]:
    """Return the instances that the marketplace has said not to exist any more."""
    known = (outcome.action for outcome in outcomes if outcome.result is Result.GONE)
    return {action.instance_id for action in known if isinstance(action, Destroy | DestroyStray | ConfirmGone)}


def _instances(snapshot: Snapshot) -> set[int]:
    held = {worker.rental.instance_id for worker in snapshot.workers if worker.rental.state in HELD}
    return {instance_id for instance_id in held if instance_id} | {instance.instance_id for instance in snapshot.listing or ()}


def _intended(snapshot: Snapshot) -> tuple[str, ...]:
    workers = (worker for worker in snapshot.workers if worker.rental.state in HELD)
    return tuple(worker.worker_id for worker in workers if worker.rental.instance_id is None)


def _nothing_known(endpoint: str) -> GroupRecords:
    """Return the records of a group whose items are gone already: what bears its label is still found and destroyed."""
    group = EndpointGroup(endpoint=endpoint, max_workers=0, max_hourly_cost_micro_usd=0)
    return GroupRecords(group=group, autogroups=(), workers=(), waiting=(), state=ScalerState())
