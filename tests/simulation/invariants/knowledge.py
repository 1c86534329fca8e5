"""5. Unknown is not zero: missing or stale data never shrinks a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from functions.core.capacity import is_heard
from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointState, Worker
from functions.core.plan import Action, Destroy, Drain, GiveUp, Stop
from functions.core.pricing import headroom
from functions.core.schedules import in_force
from functions.core.verifying import mismatch
from functions.scale.tick import Tick
from protocol.report import Phase
from tests.simulation.invariants import Violated

_SHRINKING: Final = (Drain, Stop, Destroy)
SILENT_AT_ONCE_MAX: Final = 1


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Looks at what every decision knew."""

    def check(self, done: Tick) -> None:
        """Check what one tick concluded from what it did not know."""
        if done.snapshot.listing is None and any(isinstance(action, GiveUp) for action in done.plan.actions):
            raise Violated("a rent was given up without a list of what is rented")
        unfounded = [name for action in done.plan.actions if (name := _unfounded(action, done)) is not None]
        if not done.snapshot.state.samples and unfounded:
            raise Violated(f"{unfounded} were given up before anything was known of the demand")
        self._check_silence(done)

    def _check_silence(self, done: Tick) -> None:
        """Where nobody is heard, the fault may lie with the reports' own path: one at a time may be replaced."""
        serving = [each for each in done.snapshot.workers if each.rental.state in {WorkerState.READY, WorkerState.DRAINING}]
        if len(serving) < 2 or any(is_heard(each, now_s=done.decided_at_s) for each in done.snapshot.workers):
            return
        listed = {instance.instance_id: instance for instance in done.snapshot.listing or ()}
        held_against = {
            each.worker_id
            for each in serving
            if (shown := listed.get(each.rental.instance_id or 0)) is not None and shown.running and not shown.failed
        }
        # The end of a drain is no verdict: that was given when the drain began.
        ended = {each.worker_id for each in serving if each.rental.state is WorkerState.DRAINING}
        verdicts = (
            a
            for a in done.plan.actions
            if isinstance(a, Drain) or (isinstance(a, Destroy) and (a.fault or a.worker_id not in ended))
        )
        gone = [a.worker_id for a in verdicts if a.worker_id in held_against]
        if len(gone) > SILENT_AT_ONCE_MAX:
            raise Violated(f"{gone} were given up for a silence that everybody keeps")


def _unfounded(action: Action, done: Tick) -> str | None:
    """Return the worker that an action takes out of service although nothing is held against it, None for any other action."""
    group = in_force(done.snapshot.group, now_s=done.decided_at_s).group
    if not isinstance(action, _SHRINKING) or group.endpoint_state is not EndpointState.ACTIVE:
        return None
    if isinstance(action, Destroy) and action.fault is not None:
        return None
    worker = next(each for each in done.snapshot.workers if each.worker_id == action.worker_id)
    configured = {autogroup.name for autogroup in done.snapshot.autogroups}
    if worker.rental.autogroup not in configured or headroom(group, done.snapshot.workers, ()).exceeded:
        return None
    return worker.worker_id if _serves(worker, done) else None


def _serves(worker: Worker, done: Tick) -> bool:
    well = worker.condition.phase is Phase.READY and is_heard(worker, now_s=done.decided_at_s)
    listed = (each for each in done.snapshot.listing or () if each.instance_id == worker.rental.instance_id)
    wrong = any(mismatch(worker.rental, each) is not None or not each.running or each.failed for each in listed)
    return worker.rental.state is WorkerState.READY and well and not wrong
