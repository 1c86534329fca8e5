"""The stack's schedules: in some worlds they change the group's parameters while it lives, ceilings and its state included.

They fire every few minutes, for a while or until another sets the same, so that the group is never long what it was. Nobody but
`core.schedules` works out what holds; here it is only drawn, told, and looked at in its minute, as EventBridge's event would, which
is lost as often as any. The dice are their own, so that a world without schedules has the history that it always had.

Once the faults are off, schedules that stop the group are taken off, or nobody could be served. The others stay: a working world
serves by what holds, whatever that is. An update that finds no place below a lowered ceiling has the schedules taken off too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from functions.core.civil_time import Zone
from functions.core.cron import Cron
from functions.core.model import EndpointGroup, EndpointState, Schedule, ScheduledParameters
from functions.core.schedules import CEILINGS, in_force
from tests.fakes.store import MemoryStore
from tests.simulation.clock import SimulatedClock
from tests.simulation.story import Fault, Kind, Story

SCHEDULED_SHARE: Final = 0.4
SCHEDULES_MAX: Final = 3
EVERY_MINUTES: Final = (5, 10, 20, 30)
FOR_S: Final = (120.0, 300.0, 900.0, None)
# A group at rest finishes nothing that it has begun: for longer it would be stuck by its owner's will.
OUT_OF_SERVICE_S: Final = (120.0, 240.0)
EVENT_LOST_CHANCE: Final = 0.3
MINUTE_S: Final = 60.0
_CEILINGS: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    ("max_workers", (1, 1, 2)),
    ("max_hourly_cost_micro_usd", (800_000, 1_500_000)),
)
# Ceilings, which are hardest on a scaler, three times as often as others.
_DRAWN: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    *(_CEILINGS * 3),
    ("min_load", (0.0, 60.0, 250.0)),
    ("min_cold_load", (0.0, 200.0)),
    ("cold_workers", (0, 1, 2)),
    ("target_util", (0.5, 0.9)),
    ("inactivity_timeout", (-1.0, 0.0, 200.0)),
    ("scale_down_window", (0.0, 300.0)),
    ("shortage_cost", (0.0, 20.0)),
    ("endpoint_state", (EndpointState.STOPPED, EndpointState.SUSPENDED)),
)


@dataclass(slots=True)
class Timetables:
    """The schedules of one group. `rng` is nobody else's; `look` is what an event of theirs calls."""

    endpoint: str
    store: MemoryStore
    clock: SimulatedClock
    rng: random.Random
    story: Story
    look: Callable[[], None]

    def begin(self) -> None:
        """Draw the schedules, if this world has any."""
        if self.rng.random() >= SCHEDULED_SHARE:
            return
        drawn = [self._drawn() for _ in range(self.rng.randint(1, SCHEDULES_MAX))]
        self._put({f"at-{number}": schedule for number, schedule in enumerate(drawn)})
        self.clock.after(-self.clock.now_s() % MINUTE_S, lambda: self._fire(self._now()))

    def serve(self) -> None:
        """Take off what keeps the group from serving."""
        schedules = self._group().schedules
        if any(each.sets.endpoint_state for each in schedules.values()):
            self._put({name: each for name, each in schedules.items() if each.sets.endpoint_state is None})

    def lifts(self) -> bool:
        """Take all off if a ceiling is lower by them than the group's own; tells whether it was."""
        lowered = any(getattr(self._now(), ceiling) < getattr(self._group(), ceiling) for ceiling in CEILINGS)
        if lowered:
            self.clear()
        return lowered

    def clear(self) -> None:
        """Take all off: what they have set ends with them."""
        if self._group().schedules:
            self._put({})

    def places_min(self) -> int:
        """Return how few workers may be allowed at some time."""
        group = self._group()
        scheduled = [each.sets.max_workers for each in group.schedules.values() if each.sets.max_workers is not None]
        return min([group.max_workers, *scheduled])

    def _drawn(self) -> Schedule:
        every = self.rng.choice(EVERY_MINUTES)
        first = self.rng.randrange(every)
        name, values = self.rng.choice(_DRAWN)
        for_s = self.rng.choice(OUT_OF_SERVICE_S if name == "endpoint_state" else FOR_S)
        cron = Cron(text=f"{first}/{every} * * * ? *", minutes=tuple(range(first, 60, every)))
        return Schedule(cron=cron, zone=Zone(), for_s=for_s, sets=ScheduledParameters(**{name: self.rng.choice(values)}))

    def _fire(self, before: EndpointGroup) -> None:
        """Tell what has changed with this minute, and let the event call the scaler, unless it is lost."""
        now = self._now()
        self.clock.after(MINUTE_S, lambda: self._fire(now))
        if now == before:
            return
        self.story.suffers(self.endpoint, Fault.RESCHEDULED)
        if now.endpoint_state is not before.endpoint_state:
            self.story.suffers(self.endpoint, Fault.STATE_SCHEDULED, now.endpoint_state)
        if any(getattr(now, ceiling) < getattr(before, ceiling) for ceiling in CEILINGS):
            self.story.suffers(self.endpoint, Fault.CEILING_LOWERED)
        if self.rng.random() >= EVENT_LOST_CHANCE:
            self.look()

    def _put(self, schedules: dict[str, Schedule]) -> None:
        self.store.put_group(replace(self._group(), schedules=schedules))
        self.story.tell(self.endpoint, Kind.PHASE, f"Its schedules: {', '.join(map(_told, schedules.values())) or 'none'}.")

    def _group(self) -> EndpointGroup:
        group = self.store.spec(self.endpoint)
        assert group is not None
        return group

    def _now(self) -> EndpointGroup:
        return in_force(self._group(), now_s=self.clock.now_s()).group


def _told(schedule: Schedule) -> str:
    sets = {name: value for name, _ in _DRAWN if (value := getattr(schedule.sets, name)) is not None}
    return f"{schedule.cron.text} for {schedule.for_s} s {sets}"
