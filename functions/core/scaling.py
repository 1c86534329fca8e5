"""The scaling decision: `decide(snapshot, now_s)` looks at one group and says what to do, why, and what to remember.

In this order, each step on the fleet as the steps before will leave it:

1. *Repair*: every worker's own situation (`reconcile`), and instances that nobody accounts for (`listing.strays`).
2. *Mend* broken ceilings, *retire* what is no longer configured, let outdated workers *leave* that others have replaced.
3. *Grow* when the fleet cannot carry the need, within the ceilings.
4. *Renew*: prove a changed autogroup, and replace its workers, in what the ceilings leave (`rollout`, `renewing`).
5. *End* the drains that are over; a worker that was needed again has been taken back by then.
6. *Release* what has been too much for long enough.

Invariants, whatever the snapshot holds (tests/core/test_scaling_properties.py):

* what is held and intended stays within `max_workers` and `max_hourly_cost_usd`, or does not grow;
* without a listing nothing is concluded from an absence; without a known demand nothing is released;
* every state change is legal, and a worker sees one action at most; none is stopped or destroyed that may serve a request,
  unless it failed or its deadline passed;
* the same snapshot and time give the same plan, also after a round trip through a decision record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from functions.core.attention import attention
from functions.core.bidding import coming_back, due_to_return, told_of_holds
from functions.core.capacity import Outlook, outlook
from functions.core.demand import Demand, observe
from functions.core.fleet import Fleet
from functions.core.growing import Growth, grow
from functions.core.labels import held_shards
from functions.core.lead_time import boot_time
from functions.core.lifecycle import HELD, WorkerState
from functions.core.listing import Listing, index, strays
from functions.core.memory import remember
from functions.core.model import Autogroup, EndpointState, Instance, Worker
from functions.core.plan import (
    Action,
    Adopt,
    Cadence,
    ConfirmGone,
    ConfirmStarted,
    ConfirmStopped,
    Destroy,
    DestroyStray,
    Drain,
    Forget,
    GiveUp,
    MarkReady,
    Plan,
    Rent,
    Reprice,
    Start,
    Stop,
    Undrain,
    advance,
)
from functions.core.pricing import Headroom, headroom
from functions.core.reconcile import end_of_drain, next_step, view
from functions.core.releasing import excess, halt, mend, release, retire
from functions.core.renewing import leave, renew
from functions.core.replacing import Sight, leaving, with_findings
from functions.core.rollout import Renting, Stage, editions, renting, stage
from functions.core.scaler_state import ScalerState
from functions.core.schedules import InForce, in_force
from functions.core.shortage import shortage
from functions.core.sizing import IDLE_S_MIN, Need, size, why
from functions.core.snapshot import Snapshot
from functions.core.watching import watch

SENTENCES_MAX: Final = 40
SCHEDULE_INTERVAL_S: Final = 60.0
DUE_GRACE_S: Final = 10.0
_S = WorkerState
_COUNTS: Final = {state: f"workers_{state.value}" for state in WorkerState}
_UNDER_WAY: Final = HELD - {_S.READY, _S.STOPPED}
# What a suspended group still does: it records what has happened and asks for nothing.
_BOOKKEEPING: Final = (Adopt, ConfirmStarted, ConfirmStopped, MarkReady, Reprice, ConfirmGone, GiveUp, Forget, DestroyStray)


def decide(snapshot: Snapshot, *, now_s: float) -> Plan:
    """Return what to do about this group now."""
    now = in_force(snapshot.group, now_s=now_s)
    if now.group is not snapshot.group:
        snapshot = replace(snapshot, group=now.group)
    listing = None if snapshot.listing is None else index(snapshot.listing)
    demand = observe(snapshot, now_s=now_s)
    astray = () if listing is None else strays(listing, snapshot.workers, now_s=now_s)
    service = watch(snapshot.state, snapshot.workers, snapshot.waiting, now_s=now_s)
    repairs = _repairs(snapshot, listing, astray, service.drains, now_s=now_s)
    state = remember(service.state, snapshot, demand, repairs, listing=listing, now_s=now_s)
    room = headroom(snapshot.group, snapshot.workers, astray)
    sight = Sight(
        group=snapshot.group,
        autogroups={autogroup.name: autogroup for autogroup in snapshot.autogroups},
        workers=snapshot.workers,
        listing=listing,
        room=room,
        now_s=now_s,
    )
    expected = outlook(state)
    state = with_findings(state, expected, sight)
    state, returning = coming_back(state, snapshot.offers, snapshot.autogroups, snapshot.workers, now_s=now_s)
    fleet = _fleet(snapshot, state, expected, leaving=leaving(state, sight, returning=returning), now_s=now_s)
    desk = _Desk(snapshot=snapshot, in_force=now, demand=demand, now_s=now_s, state=state, astray=astray, fleet=fleet, room=room)
    desk = desk.doing(repairs)
    desk = desk.saying(*_newly_avoided(desk))
    match snapshot.group.endpoint_state:
        case EndpointState.ACTIVE:
            desk = _scale(desk)
        case EndpointState.STOPPED:
            desk = desk.doing(halt(desk.fleet)).saying("The endpoint is stopped by its owner.")
            desk = desk.doing(_ends_of_drains(desk))
        case EndpointState.SUSPENDED:
            desk = desk.saying("The endpoint is suspended by its owner: its fleet stays as it is.")
    return desk.plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """A decision in the making: the actions so far, and the fleet as these will leave it."""

    snapshot: Snapshot  # its group as it is now
    in_force: InForce
    demand: Demand
    now_s: float
    state: ScalerState
    astray: tuple[Instance, ...]
    fleet: Fleet
    room: Headroom  # what the ceilings leave now
    actions: tuple[Action, ...] = ()
    sentences: tuple[str, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    specs: Mapping[str, Autogroup] = field(default_factory=dict)

    def doing(self, actions: Iterable[Action]) -> _Desk:
        """Return the decision with these actions added."""
        added = tuple(actions)
        if not added:
            return self
        done = (*self.actions, *added)
        workers = advance(self.workers, added, endpoint=self.snapshot.group.endpoint, now_s=self.now_s)
        fleet = replace(
            self.fleet,
            workers=workers,
            acted=frozenset(action.worker_id for action in done if not isinstance(action, DestroyStray)),
            editions=editions(workers, self.state.rollouts, now_s=self.now_s),
        )
        return replace(self, actions=done, fleet=fleet, room=headroom(self.snapshot.group, workers, self.astray))

    def saying(self, *sentences: str) -> _Desk:
        """Return the decision with these sentences added."""
        if not sentences:
            return self
        return replace(self, sentences=(*self.sentences, *sentences))

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers as decided so far."""
        return self.fleet.workers

    def _remembered(self, sentences: tuple[str, ...]) -> ScalerState:
        """Return the state with what the next decision compares with: most say the same as the last."""
        shards, state = held_shards(self.workers), self.state
        unready_since_s = self.fleet.unready_since_s
        if (unready_since_s, sentences, shards) == (state.unready_since_s, state.said, state.shards):
            return state
        return replace(state, unready_since_s=unready_since_s, said=sentences, shards=shards)

    def plan(self) -> Plan:
        """Return the finished decision."""
        fleet = self.fleet
        note = attention(self.state, self.workers, credit_hours_min=self.snapshot.credit_hours_min, now_s=self.now_s)
        told = (*(_tell(action) for action in self.actions), *self.sentences, *self.in_force.sentences, *note.sentences)
        sentences = told if len(told) <= SENTENCES_MAX else (*told[:SENTENCES_MAX], f"And {len(told) - SENTENCES_MAX} more.")
        return Plan(
            actions=self.actions,
            sentences=sentences,
            facts={**_facts(self, fleet), **self.in_force.facts, **note.facts, **self.facts},
            state=self._remembered(sentences),
            cadence=_cadence(self),
            wanted=self.wanted,
            specs=self.specs,
        )


def _fleet(snapshot: Snapshot, state: ScalerState, expected: Outlook, *, leaving: Mapping[str, str], now_s: float) -> Fleet:
    """Return the fleet before anything is done about it."""
    workers, autogroups = snapshot.workers, snapshot.autogroups
    return Fleet(
        workers=workers,
        outlook=expected,
        configured=frozenset(one.name for one in autogroups),
        unready_before_s=snapshot.state.unready_since_s,
        now_s=now_s,
        editions=editions(workers, state.rollouts, now_s=now_s),
        leaving=leaving,
        traffic_gb_per_hour={one.name: one.traffic_gb_per_hour for one in autogroups},
    )


def _newly_avoided(desk: _Desk) -> Iterator[str]:
    before = desk.snapshot.state.avoided
    for machine in desk.state.avoided:
        if machine not in before:
            minutes = (machine.until_s - desk.now_s) / 60
            yield f"Machine {machine.machine_id} is avoided for {minutes:.0f} minutes: {machine.reason}."


def _repairs(
    snapshot: Snapshot, listing: Listing | None, astray: tuple[Instance, ...], out_of_service: Iterable[Drain], *, now_s: float
) -> tuple[Action, ...]:
    sight = view(snapshot, listing, now_s=now_s)
    steps = (next_step(worker, sight) for worker in snapshot.workers)
    found = {step.worker_id: step for step in steps if step is not None}
    actions: list[Action] = [*found.values(), *(drain for drain in out_of_service if drain.worker_id not in found)]
    actions += (
        DestroyStray(instance_id=instance.instance_id, reason=f"no worker of ours is {instance.label}") for instance in astray
    )
    if snapshot.group.endpoint_state is EndpointState.SUSPENDED:
        return tuple(action for action in actions if isinstance(action, _BOOKKEEPING))
    return tuple(actions)


def _scale(desk: _Desk) -> _Desk:
    need = size(
        desk.snapshot.group,
        desk.demand,
        boot=boot_time(desk.state),
        now_s=desk.now_s,
    )
    desk = desk.doing(retire(desk.fleet, need))
    desk = desk.doing(leave(desk.fleet, need, desk.state.rollouts))
    room = desk.room
    if room.exceeded:
        desk = desk.doing(mend(desk.fleet, room)).saying(excess(desk.snapshot.group, room))
    # What was just learned (a machine to avoid, a breaker that tripped) already counts.
    snapshot, rented_as = replace(desk.snapshot, state=desk.state), _rented_as(desk, need)
    growth = grow(snapshot, desk.fleet, need, room, rented_as)
    desk = _note_need(desk, need, growth).doing(growth.actions)
    for name in sorted(rented_as) if not room.exceeded else ():
        renewal = renew(snapshot, desk.fleet, need, desk.room, rented_as, name=name)
        desk = desk.doing(renewal.actions).saying(*renewal.sentences)
        desk = replace(desk, wanted=desk.wanted | renewal.wanted) if renewal.wanted else desk
    specs = {name: renting.spec for name, renting in rented_as.items() if renting.spec is not None}
    desk = replace(desk, specs=specs) if specs else desk
    desk = desk.doing(_ends_of_drains(desk))
    desk = desk.doing(release(desk.fleet, need))
    return desk if desk.actions or desk.sentences else desk.saying(_verdict(desk, need))


def _rented_as(desk: _Desk, need: Need) -> Mapping[str, Renting]:
    tried = bool(desk.fleet.tried())
    starved, rollouts = need.running_workers > 0 and not desk.fleet.running(), desk.state.rollouts
    return {
        one.name: renting(one, rollouts[one.name], desk.workers, starved=starved, others_tried=tried, now_s=desk.now_s)
        for one in desk.snapshot.autogroups
    }


def _ends_of_drains(desk: _Desk) -> Iterable[Action]:
    draining = desk.fleet.available(_S.DRAINING)
    return [step for worker in draining if (step := end_of_drain(worker, now_s=desk.now_s)) is not None]


def _verdict(desk: _Desk, need: Need) -> str:
    """Say why nothing is done, without a figure: the same situation is told, and recorded, once."""
    fleet = desk.fleet
    if not need.known:
        return "The arriving load is not known yet: nothing is released."
    if shortage(fleet, need).any:
        return "What is missing is on its way, or is measured first."
    if fleet.running() and desk.demand.peak_load_per_s > (desk.demand.load_per_s or 0.0):
        return "More runs than is asked at this moment: it was needed a short while ago."
    return "The fleet carries what is asked." if fleet.running() else "Nothing is asked and nothing runs."


def _note_need(desk: _Desk, need: Need, growth: Growth) -> _Desk:
    fleet = desk.fleet
    facts = {
        "needed_load_per_s": need.running_load,
        "surge_requests": need.surge.requests,
        "held_load_per_s_target": need.held_load,
        "running_load_per_s": fleet.load(fleet.running()),
        "serving_load_per_s": fleet.load(fleet.serving()),
        **growth.facts,
    }
    blind = ("No worker is heard: what they carry is taken as unchanged.",) if fleet.blind else ()
    stay = (one for one in fleet.available(_S.READY) if one.worker_id in fleet.leaving) if fleet.leaving else ()
    told = (f"{one.worker_id} serves until it is replaced: {fleet.leaving[one.worker_id]}." for one in stay)
    reckoned = (why(desk.snapshot.group, desk.demand, need),) if growth.actions else ()
    holding = told_of_holds(desk.snapshot.autogroups, desk.state, now_s=desk.now_s)
    due = due_to_return(desk.snapshot.autogroups, desk.state, desk.workers, now_s=desk.now_s)
    sentences = (*desk.sentences, *blind, *told, *holding, *reckoned, *growth.sentences)
    return replace(desk, facts=facts, wanted=growth.wanted | due, sentences=sentences)


def _facts(desk: _Desk, fleet: Fleet) -> Mapping[str, float]:
    demand = desk.demand
    counts = Counter(worker.rental.state for worker in fleet.workers)
    facts = {name: float(counts[state]) for state, name in _COUNTS.items()}
    facts["held_micro_usd_per_hour"] = float(desk.snapshot.group.max_hourly_cost_micro_usd - desk.room.micro_usd_per_hour)
    rollouts = desk.state.rollouts.values()
    facts["workers_outdated"] = float(len(fleet.editions.outdated))
    facts["update_failed"] = float(sum(stage(one, now_s=desk.now_s) is Stage.FAILED for one in rollouts))
    facts["avoided_machines"] = float(sum(desk.now_s < machine.until_s for machine in desk.state.avoided))
    facts |= {"waiting": float(demand.waiting), "waiting_load": demand.waiting_load, "oldest_wait_s": demand.oldest_wait_s}
    # A figure that is unknown is left out: no reader can take it for zero.
    facts |= {"open_requests": float(demand.ahead.open_requests), "open_requests_expected": demand.ahead.open_ahead}
    facts["forecast_s"] = demand.ahead.lead_s
    return facts if demand.load_per_s is None else {**facts, "arriving_load_per_s": demand.load_per_s}


def _cadence(desk: _Desk) -> Cadence:
    under_way = any(worker.rental.state in _UNDER_WAY for worker in desk.workers)
    busy = bool(desk.actions) or under_way or desk.demand.asked_now or _due_soon(desk)
    return Cadence.BUSY if busy else Cadence.IDLE


def _due_soon(desk: _Desk) -> bool:
    """Tell whether something falls due before the next schedule event: a minute of an idle GPU costs more than of ticks."""
    group, demand = desk.snapshot.group, desk.demand
    if not any(worker.rental.state is _S.READY for worker in desk.workers):
        return False
    # The highest peak leaves the window when the interval after it has.
    falls = (
        after.from_s
        for before, after in pairwise(demand.peaks)
        if before.load_per_s > after.load_per_s or before.open_requests > after.open_requests
    )
    due_s = [fall_s + group.scale_down_window for fall_s in falls]
    if group.inactivity_timeout >= 0:
        due_s.append(demand.last_asked_at_s + max(group.inactivity_timeout, IDLE_S_MIN))
    # A little grace, so that the tick that finds it due is not the one that is missing.
    return any(-DUE_GRACE_S <= due - desk.now_s <= SCHEDULE_INTERVAL_S for due in due_s)


def _tell(action: Action) -> str:
    match action:
        case Rent():
            return f"Rent {action.reason}."
        case DestroyStray():
            return f"Destroy instance {action.instance_id}: {action.reason}."
        case _:
            return f"{WORDS[type(action)].format(action.worker_id)}: {action.reason}."


WORDS: Final[Mapping[type, str]] = {
    Adopt: "Adopt {}",
    MarkReady: "{} is in service",
    Drain: "Drain {}",
    Undrain: "Take {} back",
    Reprice: "Reckon with a higher price of {}",
    Stop: "Stop {}",
    ConfirmStopped: "{} is cold",
    Start: "Start {}",
    ConfirmStarted: "{} runs again",
    Destroy: "Destroy {}",
    ConfirmGone: "Ask whether {} is gone",
    GiveUp: "Give up {}",
    Forget: "Forget {}",
}
