"""People change what a group runs, whenever they like: to an image that serves, to one that never does, and on before that is done.

They also ask for all workers anew, and call it off. What they do is drawn from dice of its own, so that a world in which nobody
changes anything has the history that it always had. Once the faults are off nobody changes anything any more: by and by every
worker is what it should be (`behind`), whatever was under way. Nobody can fall back on what was forgotten or never proven, so
whoever left such an autogroup with an image that never serves puts a good one back.

That no update takes a request from its worker is the third promise, judged in `invariants.requests` before every call.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from functions.core.lifecycle import COMING_OR_SERVING, WorkerState
from functions.core.model import Worker
from functions.core.rollout import Stage, due, is_of, stage
from functions.core.scaler_state import Rollout
from functions.route.updates import ASKED_AGAIN_S
from tests.fakes.store import MemoryStore
from tests.simulation.clock import SimulatedClock
from tests.simulation.story import Fault, Kind, Story
from tests.simulation.workers import Image

GOOD: Final = (Image.FIRST, Image.SECOND, Image.THIRD)
BAD: Final = (Image.FAILS, Image.HANGS)
GAPS_S: Final = (0.0, 120.0, 300.0)  # from one change to the next, on average; 0: nobody changes anything
ASK_CHANCE: Final = 0.2
CALL_OFF_CHANCE: Final = 0.05
BAD_CHANCE: Final = 0.3
DEARER_MICRO_USD_PER_HOUR: Final = 1_000_000
_S = WorkerState
_STAYS: Final = COMING_OR_SERVING | {_S.STOPPED}


@dataclass(slots=True)
class Updates:
    """The people of one group. `rng` is nobody else's."""

    endpoint: str
    store: MemoryStore
    clock: SimulatedClock
    rng: random.Random
    story: Story
    hostile: Callable[[], bool]
    gap_s: float = 0.0

    def begin(self) -> None:
        """Draw how often something is changed, and let it be."""
        self.gap_s = self.rng.choice(GAPS_S)
        if self.gap_s:
            self.clock.after(self.rng.expovariate(1 / self.gap_s), self._change)

    def put_right(self) -> None:
        """Put a good image where the present one never serves, and nothing is known that did."""
        rollouts = self.store.scaler_state(self.endpoint).rollouts
        for autogroup in self.store.autogroups(self.endpoint):
            rollout = rollouts.get(autogroup.name)
            if autogroup.image in BAD and (rollout is None or rollout.good_spec is None):
                self.store.put_autogroup(self.endpoint, replace(autogroup, image=Image.FIRST.value))
                self.story.tell(autogroup.name, Kind.PHASE, f"is put right: {Image.FIRST}")

    def behind(self) -> list[str]:
        """Return the workers that stay and are not what they should be, or of which that is still to be found out."""
        rollouts, now_s = self.store.scaler_state(self.endpoint).rollouts, self.clock.now_s()
        staying = (worker for worker in self.store.fleet(self.endpoint).values() if worker.rental.state in _STAYS)
        return [worker.worker_id for worker in staying if _is_behind(worker, rollouts.get(worker.rental.autogroup), now_s=now_s)]

    def heed(self) -> None:
        """Raise the ceiling that leaves an update no place, as the last decision says."""
        group = self.store.spec(self.endpoint)
        assert group is not None
        told = " ".join(self.store.decisions(self.endpoint)[-1].sentences)
        if "Raise max_workers" in told:
            group = replace(group, max_workers=group.max_workers + 1)
        elif "Raise max_hourly_cost_usd" in told or "over the budget" in told:
            dearer = group.max_hourly_cost_micro_usd + DEARER_MICRO_USD_PER_HOUR
            group = replace(group, max_hourly_cost_micro_usd=dearer)
        else:
            return
        self.story.tell(self.endpoint, Kind.PHASE, "The ceiling that an update waits for is raised.")
        self.store.put_group(group)

    def _change(self) -> None:
        if not self.hostile():
            return
        self.clock.after(self.rng.expovariate(1 / self.gap_s), self._change)
        autogroup = self.rng.choice(self.store.autogroups(self.endpoint))
        luck = self.rng.random()
        if self._is_under_way(autogroup.name):
            self.story.suffers(autogroup.name, Fault.CHANGED_MIDWAY)
        if luck < ASK_CHANCE:
            self.store.ask_update(self.endpoint, autogroup.name, asked_at_s=self.clock.now_s(), settled_s=ASKED_AGAIN_S)
            self.story.suffers(autogroup.name, Fault.UPDATE_ASKED)
        elif luck < ASK_CHANCE + CALL_OFF_CHANCE:
            self.store.cancel_update(self.endpoint, autogroup.name)
            self.story.suffers(autogroup.name, Fault.UPDATE_CALLED_OFF)
        else:
            bad = luck > 1 - BAD_CHANCE
            image = self.rng.choice(BAD if bad else GOOD)
            self.store.put_autogroup(self.endpoint, replace(autogroup, image=image.value))
            self.story.suffers(autogroup.name, Fault.CHANGED_TO_BAD if bad else Fault.CHANGED, image)

    def _is_under_way(self, name: str) -> bool:
        rollout = self.store.scaler_state(self.endpoint).rollouts.get(name)
        mine = (one for one in self.store.fleet(self.endpoint).values() if one.rental.autogroup == name)
        staying = (one for one in mine if one.rental.state in _STAYS)
        return any(_is_behind(one, rollout, now_s=self.clock.now_s()) for one in staying)


def _is_behind(worker: Worker, rollout: Rollout | None, *, now_s: float) -> bool:
    if rollout is None:  # forgotten a moment ago
        return True
    unsure = stage(rollout, now_s=now_s) in {Stage.SETTLING, Stage.PROVING}
    return unsure or not is_of(due(rollout, now_s=now_s), worker.rental, rollout)
