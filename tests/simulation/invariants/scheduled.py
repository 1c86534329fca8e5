"""What a schedule sets holds: nothing is rented beyond a lowered ceiling, what is over it goes, and a stopped group serves nobody.

That the ceilings which the group declares hold at every moment is the first promise, judged in `ceilings`: a schedule cannot raise
them. When one lowers them, more may be held than it allows; that has to be drained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from functions.core.lifecycle import HELD
from functions.core.model import EndpointGroup, EndpointState, Worker
from functions.core.plan import GiveUp, Rent
from functions.core.reconcile import DRAIN_DEADLINE_S
from functions.core.schedules import in_force
from functions.route.caches import GROUP_TTL_S
from functions.scale.tick import Tick
from tests.simulation.invariants import Violated
from tests.simulation.invariants.progress import STUCK_SLACK_S
from tests.simulation.invariants.scene import Scene

OVER_S_MAX: Final = DRAIN_DEADLINE_S + STUCK_SLACK_S
CLOCKS_APART_S: Final = 2.0
STALE_S: Final = GROUP_TTL_S + CLOCKS_APART_S


@dataclass(slots=True)
class Scheduled:
    """Looks after every tick, and at every ticket. `over_since_s`: since when more is held than is allowed now."""

    scene: Scene
    over_since_s: float | None = None

    def check(self, done: Tick) -> None:
        """Check what one tick rents, and how long more has been held than the parameters in force allow."""
        if not self.scene.group().schedules:
            self.over_since_s = None
            return
        self._check_rents(done)
        held = [worker for worker in self.scene.workers().values() if worker.rental.state in HELD]
        now = self.scene.group_now()
        if now.endpoint_state is EndpointState.SUSPENDED or _fits(held, now):
            self.over_since_s = None
            return
        self.over_since_s = self.over_since_s or self.scene.now_s
        if self.scene.now_s - self.over_since_s > OVER_S_MAX:
            raise Violated(f"more is held than is in force, for {self.scene.now_s - self.over_since_s:.0f} s")

    def assigned(self) -> None:
        """Check that a ticket is given by a group that works, by the clock of one router or another, or did when it looked last."""
        if self.scene.group().schedules:
            states = {self.scene.group_now(ahead_s=ahead_s).endpoint_state for ahead_s in (-STALE_S, CLOCKS_APART_S)}
            if states == {EndpointState.STOPPED}:
                raise Violated("a ticket was given while the parameters in force stop the group")

    def _check_rents(self, done: Tick) -> None:
        rents = [action.offer.running_micro_usd_per_hour for action in done.plan.actions if isinstance(action, Rent)]
        if not rents:
            return
        given_up = {action.worker_id for action in done.plan.actions if isinstance(action, GiveUp)}
        held = [one for one in done.snapshot.workers if one.rental.state in HELD and one.worker_id not in given_up]
        if not _fits(held, in_force(done.snapshot.group, now_s=done.decided_at_s).group, rents=rents):
            raise Violated(f"{len(rents)} were rented beside {len(held)}, beyond the ceilings in force")


def _fits(held: list[Worker], group: EndpointGroup, *, rents: list[int] | None = None) -> bool:
    costs = [*(worker.rental.running_micro_usd_per_hour for worker in held), *(rents or ())]
    return len(costs) <= group.max_workers and sum(costs) <= group.max_hourly_cost_micro_usd
