"""The shipping decision core, unchanged, over the backtest's machines.

Every look builds the snapshot that a tick of the scale function would have built (records, list, offers) and carries out the plan
as the scale function does. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from bench.backtest.world import State, Unit, World
from functions.core.labels import instance_label
from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, Autogroup, Condition, EndpointGroup, Instance, Offer, Rental, WaitingRequest, Worker
from functions.core.plan import (
    Action,
    Cadence,
    ConfirmGone,
    Destroy,
    DestroyStray,
    Drain,
    Forget,
    Rent,
    Start,
    Stop,
    Undrain,
    intend,
    move,
    rental_of,
)
from functions.core.scaler_state import LearnedPerf, ScalerState
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from protocol.report import Phase

EPOCH_S: Final = 1_900_000_000.0  # the core takes a time of 0 for "never"
IDLE_S: Final = 60.0
OFFERS: Final = 16
AUTOGROUP: Final = Autogroup(name="a", search_params="", image="engine")
_RUNNING: Final = frozenset({State.BOOTING, State.READY, State.DRAINING})


@dataclass(slots=True)
class Headgate:
    """Our policy. `tick_s` is the scale function's interval while a group is busy."""

    group: EndpointGroup
    tick_s: float = 10.0
    name: str = "headgate"
    state: ScalerState = field(default_factory=ScalerState)
    _workers: dict[str, Worker] = field(default_factory=dict)
    _units: dict[str, Unit] = field(default_factory=dict)
    _offered: int = 0

    def look(self, world: World) -> float:
        """Tick once."""
        now_s = EPOCH_S + world.now_s
        for unit in world.units[len(self._units) :] if world.now_s == 0 else ():
            self._begin_with(unit, world, now_s=now_s)
        self._report(now_s=now_s)
        plan = decide(self._snapshot(world, now_s=now_s), now_s=now_s)
        self.state = plan.state
        for action in plan.actions:
            self._carry_out(action, world, now_s=now_s)
        return self.tick_s if plan.cadence is Cadence.BUSY else IDLE_S

    def _begin_with(self, unit: Unit, world: World, *, now_s: float) -> None:
        """Record a machine that served before the trace began."""
        offer, worker_id = self._offers(world)[0], f"w0-{unit.number:026d}"
        rent = Rent(worker_id=worker_id, autogroup=AUTOGROUP.name, offer=offer, reason="it served before")
        self._offered = offer.offer_id
        rental = replace(rental_of(rent, now_s=now_s - 1), instance_id=unit.number + 1, state=WorkerState.READY)
        self._workers[worker_id] = Worker(worker_id=worker_id, endpoint=self.group.endpoint, rental=rental)
        self._units[worker_id] = unit

    def _snapshot(self, world: World, *, now_s: float) -> Snapshot:
        return Snapshot(
            group=self.group,
            autogroups=(AUTOGROUP,),
            workers=tuple(self._workers.values()),
            waiting=self._waiting(world, now_s=now_s),
            state=self.state,
            listing=tuple(self._instance(worker_id, unit) for worker_id, unit in self._units.items()),
            offers={AUTOGROUP.name: self._offers(world)},
        )

    def _waiting(self, world: World, *, now_s: float) -> tuple[WaitingRequest, ...]:
        return tuple(
            WaitingRequest(request_idx=number + 1, cost=arrival.load, arrived_at_s=EPOCH_S + arrival.at_s, polled_at_s=now_s)
            for number in world.waiting
            for arrival in (world.arrival(number),)
        )

    def _offers(self, world: World) -> tuple[Offer, ...]:
        kind = world.rules.machine
        return tuple(
            Offer(
                offer_id=number,
                machine_id=number,
                host_id=number,
                gpu_name=kind.gpu_name,
                num_gpus=1,
                running_micro_usd_per_hour=kind.running_micro_usd_per_hour,
                stopped_micro_usd_per_hour=kind.stopped_micro_usd_per_hour,
                dlperf=kind.dlperf,
                reliability=1.0,
            )
            for number in range(self._offered + 1, self._offered + 1 + OFFERS)
        )

    def _instance(self, worker_id: str, unit: Unit) -> Instance:
        running = unit.state in _RUNNING
        return Instance(
            instance_id=unit.number + 1,
            label=instance_label("backtest", self.group.endpoint, worker_id),
            status="running" if running else "exited",
            running=running,
            wants_running=running,
            machine_id=self._workers[worker_id].rental.machine_id,
            running_micro_usd_per_hour=unit.kind.running_micro_usd_per_hour,
            stopped_micro_usd_per_hour=unit.kind.stopped_micro_usd_per_hour,
        )

    def _report(self, *, now_s: float) -> None:
        for worker_id, unit in self._units.items():
            self._workers[worker_id] = self._reported(self._workers[worker_id], unit, now_s=now_s)

    def _reported(self, worker: Worker, unit: Unit, *, now_s: float) -> Worker:
        if unit.state not in _RUNNING:
            return worker
        station = unit.station
        ready = unit.state is not State.BOOTING
        said = Condition(
            phase=Phase.READY if ready else Phase.LOADING,
            run_id=str(unit.boot_began_s),
            seq=1,
            reported_at_s=now_s,
            url="http://worker" if ready else "",
            perf=unit.kind.perf if ready else worker.condition.perf,
            slots=unit.kind.slots,
            received_load=station.received_load,
            finished_load=station.finished_load,
            in_flight=station.in_flight,
        )
        expires_at_s = now_s if station.received_load > worker.assignments.assigned_load else worker.assignments.ticket_expires_at_s
        given = Assignments(assigned_load=station.received_load, reqnum=station.received, ticket_expires_at_s=expires_at_s)
        return replace(worker, condition=said, assignments=given)

    def _carry_out(self, action: Action, world: World, *, now_s: float) -> None:
        match action:
            case Rent():
                self._rent(action, world, now_s=now_s)
            case DestroyStray():
                raise AssertionError("the backtest loses no instance")
            case ConfirmGone():
                self._gone(action.worker_id, now_s=now_s)
            case Forget():
                del self._workers[action.worker_id]
            case _:
                worker = self._workers[action.worker_id]
                self._workers[action.worker_id] = replace(worker, rental=intend(action, worker.rental, now_s=now_s))
                if action.worker_id in self._units:
                    self._effect(action, self._units[action.worker_id], world, now_s=now_s)

    def _effect(self, action: Action, unit: Unit, world: World, *, now_s: float) -> None:
        match action:
            case Drain() if unit.state is State.READY:
                world.drain(unit)
            case Undrain() if unit.state is State.DRAINING:
                world.undrain(unit)
            case Stop():
                world.stop(unit)
            case Start():
                world.start(unit)
            case Destroy():
                world.destroy(unit)
                self._gone(action.worker_id, now_s=now_s)
            case _:
                pass

    def _rent(self, action: Rent, world: World, *, now_s: float) -> None:
        self._offered = max(self._offered, action.offer.offer_id)
        unit = world.rent()
        rental: Rental = replace(rental_of(action, now_s=now_s), instance_id=unit.number + 1)
        booting = move(rental, WorkerState.BOOTING, action.reason, now_s=now_s)
        self._workers[action.worker_id] = Worker(worker_id=action.worker_id, endpoint=self.group.endpoint, rental=booting)
        self._units[action.worker_id] = unit

    def _gone(self, worker_id: str, *, now_s: float) -> None:
        worker = self._workers[worker_id]
        self._units.pop(worker_id, None)
        if worker.rental.state is WorkerState.DESTROYING:
            gone = move(worker.rental, WorkerState.DESTROYED, worker.rental.reason, now_s=now_s)
            self._workers[worker_id] = replace(worker, rental=gone)


def measured(perf: float, *, gpu_name: str, dlperf: float) -> ScalerState:
    """Return the memory of a group whose machines have been measured before: what a running system knows."""
    return ScalerState(learned={f"{AUTOGROUP.name}|{gpu_name}|1": LearnedPerf(perf=perf, samples=3, dlperf=dlperf)})
