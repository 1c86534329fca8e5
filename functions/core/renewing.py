"""Replace outdated workers by those of the edition that is due, while what serves carries the need at every moment.

One autogroup after the other, each step on the fleet as the steps before will leave it:

1. *Leave*: what is outdated goes as soon as the rest can do without it. What boots goes first; what serves is drained, and only
   if the *serving* rest carries the need; what is stopped goes when another one, that is not outdated, is about to be stopped. A
   worker that is too slow on probation goes at once, since nobody relied on it.
2. *Prove*: while an edition is proven, one worker of it is rented beside the others.
3. *Replace*: as much of the due edition is rented as those of it that run or are stopped lack to do all by themselves, and then
   one for each outdated one that is stopped; but never more at a time than the surge: those that come and the outdated that drain
   count against it.
4. *Make room*: where a ceiling leaves no place, one outdated worker gives its own: a stopped one, or one without which the rest
   carries the need. If there is none, nothing moves, and the sentence says what to change.

Nothing leaves on a guess: not while the need is unknown, nor before it has been watched for a while, nor while nobody is heard.

It ends: each worker of the due edition that becomes ready either makes an outdated one dispensable or brings the due ones nearer to
doing all by themselves, and once they do, everything outdated that runs may leave, and each one more lets a stopped one go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from functions.core.capacity import is_coming
from functions.core.fleet import Fleet
from functions.core.growing import Growth, Market
from functions.core.lifecycle import COMING, COMING_OR_SERVING, HELD, WorkerState
from functions.core.model import EndpointGroup, Offer, Worker
from functions.core.plan import Action, Drain, Rent
from functions.core.pricing import Headroom, dollars
from functions.core.releasing import Balance, balance, dismiss, drains_max, is_leaving
from functions.core.rollout import Renting, Stage, can_fall_back, due, is_of, is_tried, stage
from functions.core.scaler_state import Edition, Rollout
from functions.core.shortage import Shortage
from functions.core.sizing import Need
from functions.core.snapshot import Snapshot

_NOTHING: Final = Growth(actions=(), sentences=(), wanted=frozenset())
_S = WorkerState


def surge(group: EndpointGroup, running: int) -> int:
    """Return how many workers more than needed an update may have at a time: `update_surge` of those that run, at least one."""
    share, percent, _ = group.update_surge.partition("%")
    return max(1, ceil(running * int(share) / 100) if percent else int(share))


# Leave


def leave(fleet: Fleet, need: Need, rollouts: Mapping[str, Rollout]) -> tuple[Action, ...]:
    """Return which outdated workers the rest can do without, and which were found too slow."""
    # Without a configuration at all data is missing, which is no wish.
    if not fleet.configured or not fleet.editions.under_way:
        return ()
    slow = _too_slow(fleet, rollouts)
    hopeless = [one for one in _outdated(fleet, _S.BOOTING) if _is_hopeless(one, rollouts[one.rental.autogroup], now_s=fleet.now_s)]
    gone = tuple(dismiss(one, "it boots as a version that is not wanted") for one in hopeless)
    if not _is_sure(fleet, need):
        return (*slow, *gone)
    booting = (
        [one for one in _outdated(fleet, _S.BOOTING) if one not in hopeless]
        if _carried(fleet.serving(), fleet, need).enough
        else []
    )
    late = tuple(dismiss(one, "it is not ready, and of an older version") for one in booting)
    return (*slow, *gone, *late, *_drained(fleet, need), *_thrown_out(fleet, need))


def _outdated(fleet: Fleet, *states: WorkerState) -> list[Worker]:
    """Return the outdated workers in these states about which nothing has been decided yet, worst value first."""
    workers = (one for one in fleet.available(*states) if one.worker_id in fleet.editions.outdated)
    return sorted(workers, key=lambda one: (fleet.value(one), one.worker_id))


def _too_slow(fleet: Fleet, rollouts: Mapping[str, Rollout]) -> tuple[Action, ...]:
    failed = {worker_id for rollout in rollouts.values() for worker_id in rollout.failed_workers}
    slow = (one for one in fleet.available(_S.READY) if one.worker_id in failed & fleet.editions.on_probation)
    return tuple(dismiss(one, "it is too slow to prove its version") for one in slow)


def _is_hopeless(worker: Worker, rollout: Rollout, *, now_s: float) -> bool:
    """Tell whether what boots is of an edition that was never proven, and is not wanted any more."""
    match stage(rollout, now_s=now_s):
        case Stage.FAILED:
            return is_of(rollout.wanted, worker.rental, rollout)
        case Stage.PROVING:
            return True
        case _:
            return rollout.good is None


def _is_sure(fleet: Fleet, need: Need) -> bool:
    """Tell whether it is known what is needed and what serves, well enough to give up something that works."""
    return need.known and (need.settled or need.idle) and not fleet.blind


def _carried(workers: tuple[Worker, ...], fleet: Fleet, need: Need) -> Balance:
    """Return what some workers carry together, against what is needed to run."""
    return balance(fleet, workers, load_min=need.running_load, workers_min=_workers_min(need))


def _workers_min(need: Need) -> int:
    return max(need.running_workers, need.kept_workers)


def _drained(fleet: Fleet, need: Need) -> tuple[Action, ...]:
    """Return the drains of outdated workers without which the serving rest carries the need."""
    rest = _carried(fleet.serving(), fleet, need)
    serving = {one.worker_id for one in fleet.serving()}
    held = balance(fleet, (*fleet.serving(), *fleet.cold()), load_min=need.held_load, workers_min=need.held_workers)
    most = drains_max(fleet, need)
    actions: list[Action] = []
    for worker in _outdated(fleet, _S.READY):
        perf = fleet.perf(worker)
        if len(actions) < most and worker.worker_id in serving and rest.spares(perf):
            dispensable = held.spares(perf)
            to = _S.DESTROYING if dispensable else _S.STOPPING
            rest, held = rest.less(perf), held.less(perf) if dispensable else held
            actions.append(Drain(worker_id=worker.worker_id, to=to, reason="of an older version, and the others carry the load"))
    return tuple(actions)


def _thrown_out(fleet: Fleet, need: Need) -> tuple[Action, ...]:
    """Return the outdated stopped workers for each of which there is another that is about to be stopped."""
    stopped = _outdated(fleet, _S.STOPPED)
    leaving = stopped[: _spare(fleet, need)] if stopped else ()
    return tuple(dismiss(one, "of an older version, and a newer one is stopped in its place") for one in leaving)


def _spare(fleet: Fleet, need: Need) -> int:
    """Return without how many of those that are not outdated the others of them would carry the need."""
    lasting = fleet.lasting(fleet.serving())
    rest, spare = _carried(lasting, fleet, need), 0
    for perf in map(fleet.perf, sorted(lasting, key=fleet.value)):
        if not rest.spares(perf):
            break
        rest, spare = rest.less(perf), spare + 1
    return spare


# Prove, replace, make room


def renew(snapshot: Snapshot, fleet: Fleet, need: Need, room: Headroom, rented_as: Mapping[str, Renting], *, name: str) -> Growth:
    """Return what brings the update of one autogroup on; nothing where there is none under way."""
    work = _Work(snapshot=snapshot, fleet=fleet, need=need, room=room, rented_as=rented_as, name=name)
    match work.stage:
        case Stage.SETTLING:
            return replace(_NOTHING, sentences=work.settling())
        case Stage.PROVING:
            return work.proof()
        case Stage.CURRENT:
            return work.replacing("of version {0}, to replace one of an older version")
        case Stage.FAILED if not can_fall_back(work.rollout):
            return replace(_NOTHING, sentences=(work.failed(),))
        case Stage.FAILED:
            going_back = work.replacing("of version {0}, to replace one of the version that failed")
            return replace(going_back, sentences=(work.failed(), *going_back.sentences))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The update of one autogroup, in one decision."""

    snapshot: Snapshot
    fleet: Fleet
    need: Need
    room: Headroom
    rented_as: Mapping[str, Renting]
    name: str

    @property
    def rollout(self) -> Rollout:
        """How far it is."""
        return self.snapshot.state.rollouts[self.name]

    @property
    def stage(self) -> Stage:
        """Where the wanted edition stands."""
        return stage(self.rollout, now_s=self.fleet.now_s)

    @property
    def mine(self) -> list[Worker]:
        """The autogroup's held workers."""
        return [one for one in self.fleet.workers if one.rental.autogroup == self.name and one.rental.state in HELD]

    @property
    def edition(self) -> Edition:
        """The edition that the update goes to."""
        return self.rollout.wanted if self.stage is Stage.PROVING else due(self.rollout, now_s=self.fleet.now_s)

    def left(self) -> list[Worker]:
        """Return the workers that are still to be replaced: those of another edition, and who speak against one that is proven."""
        edition, rollout = self.edition, self.rollout
        failed = rollout.failed_workers if self.stage is Stage.PROVING else ()
        old = (one for one in self.mine if one.worker_id in failed or not is_of(edition, one.rental, rollout))
        return [one for one in old if not is_leaving(one)]

    def settling(self) -> tuple[str, ...]:
        if not self.left():
            return ()
        return (f"Update of autogroup {self.name}: its secrets have changed, and every scaler has to know them first.",)

    def failed(self) -> str:
        version, good = self.rollout.wanted.version, due(self.rollout, now_s=self.fleet.now_s).version
        again = "asked for again" if version == good else "changed, or changed back"
        kept = "workers are as before" if version == good else f"version {good} is kept"
        return (
            f"Update of autogroup {self.name} to version {version} failed: {self.rollout.failure}. The {kept} until it is {again}."
        )

    def proof(self) -> Growth:
        """Rent the one worker that is to prove the wanted edition, unless there is one or there is nothing to replace."""
        if is_tried(self.name, self.rollout, self.fleet.workers):
            return replace(_NOTHING, sentences=(self._told("one worker is to prove it first."),))
        if not self.left():
            return _NOTHING
        if self.rented_as[self.name].version != self.edition.version:
            return replace(_NOTHING, sentences=(self._told("nothing that is known to work runs: the version before comes first."),))
        return self._rent(Shortage(running_load=0.0, running_workers=0, held_load=0.0, held_workers=1), 1, "to prove version {0}")

    def replacing(self, purpose: str) -> Growth:
        """Rent what the due edition lacks to do without the others, within the surge."""
        left = self.left()
        if not left:
            return _NOTHING
        missing, places = self._lacking(), self._surge_left()
        if not missing.any or places < 1:
            return replace(_NOTHING, sentences=(self._told("older workers leave as newer ones carry the load."),))
        return self._rent(missing, places, purpose)

    def _lacking(self) -> Shortage:
        """Return what all that is not outdated lacks to carry the need, and to replace what is stopped one by one."""
        running = self.fleet.lasting(self.fleet.running())
        running_load = self.need.running_load - self.fleet.load(running)
        running_workers = _workers_min(self.need) - len(running)
        if running_load > 0 or running_workers > 0:
            missing = max(0, running_workers)
        else:
            coming = sum(is_coming(one) for one in running)
            stopped = sum(one.rental.state is _S.STOPPED for one in self.left())
            missing = stopped - coming - _spare(self.fleet, self.need)
        # No running workers: only a shortage of the whole fleet makes any machine welcome, and that is for growing to see.
        return Shortage(running_load=running_load, running_workers=0, held_load=0.0, held_workers=missing)

    def _surge_left(self) -> int:
        """Return how many workers more may be added now: those that come and those that drain take their part of the surge."""
        running = [one for one in self.mine if one.rental.state in COMING_OR_SERVING | {_S.DRAINING}]
        coming = [one for one in running if one.rental.state in COMING]
        new = sum(is_of(self.edition, one.rental, self.rollout) for one in coming)
        return surge(self.snapshot.group, len(running)) - new - sum(one.rental.state is _S.DRAINING for one in running)

    def _rent(self, missing: Shortage, most: int, purpose: str) -> Growth:
        renting = self.rented_as[self.name]
        if waits := self._waits(renting):
            return replace(_NOTHING, sentences=(self._told(waits),))
        offers = self.snapshot.offers.get(self.name)
        if not self._has_room(offers):
            return self._make_room()
        wanted = frozenset({self.name})
        market = Market(snapshot=self.snapshot, fleet=self.fleet, wanted=wanted, need=self.need, rented_as=self.rented_as)
        rents, _ = market.pick(missing, {self.name: most}, self.room, most=most)
        told = tuple(_for(rent, purpose) for rent in rents)
        silences = () if rents else tuple(self._told(f"it waits: {reason}.") for reason in market.silences())
        return Growth(actions=told, sentences=silences, wanted=wanted)

    def _waits(self, renting: Renting) -> str:
        """Say why nothing can be rented at all at present, "" if something can."""
        state, now_s = self.snapshot.state, self.fleet.now_s
        halt = state.halted_autogroups.get(self.name)
        if now_s < state.halted_until_s:
            return f"it waits, since renting is halted: {state.halted_reason}."
        if halt is not None and now_s < halt.until_s:
            return f"it waits, since {halt.reason}."
        return f"it waits: {renting.closed}." if renting.closed else ""

    def _has_room(self, offers: tuple[Offer, ...] | None) -> bool:
        if self.room.workers < 1 or self.room.micro_usd_per_hour <= 0:
            return False
        # Offers that are not known yet, or that none are made, are no ceiling's fault.
        return not offers or any(self.room.admits(offer.running_micro_usd_per_hour) for offer in offers)

    def _make_room(self) -> Growth:
        """Let one worker that is to be replaced anyway give its place."""
        told = self._told("it waits for the place of a worker that leaves.")
        if any(is_leaving(one) for one in self.mine):
            return replace(_NOTHING, sentences=(told,))
        given = self._dispensable()
        if given is None:
            return replace(_NOTHING, sentences=(self._stuck(),))
        return replace(_NOTHING, actions=(dismiss(given, "it gives its place to a newer version"),), sentences=(told,))

    def _dispensable(self) -> Worker | None:
        """Return a stopped worker, or one without which those that serve carry the need; None if there is none."""
        left = {one.worker_id for one in self.left()}
        stopped = [one for one in self.fleet.available(_S.STOPPED) if one.worker_id in left]
        if stopped:
            return min(stopped, key=lambda one: (self.fleet.value(one), one.worker_id))
        if not _is_sure(self.fleet, self.need):
            return None
        serving = self.fleet.serving()
        if len(serving) == 1 and self.fleet.tried():
            return None  # all there would be left is on trial
        rest = _carried(serving, self.fleet, self.need)
        ready = {one.worker_id for one in self.fleet.available(_S.READY)} & left
        able = [one for one in serving if one.worker_id in ready and rest.spares(self.fleet.perf(one))]
        return min(able, key=lambda one: (self.fleet.value(one), one.worker_id), default=None)

    def _stuck(self) -> str:
        group = self.snapshot.group
        full = self.room.workers < 1
        ceiling = "max_workers" if full else "max_hourly_cost_usd"
        limit = str(group.max_workers) if full else dollars(group.max_hourly_cost_micro_usd)
        why = f"{ceiling} ({limit}) leaves no place for a worker of the new version, and the others cannot do without one of theirs"
        remedy = "by one" if full else "by the price of one"
        return self._told(f"it waits: {why}. Raise {ceiling} {remedy} until it is done, or wait for less load.")

    def _told(self, sentence: str) -> str:
        return f"Update of autogroup {self.name} to version {self.edition.version}: {sentence}"


def _for(rent: Rent, purpose: str) -> Rent:
    what = rent.reason.partition(",")[0]
    return replace(rent, reason=f"{what}, {purpose.format(rent.version)}")
