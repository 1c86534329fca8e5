"""Which call meets which fault: the options in force, the scripts, and how many calls there were.

A call meets the fault that is scripted for its number, else the first chance that hits; every chance of its operation is one draw
of the world's seeded generator, so a run with faults replays exactly.

*Hosts have a history.* What became of a machine's last contract is remembered: after a failure the next contract there fails with
`FaultOptions.repeat_share`, after a good life correspondingly less often, so that the share over all contracts stays what
`failure_share` says. A machine that failed tends to fail in the same way again, which is why a blacklist pays.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from sandbox.marketplace.faults import AnswerFault, Chance, Fate, FaultOptions, Operation, Scripted, Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What one call meets. Both None is the normal case."""

    answer: AnswerFault | None = None
    fate: Fate | None = None


@dataclass(slots=True)
class FaultPlan:
    """The options in force, and how many calls there were. Options may be replaced and scripts added while the world runs."""

    options: FaultOptions
    rng: random.Random
    calls: Counter[Operation] = field(default_factory=Counter)
    _scripts: dict[tuple[Operation, int], AnswerFault | Fate] = field(default_factory=dict)
    _history: dict[int, Fate | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take over the scripts of the options."""
        self.put(self.options)

    def put(self, options: FaultOptions) -> None:
        """Put other options in force; scripts of the old ones are forgotten, the call counts go on."""
        self.options = options
        self._scripts = {(script.operation, script.call): script.fault for script in options.scripted}

    def add_chance(self, chance: Chance) -> None:
        """Add a probability to the options in force."""
        self.options = replace(self.options, chances=(*self.options.chances, chance))

    def script_next(self, operation: Operation, fault: AnswerFault | Fate, *, after: int = 0) -> int:
        """Let the next call of `operation` (or, with `after`, a later one) meet `fault`; returns that call's number."""
        script = Scripted(operation=operation, call=self.calls[operation] + 1 + after, fault=fault)
        self._scripts[script.operation, script.call] = script.fault
        return script.call

    def begin(self, operation: Operation) -> Drawn:
        """Count one call and return what it meets: its script if it has one, else what chance gives."""
        self.calls[operation] += 1
        met = self._scripts.pop((operation, self.calls[operation]), None) or self._by_chance(operation)
        return Drawn(fate=met) if isinstance(met, Fate) else Drawn(answer=met)

    def draw_fate(self, machine_id: int, trust: Trust) -> Fate | None:
        """Return what becomes of a new contract on this machine, and remember it; None is a good life."""
        share = self.options.failure_share[trust]
        last = self._history.get(machine_id)
        if machine_id in self._history and 0 < share < 1:
            share = self._share_after(share, failed=last is not None)
        fate = None if self.rng.random() >= share else last or self._any_fate()
        self._history[machine_id] = fate
        return fate

    def fate_of_image(self, image: str) -> Fate | None:
        """Return what every host makes of an image that the registry does not give out."""
        if image in self.options.missing_images:
            return Fate.IMAGE_MISSING
        return Fate.IMAGE_PRIVATE if image in self.options.private_images else None

    def draw_latency_s(self, answer: AnswerFault | None) -> float:
        """Return how long an answer takes, in seconds of the wall."""
        latency = self.options.slow_answer if answer is AnswerFault.SLOW_ANSWER else self.options.latency
        return 0.0 if latency is None else latency.draw_s(self.rng)

    def draw_list_lag_s(self) -> float:
        """Return for how long the list does not know of a change."""
        if self.rng.random() >= self.options.list_lag_share:
            return 0.0
        return self.options.list_lag.draw_s(self.rng)

    def _any_fate(self) -> Fate:
        weights = self.options.fate_weights
        return self.rng.choices(list(weights), weights=list(weights.values()))[0]

    def _share_after(self, share: float, *, failed: bool) -> float:
        """Return the share of failures after a failure or a good life; the two average to `share` over time."""
        repeat = max(share, self.options.repeat_share)
        return repeat if failed else share * (1 - repeat) / (1 - share)

    def _by_chance(self, operation: Operation) -> AnswerFault | Fate | None:
        for chance in self.options.chances:
            if chance.operation is operation and self.rng.random() < chance.probability:
                return chance.fault
        return None
