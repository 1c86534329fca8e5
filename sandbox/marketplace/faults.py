"""What goes wrong, how often, and when exactly.

Two kinds, because they strike at different places:

* An *answer fault* belongs to one call of the API: the reply is refused or lost. The `..._AFTER` kinds are the dangerous
  ones: the effect happened, the caller is not told.
* A *fate* belongs to one contract, is drawn when it is made and comes true later: it never loads, exits, or its machine vanishes.

Both can be left to chance (probabilities) or scripted (`at call n of this operation do that`), and both are drawn from the
world's seeded generator, so a run with faults replays exactly. Shares and weights of fates come from the only counted
experiment known: a 2024 sweep that rented 99 machines, of which 34 failed (20 ran but were never reachable, 7 docker errors, 3
not running after 900 s, 1 offline, 3 bad GPUs); trusted machines are better than that sweep's mostly unverified ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Operation(StrEnum):
    """What a caller does, as faults and rate limits count it."""

    SEARCH = "search"
    CREATE = "create"
    LIST = "list"
    SHOW = "show"
    START = "start"
    STOP = "stop"
    LABEL = "label"
    DESTROY = "destroy"
    REBOOT = "reboot"
    RECYCLE = "recycle"
    BID = "bid"
    LOGS = "logs"
    ACCOUNT = "account"
    TEMPLATE = "template"
    NAMES = "names"


class AnswerFault(StrEnum):
    """What goes wrong with one call."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR_BEFORE = "server_error_before"
    SERVER_ERROR_AFTER = "server_error_after"
    DROPPED_BEFORE = "dropped_before"
    DROPPED_AFTER = "dropped_after"
    OFFER_GONE_404 = "offer_gone_404"
    OFFER_GONE_410 = "offer_gone_410"
    OFFER_GONE_400 = "offer_gone_400"
    CREATED_STOPPED = "created_stopped"
    RESOURCES_UNAVAILABLE = "resources_unavailable"
    EMPTY_LIST = "empty_list"


class Fate(StrEnum):
    """What becomes of one contract."""

    NEVER_SCHEDULED = "never_scheduled"
    LOADING_FOR_EVER = "loading_for_ever"
    OCI_ERROR = "oci_error"
    DOCKER_ERROR = "docker_error"
    DEAF = "deaf"
    SLOW = "slow"
    EXITS = "exits"
    GOES_SILENT = "goes_silent"
    GOES_OFFLINE = "goes_offline"
    VANISHES = "vanishes"
    OUTBID = "outbid"


class Trust(StrEnum):
    """How far a machine can be trusted, by what its offer says."""

    TRUSTED = "trusted"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"


TRUSTED_RELIABILITY_MIN: Final = 0.99
ANY_CALL_FAULTS: Final = frozenset(
    {
        AnswerFault.RATE_LIMITED,
        AnswerFault.SERVER_ERROR_BEFORE,
        AnswerFault.SERVER_ERROR_AFTER,
        AnswerFault.DROPPED_BEFORE,
        AnswerFault.DROPPED_AFTER,
    },
)
# A fault that only means something to one operation; scripting it elsewhere is a mistake worth a message.
ONLY_FOR: Final[Mapping[AnswerFault, Operation]] = MappingProxyType(
    {
        AnswerFault.OFFER_GONE_404: Operation.CREATE,
        AnswerFault.OFFER_GONE_410: Operation.CREATE,
        AnswerFault.OFFER_GONE_400: Operation.CREATE,
        AnswerFault.CREATED_STOPPED: Operation.CREATE,
        AnswerFault.RESOURCES_UNAVAILABLE: Operation.START,
        AnswerFault.EMPTY_LIST: Operation.LIST,
    },
)


def trust_of(*, verified: bool, reliability: float) -> Trust:
    """Class a machine as the failure shares below are given."""
    if not verified:
        return Trust.UNVERIFIED
    return Trust.TRUSTED if reliability >= TRUSTED_RELIABILITY_MIN else Trust.VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Every call of `operation` meets `fault` with this probability."""

    operation: Operation
    fault: AnswerFault
    probability: float

    def __post_init__(self) -> None:
        _check(self.operation, self.fault)
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be between 0 and 1, not {self.probability}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """The `call`-th call (from 1) of `operation` meets `fault`; a fate can only be scripted for a create."""

    operation: Operation
    call: int
    fault: AnswerFault | Fate

    def __post_init__(self) -> None:
        _check(self.operation, self.fault)
        if self.call < 1:
            raise ValueError(f"calls are counted from 1, not {self.call}")


def _check(operation: Operation, fault: AnswerFault | Fate) -> None:
    only = Operation.CREATE if isinstance(fault, Fate) else ONLY_FOR.get(fault, operation)
    if operation is not only:
        raise ValueError(f"{fault} can only happen to {only}, not to {operation}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A duration, drawn evenly between two bounds."""

    least_s: float
    most_s: float

    def draw_s(self, rng: random.Random) -> float:
        """Return one duration."""
        return rng.uniform(self.least_s, self.most_s)


NO_FAILURES: Final[Mapping[Trust, float]] = MappingProxyType(dict.fromkeys(Trust, 0.0))
FATE_WEIGHTS: Final[Mapping[Fate, float]] = MappingProxyType(
    {
        Fate.DEAF: 20.0,
        Fate.DOCKER_ERROR: 7.0,
        Fate.LOADING_FOR_EVER: 2.0,
        Fate.NEVER_SCHEDULED: 1.0,
        Fate.OCI_ERROR: 2.0,
        Fate.EXITS: 2.0,
        Fate.SLOW: 3.0,
        Fate.GOES_SILENT: 2.0,
        Fate.GOES_OFFLINE: 2.0,
        Fate.VANISHES: 1.0,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """Everything that may go wrong. Without arguments nothing does.

    `failure_share` is the share of new contracts that meet a fate, by the machine's trust; which one is drawn by
    `fate_weights`. `strikes_after` is how long a contract runs before an exit, outage or disappearance, `outage` how long an
    outage lasts; both on the world's clock. `list_lag_share` of creates and destroys are missing from (or still in) the list
    for `list_lag`. `slow_factor` is the performance of a SLOW machine beside an honest one.
    """

    chances: tuple[Chance, ...] = ()
    scripted: tuple[Scripted, ...] = ()
    failure_share: Mapping[Trust, float] = field(default_factory=lambda: NO_FAILURES)
    fate_weights: Mapping[Fate, float] = field(default_factory=lambda: FATE_WEIGHTS)
    strikes_after: Span = Span(least_s=30.0, most_s=3 * 3600.0)
    outage: Span = Span(least_s=60.0, most_s=3600.0)
    list_lag_share: float = 0.0
    list_lag: Span = Span(least_s=1.0, most_s=8.0)
    slow_factor: float = 0.3


def _everywhere(fault: AnswerFault, probability: float) -> tuple[Chance, ...]:
    calls = (operation for operation in Operation if operation is not Operation.NAMES)
    return tuple(Chance(operation=operation, fault=fault, probability=probability) for operation in calls)


def _preset(factor: float) -> FaultOptions:
    """Typical faults, `factor` times as often."""
    create, start, listing = Operation.CREATE, Operation.START, Operation.LIST
    return FaultOptions(
        chances=(
            *_everywhere(AnswerFault.RATE_LIMITED, 0.01 * factor),
            *_everywhere(AnswerFault.SERVER_ERROR_BEFORE, 0.005 * factor),
            *_everywhere(AnswerFault.SERVER_ERROR_AFTER, 0.005 * factor),
            *_everywhere(AnswerFault.DROPPED_AFTER, 0.0025 * factor),
            Chance(operation=create, fault=AnswerFault.OFFER_GONE_404, probability=0.03 * factor),
            Chance(operation=create, fault=AnswerFault.OFFER_GONE_410, probability=0.01 * factor),
            Chance(operation=create, fault=AnswerFault.OFFER_GONE_400, probability=0.005 * factor),
            Chance(operation=create, fault=AnswerFault.CREATED_STOPPED, probability=0.005 * factor),
            Chance(operation=start, fault=AnswerFault.RESOURCES_UNAVAILABLE, probability=0.05 * factor),
            # Not documented for the real service; a scaler must survive it all the same, so only hostile worlds have it.
            Chance(operation=listing, fault=AnswerFault.EMPTY_LIST, probability=0.01 if factor > 1 else 0.0),
        ),
        failure_share={
            Trust.TRUSTED: min(0.9, 0.05 * factor),
            Trust.VERIFIED: min(0.9, 0.15 * factor),
            Trust.UNVERIFIED: min(0.9, 0.35 * factor),
        },
        list_lag_share=min(1.0, 0.1 * factor),
    )


PRESETS: Final[Mapping[str, FaultOptions]] = MappingProxyType(
    {"none": FaultOptions(), "typical": _preset(1.0), "hostile": _preset(5.0)},
)


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
        scripted = self._scripts.pop((operation, self.calls[operation]), None)
        if isinstance(scripted, Fate):
            return Drawn(fate=scripted)
        return Drawn(answer=scripted or self._by_chance(operation))

    def draw_fate(self, trust: Trust) -> Fate | None:
        """Return what becomes of a new contract on such a machine; None is a good life."""
        if self.rng.random() >= self.options.failure_share[trust]:
            return None
        weights = self.options.fate_weights
        return self.rng.choices(list(weights), weights=list(weights.values()))[0]

    def draw_list_lag_s(self) -> float:
        """Return for how long the list does not know of a change."""
        if self.rng.random() >= self.options.list_lag_share:
            return 0.0
        return self.options.list_lag.draw_s(self.rng)

    def _by_chance(self, operation: Operation) -> AnswerFault | None:
        for chance in self.options.chances:
            if chance.operation is operation and self.rng.random() < chance.probability:
                return chance.fault
        return None
