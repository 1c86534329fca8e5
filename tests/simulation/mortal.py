"""A scaler's process, which may die or be suspended before and after each of its effects.

An execution environment lives through many invocations, one after another, with its own clock and its own pace of calls; a crash
ends it, and the next invocation finds another one. Every call of either port passes here, so this is where each step is watched.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from functions.ports import Marketplace, ScaleStore, StoreUnavailable
from functions.scale.turn import ScalePorts
from tests.simulation.clock import SkewedClock
from tests.simulation.story import Fault, Story

# Most calls look; what matters is what falls between two that change something.
CRASH_CHANCE: Final = 0.002
PAUSE_CHANCE: Final = 0.002
AT_AN_EFFECT: Final = 6.0  # times as often
EFFECTS: Final = frozenset({"put_rental", "put_state", "forget_worker", "create", "start", "stop", "destroy", "destroy_all"})
PAUSE_S: Final = 200.0
STORE_FAULT_CHANCE: Final = 0.004

Step = Callable[[str, tuple[Any, ...]], None]


class Crash(BaseException):
    """The scaler's process dies here."""


@dataclass(slots=True)
class Life:
    """One environment's process. `hostile` is asked anew at every step: faults can be turned off while it lives."""

    name: str
    rng: random.Random
    clock: SkewedClock
    story: Story
    hostile: Callable[[], bool]
    dead: bool = False
    busy: bool = False

    def step(self, *, may_pause: bool, at_an_effect: bool) -> None:
        """Live on, or crash, or be paused for long."""
        if self.dead:
            raise Crash
        if not self.hostile():
            return
        luck, often = self.rng.random(), AT_AN_EFFECT if at_an_effect else 1.0
        if luck < CRASH_CHANCE * often:
            self.dead = True
            self.story.suffers(self.name, Fault.CRASH)
            raise Crash
        if may_pause and luck > 1 - PAUSE_CHANCE * often:
            self.story.suffers(self.name, Fault.SUSPENDED, f"for {PAUSE_S:.0f} s")
            self.clock.wait_s(PAUSE_S)

    def table_fails(self) -> bool:
        """Tell whether a call to the table is not answered."""
        return self.hostile() and self.rng.random() < STORE_FAULT_CHANCE


class Mortal:
    """A port whose calls may be the last ones of their caller. A table's calls may also fail, or be answered very late."""

    def __init__(self, port: Any, life: Life, *, table: bool, watched: Step) -> None:
        self._port = port
        self._life = life
        self._table = table
        self._watched = watched

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the port's method, in mortal form."""
        method, life, table, watched = getattr(self._port, name), self._life, self._table, self._watched
        effect = name in EFFECTS

        def call(*args: Any, **kwargs: Any) -> Any:
            life.step(may_pause=table, at_an_effect=effect)
            self._fail_sometimes(name)
            answer = method(*args, **kwargs)
            watched(name, args)
            self._fail_sometimes(name)
            life.step(may_pause=table, at_an_effect=effect)
            return answer

        setattr(self, name, call)
        return call

    def _fail_sometimes(self, name: str) -> None:
        if self._table and self._life.table_fails():
            self._life.story.suffers(self._life.name, Fault.TABLE_DOWN, name)
            raise StoreUnavailable("simulated")


@dataclass(slots=True)
class Environment:
    """One execution environment of the scale function."""

    life: Life
    ports: ScalePorts

    @classmethod
    def of(cls, life: Life, *, store: Any, marketplace: Any, watched: Step) -> Environment:
        """Return an environment whose ports are mortal."""
        ports = ScalePorts(
            store=cast("ScaleStore", Mortal(store, life, table=True, watched=watched)),
            marketplace=cast("Marketplace", Mortal(marketplace, life, table=False, watched=watched)),
            clock=life.clock,
        )
        return cls(life=life, ports=ports)
