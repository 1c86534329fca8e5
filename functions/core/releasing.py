"""What to remove when the fleet is larger than it need be. Nothing here ever undercuts the need.

* What was needed within `scale_down_window` is part of the need (see `demand`), so that a surplus has lasted that long already.
  Unknown demand is no surplus, and neither is demand that has not been watched for a whole window.
* What is not ready goes first. A serving worker goes only if the *serving* rest carries the need: what boots may never be ready.
* Worst value first, and a few at a time: the next decision looks again.
* What is outdated is left to `renewing`, and makes nobody else dispensable.
* A worker that leaves service is stopped. Stopped workers beyond the reserve are destroyed once no burst has filled so much for as
  long as storage is worth paying for (see `standby`); where being short costs nothing (`shortage_cost: 0`), at once.
* Broken ceilings (the owner lowered one) are mended at once: stopped first, then booting, then serving, whatever the demand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from functions.core.fleet import Fleet
from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointGroup, Worker
from functions.core.plan import Action, Destroy, Drain, Stop
from functions.core.pricing import Headroom
from functions.core.sizing import Need
from functions.core.standby import BURST_S, KEPT_S_MAX, filled_since

# By then most bursts have shown whether they last; a boot that nobody needs any more costs more by the minute.
BEGUN_LATELY_S: Final = 120.0
_DRAINS_PER_TICK_DIVISOR: Final = 8  # an eighth of the serving fleet a decision, at least one
_S = WorkerState


def release(fleet: Fleet, need: Need) -> tuple[Action, ...]:
    """Return what the fleet can do without."""
    if not (need.known and (need.settled or need.idle)):
        return ()
    booting = _spare_booting(fleet, need)
    # What boots is expected to carry something; only what has been measured can make something else dispensable.
    held = balance(fleet, (*fleet.serving(), *fleet.cold()), load_min=need.held_load, workers_min=need.held_workers)
    serving, held = _spare_serving(fleet, need, held)
    return (*booting, *serving, *_spare_cold(fleet, need, held))


def mend(fleet: Fleet, room: Headroom) -> tuple[Action, ...]:
    """Return what must leave because a ceiling is broken; what is leaving already counts as gone."""
    leaving = [worker for worker in fleet.workers if is_leaving(worker)]
    workers = room.workers + len(leaving)
    micro_usd_per_hour = room.micro_usd_per_hour + sum(worker.rental.running_micro_usd_per_hour for worker in leaving)
    actions: list[Action] = []
    for worker in _expendable(fleet):
        if workers >= 0 and micro_usd_per_hour >= 0:
            break
        actions.append(dismiss(worker, "over the ceiling of the group"))
        workers, micro_usd_per_hour = workers + 1, micro_usd_per_hour + worker.rental.running_micro_usd_per_hour
    return tuple(actions)


def retire(fleet: Fleet, need: Need) -> tuple[Action, ...]:
    """Return the workers that are to be replaced, or whose autogroup is gone; serving ones only once others carry the need."""
    unwanted = [one for one in fleet.available(_S.BOOTING, _S.STOPPED, _S.READY) if not fleet.is_configured(one)]
    if not unwanted:
        return ()
    carried = need.known and fleet.load(fleet.serving()) >= need.running_load and len(fleet.serving()) >= need.running_workers
    leaving = (one for one in unwanted if carried or one.rental.state is not _S.READY)
    gone = "its autogroup is no longer configured"
    return tuple(dismiss(worker, fleet.leaving.get(worker.worker_id, gone)) for worker in leaving)


def halt(fleet: Fleet) -> tuple[Action, ...]:
    """Return what stops every running worker of a group that its owner has stopped; all are kept, cold."""
    actions: list[Action] = []
    for worker in fleet.available(_S.READY, _S.BOOTING, _S.STARTING):
        reason = "the endpoint is stopped"
        if worker.rental.state is _S.READY:
            actions.append(Drain(worker_id=worker.worker_id, to=_S.STOPPING, reason=reason))
        elif worker.rental.instance_id is not None:
            actions.append(Stop(worker_id=worker.worker_id, instance_id=worker.rental.instance_id, reason=reason))
    return tuple(actions)


def excess(group: EndpointGroup, room: Headroom) -> str:
    """Say which ceiling is broken."""
    what = "max_workers" if room.workers < 0 else "max_hourly_cost_usd"
    return f"More is held than {what} of {group.endpoint} allows: releasing."


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A number of workers and what they carry, against what is needed of them."""

    load: float
    workers: int
    load_min: float
    workers_min: int

    @property
    def enough(self) -> bool:
        """Tell whether they cover the need."""
        return self.load >= self.load_min and self.workers >= self.workers_min

    def spares(self, perf: float) -> bool:
        """Tell whether the rest still covers the need without one worker of this performance."""
        return self.load - perf >= self.load_min and self.workers - 1 >= self.workers_min

    def less(self, perf: float) -> Balance:
        """Return the balance without it."""
        return replace(self, load=self.load - perf, workers=self.workers - 1)


def balance(fleet: Fleet, workers: tuple[Worker, ...], *, load_min: float, workers_min: int) -> Balance:
    """Return what these workers carry, against this need."""
    return Balance(load=fleet.load(workers), workers=len(workers), load_min=load_min, workers_min=workers_min)


def _spare_booting(fleet: Fleet, need: Need) -> tuple[Action, ...]:
    booting = [one for one in fleet.available(_S.BOOTING) if one.rental.autogroup not in fleet.editions.under_way]
    if not booting:
        return ()
    held = balance(fleet, (*fleet.running(), *fleet.cold()), load_min=need.held_load, workers_min=need.held_workers)
    running = balance(fleet, fleet.running(), load_min=need.running_load, workers_min=need.kept_workers)
    sooner = _carried_sooner(fleet)
    actions: list[Action] = []
    for worker in _worst_first(fleet, booting):
        perf = fleet.perf(worker)
        # One of which nothing can be expected boots in order to be measured; one that is not configured leaves anyway; one that
        # was begun a moment ago was needed a moment ago; what boots for an update has its own purpose.
        begun_lately = not need.idle and fleet.now_s - worker.rental.boot_started_at_s < BEGUN_LATELY_S
        carried, workers = sooner.get(worker.worker_id, (0.0, 0))
        covered = carried >= need.running_load and workers >= need.kept_workers and running.spares(perf) and held.spares(perf)
        if perf > 0 and covered and not begun_lately and fleet.is_configured(worker):
            actions.append(dismiss(worker, "no longer needed, and not ready yet"))
            running, held = running.less(perf), held.less(perf)
    return tuple(actions)


def _carried_sooner(fleet: Fleet) -> dict[str, tuple[float, int]]:
    """Return, for each worker that boots, the load and number of those that serve or began to boot before it.

    One that has booted for a minute is not let go for one that was rented just now, however much better that is.
    """
    running = fleet.running()
    ready = [worker for worker in running if worker.rental.state is _S.READY]
    carried, number = fleet.load(ready), len(ready)
    sooner: dict[str, tuple[float, int]] = {}
    coming = (worker for worker in running if worker.rental.state is not _S.READY)
    for worker in sorted(coming, key=lambda one: one.rental.boot_started_at_s):
        sooner[worker.worker_id] = carried, number
        carried, number = carried + fleet.perf(worker), number + 1
    return sooner


def _spare_serving(fleet: Fleet, need: Need, held: Balance) -> tuple[tuple[Action, ...], Balance]:
    workers, lasting_workers = fleet.serving(), fleet.lasting(fleet.serving())
    serving = balance(fleet, workers, load_min=need.running_load, workers_min=need.kept_workers)
    lasting = balance(fleet, lasting_workers, load_min=need.running_load, workers_min=need.kept_workers)
    most = drains_max(fleet, need)
    why = "nothing has been asked for long enough" if need.idle else "the others carry the load"
    actions: list[Action] = []
    # Balances only shrink: who cannot be spared at first never can, and need not be sorted.
    spared = (one for one in lasting_workers if serving.spares(fleet.perf(one)))
    for worker in _worst_first(fleet, spared):
        perf = fleet.perf(worker)
        if worker.worker_id not in fleet.acted and len(actions) < most and serving.spares(perf) and lasting.spares(perf):
            dispensable = need.shortage_s <= 0 and held.spares(perf)
            to = _S.DESTROYING if dispensable else _S.STOPPING
            actions.append(Drain(worker_id=worker.worker_id, to=to, reason=why))
            serving, lasting, held = serving.less(perf), lasting.less(perf), held.less(perf) if dispensable else held
    return tuple(actions), held


def _spare_cold(fleet: Fleet, need: Need, held: Balance) -> tuple[Action, ...]:
    actions: list[Action] = []
    # As above: who cannot be spared at first never can.
    stopped = (one for one in fleet.available(_S.STOPPED) if fleet.is_configured(one) and held.spares(fleet.perf(one)))
    for worker in _worst_first(fleet, stopped):
        perf, kept_s = fleet.perf(worker), _storage_paid_for_s(worker, need)
        if held.spares(perf) and held.load - perf >= _filled(worker, need, kept_s=kept_s, now_s=fleet.now_s):
            lately = f"no burst of the last {kept_s / 3_600:.1f} h has filled so much, and for longer its storage is too dear"
            actions.append(dismiss(worker, lately if kept_s > BURST_S else "its storage is dearer than being short of it"))
            held = held.less(perf)
    return tuple(actions)


def _storage_paid_for_s(worker: Worker, need: Need) -> float:
    """Return for how long storage costs less than being short of the worker for one boot would."""
    if need.shortage_s <= 0:
        return 0.0
    stopped, running = worker.rental.stopped_micro_usd_per_hour, worker.rental.running_micro_usd_per_hour
    return min(KEPT_S_MAX, need.shortage_s * running / stopped) if stopped > 0 else KEPT_S_MAX


def _filled(worker: Worker, need: Need, *, kept_s: float, now_s: float) -> float:
    """Return the load per second that the demand has filled within the time that storage is paid for; inf where that is not known.

    Where that is no longer than one burst is looked back upon, nothing is kept for the next.
    """
    remembered_s, rental, since_s = need.bursts.since_s, worker.rental, now_s - kept_s
    if kept_s <= BURST_S:
        return 0.0
    if remembered_s is None or (rental.created_at_s < remembered_s and rental.state_since_s > since_s):
        return math.inf
    return need.standby_margin * filled_since(need.bursts, since_s)


def _worst_first(fleet: Fleet, workers: Iterable[Worker]) -> list[Worker]:
    return sorted(workers, key=lambda worker: (fleet.rank(worker), worker.worker_id))


def _expendable(fleet: Fleet) -> list[Worker]:
    return [worker for state in (_S.STOPPED, _S.BOOTING, _S.READY) for worker in _worst_first(fleet, fleet.available(state))]


def drains_max(fleet: Fleet, need: Need) -> int:
    """Return how many serving workers one decision may drain."""
    serving = len(fleet.serving())
    return serving if need.idle else max(1, serving // _DRAINS_PER_TICK_DIVISOR)


def is_leaving(worker: Worker) -> bool:
    """Tell whether the worker is on its way to be destroyed."""
    state = worker.rental.state
    return state is _S.DESTROYING or (state is _S.DRAINING and worker.rental.drain_to is _S.DESTROYING)


def dismiss(worker: Worker, reason: str) -> Action:
    """Return what gives the worker back: one that serves is drained first."""
    if worker.rental.state is _S.READY:
        return Drain(worker_id=worker.worker_id, to=_S.DESTROYING, reason=reason)
    assert worker.rental.instance_id is not None, f"{worker.worker_id} is {worker.rental.state} without an instance"
    return Destroy(worker_id=worker.worker_id, instance_id=worker.rental.instance_id, reason=reason)
