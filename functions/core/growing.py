"""What to add when the fleet is too small: undrain, then start what is stopped, then rent.

Order by speed and price: a draining worker is back at once, a stopped one in seconds, a rented one in minutes. Which offer is
rented is the business of `choosing`.

An autogroup that was never measured has no expected performance. It is *explored* once anything is asked: up to `test_workers` of
it are rented, so that every autogroup of the group gets measured and the better value is known. While nothing at all is
measured that may be rented, one worker is explored whatever `test_workers` says, and nothing beyond: how many more are needed is
not known yet. And while nothing runs at all, any machine is better than none.

Ceilings are checked before every pick, against everything held and everything picked before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from functions.core.capacity import is_heard
from functions.core.choosing import Candidate, Choice, best, candidates, trials_under_way
from functions.core.fleet import Fleet
from functions.core.labels import emptiest_shard, new_worker_id
from functions.core.lifecycle import HELD, RUNNING, WorkerState
from functions.core.model import Worker
from functions.core.plan import Action, Rent, Start, Undrain, advance
from functions.core.pricing import Headroom, dollars
from functions.core.rollout import Renting
from functions.core.shortage import Shortage, hopes_of, shortage
from functions.core.sizing import Need
from functions.core.snapshot import Snapshot
from protocol.report import Phase

RENTS_PER_TICK_MAX: Final = 8
# The marketplace confirms a stop in seconds; one that takes longer may never be.
STOP_AWAITED_S: Final = 60.0
_S = WorkerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What to add, why not more, and which autogroups' offers would have helped.

    `facts`, for alarms: `budget_reached` (1) when more should run and a ceiling forbids it, `no_offers` (for so many autogroups)
    when something is missing and nothing on the market can be had.
    """

    actions: tuple[Action, ...]
    sentences: tuple[str, ...]
    wanted: frozenset[str]
    facts: Mapping[str, float] = field(default_factory=dict)


_NOTHING: Final = Growth(actions=(), sentences=(), wanted=frozenset())


def grow(snapshot: Snapshot, fleet: Fleet, need: Need, room: Headroom, rented_as: Mapping[str, Renting]) -> Growth:
    """Return what to add to the fleet. `rented_as` says of each autogroup as what its workers are rented."""
    hopes = hopes_of(fleet, snapshot.state)
    missing = hopes.dashed(shortage(fleet, need))
    if room.exceeded or not (missing.any or _explores(snapshot, fleet, need)):
        return _NOTHING
    halted = _halted(snapshot, now_s=fleet.now_s)
    returning, missing = _undrain(fleet, missing)
    starting, missing = ((), missing) if halted else _start(fleet, missing)
    woken, missing = (*returning, *starting), hopes.kept(missing)
    if not (missing.any or _explores(snapshot, fleet, need)):
        return replace(_NOTHING, actions=woken)
    if halted:
        return Growth(actions=woken, sentences=(halted,) if missing.any else (), wanted=frozenset())
    market = Market(snapshot=snapshot, fleet=fleet, wanted=frozenset(), need=need, rented_as=rented_as)
    rented = _rent(market, _less_what_may_start_soon(fleet, missing), room)
    return replace(rented, actions=(*woken, *rented.actions), sentences=(*hopes.sentences, *rented.sentences))


def _halted(snapshot: Snapshot, *, now_s: float) -> str | None:
    state = snapshot.state
    return f"Renting is halted: {state.halted_reason}." if now_s < state.halted_until_s else None


def _undrain(fleet: Fleet, missing: Shortage) -> tuple[tuple[Action, ...], Shortage]:
    actions: list[Action] = []
    draining = (worker for worker in fleet.available(_S.DRAINING) if fleet.is_configured(worker) and _may_return(worker, fleet))
    for worker in sorted(draining, key=fleet.rank, reverse=True):
        if not missing.running:
            break
        actions.append(Undrain(worker_id=worker.worker_id, reason=_because("needed again", missing)))
        missing = missing.less(fleet.perf(worker), rented=worker.rental.drain_to is not _S.STOPPING)
    return tuple(actions), missing


def _may_return(worker: Worker, fleet: Fleet) -> bool:
    return is_heard(worker, now_s=fleet.now_s) and worker.condition.phase in {Phase.READY, Phase.DRAINING}


def _start(fleet: Fleet, missing: Shortage) -> tuple[tuple[Action, ...], Shortage]:
    actions: list[Action] = []
    stopped = (worker for worker in fleet.available(_S.STOPPED) if fleet.is_configured(worker))
    # Of equals the one that stopped last: what is never needed is then stopped longest, and goes.
    for worker in sorted(stopped, key=lambda one: (fleet.rank(one), one.rental.state_since_s), reverse=True):
        if not missing.running or worker.rental.instance_id is None:
            break
        reason = _because("started from cold", missing)
        actions.append(Start(worker_id=worker.worker_id, instance_id=worker.rental.instance_id, reason=reason))
        missing = missing.less(fleet.perf(worker), rented=False)
    return tuple(actions), missing


def _less_what_may_start_soon(fleet: Fleet, missing: Shortage) -> Shortage:
    """Return what is missing once those that are being stopped can be started: in seconds, where a rented one takes minutes."""
    for worker in fleet.cold():
        just_stopped = worker.rental.state is _S.STOPPED and worker.worker_id in fleet.acted
        stopping = worker.rental.state is _S.STOPPING and fleet.now_s - worker.rental.state_since_s <= STOP_AWAITED_S
        if missing.running and (just_stopped or stopping):
            missing = missing.less(fleet.perf(worker), rented=False)
    return missing


def _because(what: str, missing: Shortage) -> str:
    if missing.running_load > 0:
        return f"{what}: {missing.running_load:.1f} load/s are missing"
    if missing.running_workers > 0:
        return f"{what}: nothing runs"
    if missing.held_load > 0:
        return f"{what}: the reserve lacks {missing.held_load:.1f} load/s"
    return f"{what}: the reserve lacks {missing.held_workers} workers"


def _rent(market: Market, missing: Shortage, room: Headroom) -> Growth:
    snapshot, fleet, closed = market.snapshot, market.fleet, market.closed()
    names = [autogroup.name for autogroup in snapshot.autogroups if autogroup.name not in closed]
    open_names = [name for name in names if _is_open(snapshot, name, now_s=fleet.now_s)]
    reasons = [halt.reason for name, halt in sorted(snapshot.state.halted_autogroups.items()) if fleet.now_s < halt.until_s]
    reasons += closed.values()
    explored = _quotas(snapshot, fleet, market.need)
    nothing_runs = missing.running_workers > 0
    wanted = frozenset(
        name for name in open_names if nothing_runs or explored.get(name, 0) > 0 or (missing.any and fleet.outlook.knows(name))
    )
    if not wanted:
        return Growth(actions=(), sentences=tuple(_sentence(reason) for reason in reasons), wanted=frozenset())
    if room.workers < 1 or room.micro_usd_per_hour <= 0:
        return Growth(actions=(), sentences=(_full(snapshot, room),), wanted=frozenset(), facts=_cut(missing))
    market = replace(market, wanted=wanted)
    rents, room = market.pick(missing, explored, room)
    sentences = [*reasons, *market.silences()] if not rents else reasons
    facts = market.obstacle(missing, room) if missing.any and not rents else {}
    return Growth(actions=rents, sentences=tuple(_sentence(text) for text in sentences), wanted=wanted, facts=facts)


def _cut(missing: Shortage) -> Mapping[str, float]:
    # A reserve that the ceiling leaves no room for is no trouble: the ceiling was chosen for what runs.
    return {"budget_reached": 1.0} if missing.running else {}


def _is_open(snapshot: Snapshot, autogroup: str, *, now_s: float) -> bool:
    halt = snapshot.state.halted_autogroups.get(autogroup)
    return halt is None or now_s >= halt.until_s


def _explores(snapshot: Snapshot, fleet: Fleet, need: Need) -> bool:
    return any(quota > 0 for quota in _quotas(snapshot, fleet, need).values())


def _quotas(snapshot: Snapshot, fleet: Fleet, need: Need) -> dict[str, int]:
    """Return how many workers of each unmeasured autogroup to add now: none before anything is asked."""
    if need.running_load <= 0 and need.held_load <= 0 and need.held_workers < 1:
        return {}
    names = [autogroup.name for autogroup in snapshot.autogroups if _is_open(snapshot, autogroup.name, now_s=fleet.now_s)]
    unknown = [name for name in names if not fleet.outlook.knows(name)]
    floor = 1 if len(unknown) == len(names) else 0
    target = max(snapshot.group.test_workers, floor)
    held = {name: fleet.count(name, *(HELD - {_S.DESTROYING})) for name in unknown}
    return {name: target - held[name] for name in unknown if target > held[name]}


def _full(snapshot: Snapshot, room: Headroom) -> str:
    if room.workers < 1:
        return f"No more is rented: max_workers ({snapshot.group.max_workers}) is reached."
    return f"No more is rented: the hourly budget of {dollars(snapshot.group.max_hourly_cost_micro_usd)} is used up."


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:].rstrip(".") + "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The offers of one decision, and as what the workers of each autogroup are rented in it."""

    snapshot: Snapshot
    fleet: Fleet
    wanted: frozenset[str]
    need: Need
    rented_as: Mapping[str, Renting]

    def pick(
        self, missing: Shortage, explored: Mapping[str, int], room: Headroom, *, most: int = RENTS_PER_TICK_MAX
    ) -> tuple[tuple[Rent, ...], Headroom]:
        """Return the rents that cover what is missing, best value first, within the ceilings and at most so many."""
        rents: list[Rent] = []
        left = candidates(self.snapshot, self.fleet, self.wanted, room, desperate=missing.running_workers > 0)
        quotas, trials = dict(explored), trials_under_way(self.fleet)
        for _ in range(min(most, RENTS_PER_TICK_MAX)):
            chosen = best(left, self._choice(missing, quotas, rents), trials, room)
            if chosen is None:
                break
            rents.append(self._rent(chosen, missing, rents))
            # Offers of one machine overlap: taking one shrinks the others, so one a machine and decision.
            left = [candidate for candidate in left if candidate.offer.machine_id != chosen.offer.machine_id]
            if self.rented_as[chosen.autogroup].single:
                left = [candidate for candidate in left if candidate.autogroup != chosen.autogroup]
            room = room.less(chosen.offer.running_micro_usd_per_hour)
            missing = missing.less(chosen.perf or 0.0, rented=True)
            quotas[chosen.autogroup] = quotas.get(chosen.autogroup, 0) - 1
            trials[chosen.key] += chosen.is_trial
        return tuple(rents), room

    def _choice(self, missing: Shortage, quotas: dict[str, int], rents: list[Rent]) -> Choice:
        return Choice(
            missing_load=missing.load(),
            running_load=self.need.running_load,
            quotas=quotas,
            serves=missing.any,
            desperate=missing.running_workers > 0,
            trials_max=self.snapshot.group.test_workers,
            bids_max=self._bids_max(rents),
        )

    def _bids_max(self, rents: list[Rent]) -> int:
        """Return by how many bids the share of them may still grow, one more worker included."""
        share = self.snapshot.group.interruptible_share_max
        if share >= 1:
            return RENTS_PER_TICK_MAX
        bids = [one.rental.bid_micro_usd_per_hour for one in self.fleet.workers if one.rental.state in RUNNING]
        bids += [rent.offer.bid_micro_usd_per_hour for rent in rents]
        # 3 of 4 at a share of 0.75, however that is written in binary.
        return int(share * (len(bids) + 1) + 1e-9) - sum(bid is not None for bid in bids)

    def closed(self) -> dict[str, str]:
        """Return the autogroups of which nothing may be rented as they stand, and why."""
        return {name: renting.closed for name, renting in sorted(self.rented_as.items()) if renting.closed}

    def silences(self) -> Iterator[str]:
        """Say, for each wanted autogroup, why nothing of it was rented."""
        for name in sorted(self.wanted):
            offers = self.snapshot.offers.get(name)
            if offers is None:
                yield f"autogroup {name}: its offers are not known"
            elif not offers:
                yield f"autogroup {name}: no machine on offer matches"
            else:
                yield f"autogroup {name}: every machine on offer is avoided or over the budget"

    def obstacle(self, missing: Shortage, room: Headroom) -> Mapping[str, float]:
        """Return, as a fact, why nothing of what is missing is rented: the budget, where all offers are above it, or the market."""
        prices = [offer.running_micro_usd_per_hour for name in self.wanted for offer in self.snapshot.offers.get(name, ())]
        if prices and not any(map(room.admits, prices)):
            return _cut(missing)
        return {"no_offers": float(len(self.wanted))}

    def _rent(self, chosen: Candidate, missing: Shortage, rents: Iterable[Rent]) -> Rent:
        now_s, endpoint = self.fleet.now_s, self.snapshot.group.endpoint
        workers = advance(self.snapshot.workers, rents, endpoint=endpoint, now_s=now_s)
        shard = emptiest_shard(workers, max_workers=self.snapshot.group.max_workers)
        attempt = sum(worker.rental.offer_id == chosen.offer.offer_id for worker in workers)
        return Rent(
            worker_id=new_worker_id(endpoint, chosen.offer, shard=shard, now_s=now_s, attempt=attempt),
            autogroup=chosen.autogroup,
            offer=chosen.offer,
            reason=_why(chosen, missing),
            version=self.rented_as[chosen.autogroup].version,
        )


def _why(chosen: Candidate, missing: Shortage) -> str:
    offer = chosen.offer
    what = f"{offer.num_gpus}x {offer.gpu_name} of {chosen.autogroup} at {dollars(offer.running_micro_usd_per_hour)} an hour"
    if chosen.perf is None:
        return f"{what}, to measure this autogroup"
    if chosen.is_trial:
        return _because(f"{what}, {chosen.perf:.1f} load/s expected of a GPU that was not measured yet", missing)
    return _because(f"{what}, {chosen.perf:.1f} load/s expected", missing)
