"""A fleet by itself, for updates: decisions are carried out as they are meant, machines boot for a while, and nothing goes wrong.

Only what a version does is chosen: whether its workers come up, and how fast they are. The need is a floor (`min_load`), so that it
is known exactly at every step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from functions.core.lifecycle import COMING_OR_SERVING, HELD, WorkerState
from functions.core.model import Autogroup, Condition, EndpointGroup, Instance, Worker
from functions.core.plan import Action, ConfirmGone, Plan, Rent, advance
from functions.core.scaler_state import Edition, LearnedPerf, LoadPeak, Rollout, ScalerState
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from functions.core.version import version_of
from protocol.report import Phase
from tests.core.builders import NOW_S, PREFIX, a_condition, a_group, a_worker, an_autogroup, an_offer

STEP_S: Final = 10.0
BOOT_S: Final = 40.0
PERF: Final = 100.0
_S = WorkerState
_RUNNING: Final = COMING_OR_SERVING | {_S.DRAINING}


@dataclass(slots=True)
class RollingWorld:
    """One group of one autogroup. `perf` is the load per second of a version's workers, `bad` those that never come up."""

    group: EndpointGroup
    autogroup: Autogroup = field(default_factory=lambda: an_autogroup(image="v1"))
    workers: tuple[Worker, ...] = ()
    perf: dict[str, float] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    state: ScalerState = field(default_factory=ScalerState)
    updates: dict[str, float] = field(default_factory=dict)
    now_s: float = NOW_S
    rents: int = 0
    plan: Plan | None = None

    @staticmethod
    def serving(ready: int, stopped: int = 0, **group: object) -> RollingWorld:
        """Return a group that has served for long with so many workers of its first version, each of PERF."""
        world = RollingWorld(group=a_group(**{"shortage_cost": 0.0, "inactivity_timeout": -1.0, **group}))
        first = version_of(world.autogroup)
        states = [*[_S.READY] * ready, *[_S.STOPPED] * stopped]
        world.workers = tuple(a_worker(number + 1, state, autogroup_version=first) for number, state in enumerate(states))
        world.workers = tuple(replace(one, condition=a_condition(perf=PERF)) for one in world.workers)
        good = Edition(version=first)
        world.state = ScalerState(
            learned={"a|RTX 4090|1": LearnedPerf(perf=PERF, samples=9, dlperf=PERF)},
            peaks=(LoadPeak(from_s=NOW_S - 9_000, load_per_s=0.0),),
            last_demand_at_s=NOW_S,
            rollouts={"a": Rollout(wanted=good, proven=True, good=good, good_spec=world.autogroup, unversioned=first)},
        )
        return world

    def changes(self, image: str, *, perf: float = PERF, bad: bool = False) -> None:
        """Change the autogroup."""
        self.autogroup = an_autogroup(image=image)
        version = version_of(self.autogroup)
        self.perf[version] = perf
        if bad:
            self.bad.add(version)

    def steps(self) -> None:
        """Let STEP_S pass: everybody reports, a decision is made and carried out."""
        self.now_s += STEP_S
        self.workers = tuple(self._reported(worker) for worker in self.workers)
        self.plan = decide(self._snapshot(), now_s=self.now_s)
        self.state = self.plan.state
        self.rents += sum(isinstance(action, Rent) for action in self.plan.actions)
        self.workers = tuple(map(self._settled, advance(self.workers, self.plan.actions, endpoint="chat", now_s=self.now_s)))
        self.workers = tuple(_gone(self.workers, self.plan.actions))

    def held(self) -> list[Worker]:
        """Return what is held."""
        return [worker for worker in self.workers if worker.rental.state in HELD]

    def running(self) -> int:
        """Count what is billed for its GPU."""
        return sum(worker.rental.state in _RUNNING for worker in self.workers)

    def coming(self) -> int:
        """Count what was rented or started, and does not serve yet."""
        return sum(worker.rental.state in COMING_OR_SERVING - {_S.READY} for worker in self.workers)

    def ready_load(self) -> float:
        """Return what those carry that serve."""
        return sum(worker.condition.perf for worker in self.workers if worker.rental.state is _S.READY)

    def versions(self) -> set[str]:
        """Return the versions of what is held."""
        return {worker.rental.autogroup_version for worker in self.held()}

    def _snapshot(self) -> Snapshot:
        offers = tuple(an_offer(100_000 + self.rents + number) for number in range(12))
        return Snapshot(
            group=self.group,
            autogroups=(self.autogroup,),
            workers=self.workers,
            waiting=(),
            state=self.state,
            listing=tuple(self._listed(worker) for worker in self.held() if worker.rental.instance_id is not None),
            offers={"a": offers},
            updates=self.updates,
        )

    def _listed(self, worker: Worker) -> Instance:
        rental = worker.rental
        running = rental.state not in {_S.STOPPED, _S.STOPPING}
        assert rental.instance_id is not None
        return Instance(
            instance_id=rental.instance_id,
            label=PREFIX + worker.worker_id,
            status="running" if running else "exited",
            running=running,
            wants_running=running,
            machine_id=rental.machine_id,
            running_micro_usd_per_hour=rental.running_micro_usd_per_hour,
        )

    def _reported(self, worker: Worker) -> Worker:
        rental = worker.rental
        if rental.state not in {_S.BOOTING, _S.READY, _S.DRAINING} or self.now_s - rental.boot_started_at_s < BOOT_S:
            return worker
        if rental.autogroup_version in self.bad:
            return replace(worker, condition=Condition(phase=Phase.ERROR, reported_at_s=self.now_s, error="no such model"))
        perf = self.perf.get(rental.autogroup_version, PERF)
        phase = Phase.DRAINING if rental.state is _S.DRAINING else Phase.READY
        return replace(worker, condition=a_condition(reported_at_s=self.now_s, perf=perf, phase=phase))

    def _settled(self, worker: Worker) -> Worker:
        rental = worker.rental
        if rental.state is not _S.RENTING:
            return worker
        return replace(worker, rental=replace(rental, state=_S.BOOTING, instance_id=rental.offer_id))


def _gone(workers: Iterable[Worker], actions: Iterable[Action]) -> Iterable[Worker]:
    """Yield the workers, those that were asked for destroyed."""
    asked = {action.worker_id for action in actions if isinstance(action, ConfirmGone)}
    for worker in workers:
        over = worker.worker_id in asked and worker.rental.state is _S.DESTROYING
        yield replace(worker, rental=replace(worker.rental, state=_S.DESTROYED)) if over else worker
