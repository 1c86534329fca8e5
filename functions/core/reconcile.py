"""What each worker's own situation calls for: confirm what has happened, repeat what got lost, remove what is broken.

One small rule a state. A rule looks at the worker's record, at what it said of itself, and at what the marketplace lists, and names
one action or none. None of them looks at demand: whether a worker is wanted is decided elsewhere, from the fleet that is left.

Evidence, in this order:

* A worker that was heard in this boot within WORKER_SILENT_AFTER_S is alive, whatever the marketplace's list claims; only where
  a READY worker misses several reports *and* the list says that it does not run, two witnesses agree, and it is condemned sooner.
* A presence in the list is evidence, an absence is a reason to ask about that one instance (`ConfirmGone`).
* Silence condemns a worker only while others of the group are heard: if nobody is, the fault may lie with the reports' own path.
  Then only one is replaced at a time, the longest silent, and only after SILENT_ALONE_S, so that an outage never takes the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.capacity import is_heard
from functions.core.demand import TOMBSTONE_KEPT_S
from functions.core.lifecycle import COMING, WorkerState
from functions.core.listing import LIST_LAG_S, Listing
from functions.core.memory import unlisted
from functions.core.model import Instance, Worker
from functions.core.plan import (
    STOPPED_BY_MARKETPLACE,
    Adopt,
    ConfirmGone,
    ConfirmStarted,
    ConfirmStopped,
    Destroy,
    Drain,
    Fault,
    Forget,
    GiveUp,
    MarkReady,
    Reprice,
    Start,
    Stop,
    WorkerAction,
)
from functions.core.routing import backlog
from functions.core.snapshot import Snapshot
from functions.core.vast_load import tells_gauges
from functions.core.verifying import dearer, mismatch, other_machine
from protocol.report import Phase
from protocol.ticket import CLOCK_SKEW_S

BOOT_TIMEOUT_S: Final = 900.0  # of workers whose autogroup is gone from the configuration
DRAIN_DEADLINE_S: Final = 600.0
DRAIN_DEADLINE_S_MAX: Final = 3_600.0
START_TIMEOUT_S: Final = 90.0  # the marketplace itself calls a start unavailable after 30 s of "scheduling"
STOP_TIMEOUT_S: Final = 300.0
GIVE_UP_LISTS_MIN: Final = 3  # one list may be empty by a fault of the marketplace, hardly three in a row
REPEAT_AFTER_S: Final = 15.0
UNREADY_TIMEOUT_S: Final = 300.0  # for a worker that restarts its server while READY
SILENT_ALONE_S: Final = 300.0
LOAD_ROUNDING: Final = 1e-9
# Four reports missed: a worker with requests reports every 2 s, one without every 10 s.
SUSPECT_BUSY_S: Final = 8.0
SUSPECT_IDLE_S: Final = 40.0
_MESSAGE_LENGTH_MAX: Final = 200

_S = WorkerState
_IN_SERVICE: Final = frozenset({_S.READY, _S.DRAINING})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the rules share. `listing` is None when the marketplace could not be asked."""

    now_s: float
    listing: Listing | None
    boot_timeout_s: Mapping[str, float]  # by autogroup
    unready_since_s: Mapping[str, float]
    someone_is_heard: bool
    replaceable: str | None  # the one worker that may be replaced although nobody is heard
    rent_confirm_s: float
    unlisted: Mapping[str, int]  # by worker id: how many lists in a row lacked an intended rent

    def seen(self, worker: Worker) -> Instance | None:
        """Return the worker's instance as listed, None if it is not or the list is unknown."""
        return None if self.listing is None else self.listing.of(worker)

    def missing(self, worker: Worker) -> bool:
        """Tell whether a good list lacks an instance that is old enough to be in it."""
        settled = self.now_s - worker.rental.state_since_s > LIST_LAG_S
        return self.listing is not None and settled and self.listing.of(worker) is None

    def mismatch(self, worker: Worker) -> str | None:
        """Say what of the worker's instance is not as it was offered, None as far as is known."""
        instance = self.seen(worker)
        return None if instance is None else mismatch(worker.rental, instance)

    def age_s(self, worker: Worker) -> float:
        """Return for how long the worker has been in its state."""
        return self.now_s - worker.rental.state_since_s

    def heard(self, worker: Worker) -> bool:
        """Tell whether the worker has reported of late, in this boot."""
        return is_heard(worker, now_s=self.now_s)

    def silence_s(self, worker: Worker) -> float:
        """Return since when the worker has said nothing in this boot."""
        return self.now_s - max(worker.condition.reported_at_s, worker.rental.boot_started_at_s)


def view(snapshot: Snapshot, listing: Listing | None, *, now_s: float) -> View:
    """Return what the rules share about this snapshot."""
    serving = (worker for worker in snapshot.workers if worker.rental.state in _IN_SERVICE)
    booting = any(worker.rental.state in COMING for worker in snapshot.workers)
    # While a replacement boots, its first report will tell whose fault the silence is.
    quiet = None if booting else min(serving, key=lambda worker: worker.condition.reported_at_s, default=None)
    return View(
        now_s=now_s,
        listing=listing,
        boot_timeout_s={autogroup.name: autogroup.boot_timeout_s for autogroup in snapshot.autogroups},
        unready_since_s=snapshot.state.unready_since_s,
        someone_is_heard=any(is_heard(worker, now_s=now_s) for worker in snapshot.workers),
        replaceable=None if quiet is None else quiet.worker_id,
        rent_confirm_s=snapshot.rent_confirm_s,
        unlisted=unlisted(snapshot, listing),
    )


def is_free(worker: Worker, *, now_s: float) -> bool:
    """Tell whether nothing is in flight on a draining worker and nothing can arrive any more.

    Only a report from after the drain began, since when nothing is assigned, can prove it, in one of two ways: the totals agree, so
    that every ticket ever given out has been served or written off; or every ticket has expired, by a worker's clock that may be
    CLOCK_SKEW_S behind, and nothing is in flight.
    """
    if worker.condition.in_flight > 0 or worker.condition.reported_at_s <= worker.rental.state_since_s:
        return False
    # The table adds in decimal and the worker in binary. Gauges prove nothing of tickets that have not arrived.
    if not tells_gauges(worker) and backlog(worker) <= LOAD_ROUNDING * max(1.0, worker.assignments.assigned_load):
        return True
    last_arrival_s = worker.assignments.ticket_expires_at_s + CLOCK_SKEW_S
    return worker.condition.reported_at_s > last_arrival_s and now_s > last_arrival_s


def _renting(worker: Worker, sight: View) -> WorkerAction | None:
    instance = sight.seen(worker)
    if instance is None:
        missed = sight.listing is not None and sight.unlisted.get(worker.worker_id, 0) >= GIVE_UP_LISTS_MIN
        certain = missed and sight.age_s(worker) > sight.rent_confirm_s
        reason = f"not listed {sight.rent_confirm_s:.0f} s after the create: nothing was rented"
        return GiveUp(worker_id=worker.worker_id, reason=reason) if certain else None
    wrong = mismatch(worker.rental, instance)
    if wrong is not None:
        return _destroy(worker, instance.instance_id, wrong, Fault.MISMATCH)
    if not instance.wants_running:
        return _destroy(worker, instance.instance_id, "created but not running: its GPUs were taken", Fault.TAKEN)
    return Adopt(worker_id=worker.worker_id, instance_id=instance.instance_id, reason="found by its label")


def _booting(worker: Worker, sight: View) -> WorkerAction | None:
    heard, phase, wrong = sight.heard(worker), worker.condition.phase, sight.mismatch(worker)
    if wrong is not None:
        return _condemn(worker, wrong, Fault.MISMATCH)
    if heard and phase is Phase.READY and worker.condition.perf > 0 and worker.condition.url:
        return MarkReady(worker_id=worker.worker_id, reason=f"measured at {worker.condition.perf:.1f} load/s")
    if heard and phase is Phase.ERROR:
        return _condemn(worker, f"reported an error: {_brief(worker.condition.error)}", Fault.BOOT)
    limit_s = sight.boot_timeout_s.get(worker.rental.autogroup, BOOT_TIMEOUT_S)
    boot_s = sight.now_s - worker.rental.boot_started_at_s
    if boot_s > limit_s:
        return _condemn(worker, f"not ready {limit_s:.0f} s after its start", Fault.BOOT)
    return None if heard else _unheard_boot(worker, sight)


def _unheard_boot(worker: Worker, sight: View) -> WorkerAction | None:
    instance = sight.seen(worker)
    if instance is None:
        return _ask(worker, "the marketplace does not list it") if sight.missing(worker) else None
    if instance.failed:
        return _condemn(worker, f"the marketplace reports a failure: {_brief(instance.message or instance.status)}", Fault.BOOT)
    if not instance.wants_running and sight.age_s(worker) > REPEAT_AFTER_S:
        return _condemn(worker, "the marketplace stopped it while it booted", Fault.TAKEN)
    return None


def _ready(worker: Worker, sight: View) -> WorkerAction | None:
    instance = sight.seen(worker)
    if not sight.heard(worker) or _is_down(worker, instance, sight):
        return _silent(worker, sight)
    if worker.condition.phase is Phase.ERROR:
        return _condemn(worker, f"reported an error: {_brief(worker.condition.error)}", Fault.SERVICE)
    since_s = sight.unready_since_s.get(worker.worker_id)
    if since_s is not None and sight.now_s - since_s > UNREADY_TIMEOUT_S:
        return _condemn(worker, f"not ready again for {UNREADY_TIMEOUT_S:.0f} s", Fault.SERVICE)
    if instance is None:
        return None
    wrong = other_machine(worker.rental, instance)  # it came into service before any list showed it
    if wrong is not None:
        return Drain(worker_id=worker.worker_id, to=_S.DESTROYING, reason=wrong, fault=Fault.MISMATCH)
    return _repriced(worker, instance)


def _repriced(worker: Worker, instance: Instance) -> Reprice | None:
    raised = dearer(worker.rental, instance)
    if raised is None:
        return None
    billed = instance.running_micro_usd_per_hour
    return Reprice(worker_id=worker.worker_id, running_micro_usd_per_hour=billed, reason=raised)


def _is_down(worker: Worker, instance: Instance | None, sight: View) -> bool:
    """Tell whether a worker that should report, and does not, is also listed as failed or ended."""
    suspect_s = SUSPECT_BUSY_S if worker.condition.in_flight else SUSPECT_IDLE_S
    return instance is not None and (instance.failed or not instance.running) and sight.silence_s(worker) > suspect_s


def _silent(worker: Worker, sight: View) -> WorkerAction | None:
    instance = sight.seen(worker)
    if instance is None and sight.missing(worker):
        return _ask(worker, "silent, and the marketplace does not list it")
    if instance is not None and instance.failed:
        return _condemn(
            worker, f"silent, and the marketplace says: {_brief(f'{instance.status}; {instance.message}')}", Fault.SERVICE
        )
    if instance is not None and not instance.wants_running:
        drain = Drain(worker_id=worker.worker_id, to=_S.STOPPING, reason=STOPPED_BY_MARKETPLACE)
        return drain if worker.rental.state is _S.READY else None
    if instance is not None and not instance.running:
        return _condemn(worker, f"silent, and its container ended ({instance.status})", Fault.SERVICE)
    return _silent_without_cause(worker, sight)


def _silent_without_cause(worker: Worker, sight: View) -> WorkerAction | None:
    if sight.someone_is_heard:
        return _condemn(worker, f"silent for {sight.silence_s(worker):.0f} s while others report", Fault.SERVICE)
    if worker.worker_id == sight.replaceable and sight.silence_s(worker) > SILENT_ALONE_S:
        return _condemn(worker, f"silent for {sight.silence_s(worker):.0f} s, as is everyone: one is replaced", Fault.SERVICE)
    return None


def _draining(worker: Worker, sight: View) -> WorkerAction | None:
    instance = sight.seen(worker)
    heard = sight.heard(worker) and not _is_down(worker, instance, sight)
    ended = instance is not None and not instance.running and not instance.failed and not heard
    if ended:
        return _after_drain(worker, worker.rental.reason)
    if heard and worker.condition.phase is Phase.ERROR:
        return _condemn(worker, f"reported an error: {_brief(worker.condition.error)}", Fault.SERVICE)
    if not heard:
        return _silent(worker, sight)
    wrong = None if instance is None else other_machine(worker.rental, instance)
    if wrong is not None:
        # Repeated, so that no shortage takes it back.
        return end_of_drain(worker, now_s=sight.now_s) or Drain(worker_id=worker.worker_id, to=_S.DESTROYING, reason=wrong)
    return None if instance is None else _repriced(worker, instance)


def end_of_drain(worker: Worker, *, now_s: float) -> WorkerAction | None:
    """Return what follows a drain that is over, None while it is not. Asked last: who is needed again has been taken back."""
    if is_free(worker, now_s=now_s):
        return _after_drain(worker, worker.rental.reason)
    deadline_s = drain_deadline_s(worker)
    if now_s - worker.rental.state_since_s > deadline_s:
        return _after_drain(worker, f"drain deadline of {deadline_s:.0f} s passed")
    return None


def drain_deadline_s(worker: Worker) -> float:
    """Return for how long a worker may drain: DRAIN_DEADLINE_S, or for as long as all that it holds would take one slot of it.

    Worked example: 120 load/s in 32 slots, and 8,000 load left, all of it one long answer: 2,133 s. Answers that are long are not
    stuck.
    """
    said = worker.condition
    slot_perf = said.perf / said.slots if said.slots > 0 else said.perf
    needed_s = backlog(worker) / slot_perf if slot_perf > 0 else 0.0
    return min(DRAIN_DEADLINE_S_MAX, max(DRAIN_DEADLINE_S, needed_s))


def _after_drain(worker: Worker, reason: str) -> WorkerAction:
    instance_id = _instance_id(worker)
    if worker.rental.drain_to is _S.STOPPING:
        return Stop(worker_id=worker.worker_id, instance_id=instance_id, reason=reason)
    return Destroy(worker_id=worker.worker_id, instance_id=instance_id, reason=reason)


def _stopping(worker: Worker, sight: View) -> WorkerAction | None:
    instance, age_s = sight.seen(worker), sight.age_s(worker)
    if instance is None:
        return _ask(worker, "the marketplace does not list it") if sight.missing(worker) else None
    if not instance.running and not instance.wants_running:
        return ConfirmStopped(worker_id=worker.worker_id, reason=worker.rental.reason)
    if age_s > STOP_TIMEOUT_S:
        return _condemn(worker, f"not stopped after {STOP_TIMEOUT_S:.0f} s", None)
    if instance.wants_running and age_s > REPEAT_AFTER_S:
        return Stop(worker_id=worker.worker_id, instance_id=_instance_id(worker), reason="the stop was lost")
    return None


def _stopped(worker: Worker, sight: View) -> WorkerAction | None:
    instance = sight.seen(worker)
    if instance is None:
        return _ask(worker, "the marketplace does not list it") if sight.missing(worker) else None
    if instance.failed:
        return _condemn(worker, f"the marketplace reports a failure: {_brief(instance.message or instance.status)}", Fault.SERVICE)
    if instance.running and sight.age_s(worker) > LIST_LAG_S:
        return _condemn(worker, "runs and bills although it was stopped", None)
    return None


def _starting(worker: Worker, sight: View) -> WorkerAction | None:
    instance, age_s = sight.seen(worker), sight.age_s(worker)
    if sight.heard(worker) or (instance is not None and instance.running):
        return ConfirmStarted(worker_id=worker.worker_id, reason="the marketplace says so, or it reports")
    if instance is not None and instance.failed:
        return _condemn(worker, f"the marketplace reports a failure: {_brief(instance.message or instance.status)}", Fault.SERVICE)
    if age_s > START_TIMEOUT_S:
        return _condemn(worker, f"did not start within {START_TIMEOUT_S:.0f} s: its GPUs are taken", Fault.TAKEN)
    if instance is not None and not instance.wants_running and age_s > REPEAT_AFTER_S:
        return Start(worker_id=worker.worker_id, instance_id=_instance_id(worker), reason="the start was lost")
    return _ask(worker, "the marketplace does not list it") if sight.missing(worker) else None


def _condemn(worker: Worker, reason: str, fault: Fault | None) -> Destroy:
    return _destroy(worker, _instance_id(worker), reason, fault)


def _destroy(worker: Worker, instance_id: int, reason: str, fault: Fault | None) -> Destroy:
    return Destroy(worker_id=worker.worker_id, instance_id=instance_id, reason=reason, fault=fault)


def _ask(worker: Worker, reason: str) -> ConfirmGone:
    return ConfirmGone(worker_id=worker.worker_id, instance_id=_instance_id(worker), reason=reason)


def _instance_id(worker: Worker) -> int:
    instance_id = worker.rental.instance_id
    assert instance_id is not None, f"{worker.worker_id} is {worker.rental.state} without an instance"
    return instance_id


def _brief(message: str) -> str:
    return " ".join(message.split())[:_MESSAGE_LENGTH_MAX] or "no message"


def _destroying(worker: Worker, _sight: View) -> WorkerAction:
    return _ask(worker, "destroyed, not confirmed yet")


def _destroyed(worker: Worker, sight: View) -> WorkerAction | None:
    forgotten = sight.age_s(worker) > TOMBSTONE_KEPT_S
    return Forget(worker_id=worker.worker_id, reason="destroyed long ago") if forgotten else None


_RULES: Final[Mapping[WorkerState, Callable[[Worker, View], WorkerAction | None]]] = {
    _S.RENTING: _renting,
    _S.BOOTING: _booting,
    _S.READY: _ready,
    _S.DRAINING: _draining,
    _S.STOPPING: _stopping,
    _S.STOPPED: _stopped,
    _S.STARTING: _starting,
    _S.DESTROYING: _destroying,
    _S.DESTROYED: _destroyed,
}


def next_step(worker: Worker, sight: View) -> WorkerAction | None:
    """Return what this worker's situation calls for, None if nothing."""
    return _RULES[worker.rental.state](worker, sight)
