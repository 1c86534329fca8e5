"""The shipping decision core, unchanged, over the backtest's machines.

Every look builds the snapshot that a tick of the scale function would have built (records, list, offers) and carries out the plan
as the scale function does. Nothing here decides anything. Workers report as often as real ones do: at every look while they serve
something, else every REPORT_IDLE_S. What has not changed since the look before is not built anew: a week has 100,000 looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from bench.backtest.machines import Machine
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
REPORT_IDLE_S: Final = 10.0
TICK_S: Final = 5.0  # `headgate:tickIntervalS`, as it ships
AUTOGROUP: Final = Autogroup(name="a", search_params="", image="engine")
_PHASES: Final = {State.BOOTING: Phase.LOADING, State.READY: Phase.READY, State.DRAINING: Phase.READY}
_RUNNING: Final = frozenset(_PHASES)


@dataclass(slots=True)
class Headgate:
    """Our policy. `tick_s` is the scale function's interval while a group is busy; idle, it looks with its schedule."""

    group: EndpointGroup
    tick_s: float = TICK_S
    name: str = "headgate"
    state: ScalerState = field(default_factory=ScalerState)
    _workers: dict[str, Worker] = field(default_factory=dict)
    _units: dict[str, Unit] = field(default_factory=dict)
    _rows: dict[str, tuple[tuple[State, bool], Instance]] = field(default_factory=dict)
    _waiting: dict[int, WaitingRequest] = field(default_factory=dict)
    _offered: int = 0
    _offers: tuple[Offer, ...] = ()

    def look(self, world: World) -> float:
        """Tick once."""
        now_s = EPOCH_S + world.now_s
        for unit in world.units[len(self._units) :] if world.now_s == 0 else ():
            self._begin_with(unit, now_s=now_s)
        for worker_id, unit in self._units.items():
            if unit.state in _RUNNING:
                self._report(worker_id, unit, now_s=now_s)
        plan = decide(self._snapshot(world), now_s=now_s)
        self.state = plan.state
        for action in plan.actions:
            self._carry_out(action, world, now_s=now_s)
        return self.tick_s if plan.cadence is Cadence.BUSY else IDLE_S

    def _begin_with(self, unit: Unit, *, now_s: float) -> None:
        """Record a machine that served before the trace began."""
        offer, worker_id = self._on_offer(unit.kind)[0], f"w0-{unit.number:026d}"
        rent = Rent(worker_id=worker_id, autogroup=AUTOGROUP.name, offer=offer, reason="it served before")
        self._offered = offer.offer_id
        rental = replace(rental_of(rent, now_s=now_s - 1), instance_id=unit.number + 1, state=WorkerState.READY)
        self._workers[worker_id] = Worker(worker_id=worker_id, endpoint=self.group.endpoint, rental=rental)
        self._units[worker_id] = unit

    def _snapshot(self, world: World) -> Snapshot:
        return Snapshot(
            group=self.group,
            autogroups=(AUTOGROUP,),
            workers=tuple(self._workers.values()),
            waiting=self._told(world),
            state=self.state,
            listing=tuple(self._instance(worker_id, unit) for worker_id, unit in self._units.items()),
            offers={AUTOGROUP.name: self._on_offer(world.rules.machine)},
        )

    def _told(self, world: World) -> tuple[WaitingRequest, ...]:
        """Return the records of those who wait. They never stop asking, until the world drops them."""
        if not world.waiting:
            self._waiting.clear()
            return ()
        for number in world.waiting:
            if number not in self._waiting:
                arrival = world.arrival(number)
                self._waiting[number] = WaitingRequest(
                    request_idx=number + 1, cost=arrival.load, arrived_at_s=EPOCH_S + arrival.at_s, polled_at_s=math.inf
                )
        return tuple(map(self._waiting.__getitem__, world.waiting))

    def _on_offer(self, kind: Machine) -> tuple[Offer, ...]:
        if not self._offers or self._offers[0].offer_id <= self._offered:
            numbers = range(self._offered + 1, self._offered + 1 + OFFERS)
            self._offers = tuple(_offer(number, kind) for number in numbers)
        return self._offers

    def _instance(self, worker_id: str, unit: Unit) -> Instance:
        key = (unit.state, unit.taken)
        seen = self._rows.get(worker_id)
        if seen is None or seen[0] != key:
            seen = self._rows[worker_id] = (key, self._row(worker_id, unit))
        return seen[1]

    def _row(self, worker_id: str, unit: Unit) -> Instance:
        running = unit.state in _RUNNING
        return Instance(
            instance_id=unit.number + 1,
            label=instance_label("backtest", self.group.endpoint, worker_id),
            status="running" if running else "exited",
            running=running,
            wants_running=running or unit.taken,  # a start that is refused stays "scheduling"
            machine_id=self._workers[worker_id].rental.machine_id,
            running_micro_usd_per_hour=unit.kind.running_micro_usd_per_hour,
            stopped_micro_usd_per_hour=unit.kind.stopped_micro_usd_per_hour,
        )

    def _report(self, worker_id: str, unit: Unit, *, now_s: float) -> None:
        worker, station = self._workers[worker_id], unit.station
        given, said, phase = worker.assignments, worker.condition, _PHASES[unit.state]
        idle = not station.in_flight and said.finished_load == station.finished_load and said.phase is phase
        if idle and now_s - said.reported_at_s < REPORT_IDLE_S and said.reported_at_s > worker.rental.boot_started_at_s:
            return
        if station.received_load > given.assigned_load:
            given = Assignments(assigned_load=station.received_load, reqnum=station.received, ticket_expires_at_s=now_s)
        self._workers[worker_id] = Worker(
            worker_id=worker_id,
            endpoint=worker.endpoint,
            rental=worker.rental,
            condition=_condition(unit, phase, perf=said.perf, now_s=now_s),
            assignments=given,
        )

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
                self._rows.pop(action.worker_id, None)
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


def _offer(number: int, kind: Machine) -> Offer:
    return Offer(
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


def _condition(unit: Unit, phase: Phase, *, perf: float, now_s: float) -> Condition:
    """Return what a worker reports. A machine in its first boot has measured nothing yet."""
    station, serves = unit.station, phase is not Phase.LOADING
    return Condition(
        phase=phase,
        run_id=str(unit.boot_began_s),
        seq=1,
        reported_at_s=now_s,
        url="http://worker" if serves else "",
        perf=unit.kind.perf if serves else perf,
        slots=unit.kind.slots,
        received_load=station.received_load,
        finished_load=station.finished_load,
        in_flight=station.in_flight,
    )


def measured(perf: float, *, gpu_name: str, dlperf: float) -> ScalerState:
    """Return the memory of a group whose machines have been measured before: what a running system knows."""
    return ScalerState(learned={f"{AUTOGROUP.name}|{gpu_name}|1": LearnedPerf(perf=perf, samples=3, dlperf=dlperf)})
