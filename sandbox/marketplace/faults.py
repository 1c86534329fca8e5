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
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    PRICE = "price"
    LOGS = "logs"
    ACCOUNT = "account"
    TEMPLATE = "template"
    SERVERLESS = "serverless"
    NAMES = "names"


class AnswerFault(StrEnum):
    """What goes wrong with one call."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR_BEFORE = "server_error_before"
    SERVER_ERROR_AFTER = "server_error_after"
    DROPPED_BEFORE = "dropped_before"
    DROPPED_AFTER = "dropped_after"
    RATE_LIMITED_JSON = "rate_limited_json"
    SLOW_ANSWER = "slow_answer"
    CREDIT_EXHAUSTED = "credit_exhausted"
    SEARCH_QUOTA_EXCEEDED = "search_quota_exceeded"
    SEARCH_CAPPED = "search_capped"
    FILTER_IGNORED = "filter_ignored"
    OFFER_GONE_404 = "offer_gone_404"
    OFFER_GONE_410 = "offer_gone_410"
    OFFER_GONE_400 = "offer_gone_400"
    CREATED_STOPPED = "created_stopped"
    WRONG_MACHINE = "wrong_machine"
    BID_IGNORED = "bid_ignored"
    RESOURCES_UNAVAILABLE = "resources_unavailable"
    EMPTY_LIST = "empty_list"


class Fate(StrEnum):
    """What becomes of one contract."""

    NEVER_SCHEDULED = "never_scheduled"
    LOADING_FOR_EVER = "loading_for_ever"
    OCI_ERROR = "oci_error"
    DOCKER_ERROR = "docker_error"
    DOCKER_ERROR_EXITED = "docker_error_exited"
    IMAGE_MISSING = "image_missing"
    IMAGE_PRIVATE = "image_private"
    DEAF = "deaf"
    SLOW = "slow"
    EXITS = "exits"
    GOES_SILENT = "goes_silent"
    GOES_OFFLINE = "goes_offline"
    VANISHES = "vanishes"
    OUTBID = "outbid"
    TERM_ENDS = "term_ends"
    PRICE_RAISED = "price_raised"
    ADDRESS_CHANGES = "address_changes"


class Trust(StrEnum):
    """How far a machine can be trusted, by what its offer says."""

    TRUSTED = "trusted"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"


TRUSTED_RELIABILITY_MIN: Final = 0.99
# A fault that only means something to one operation; scripting it elsewhere is a mistake worth a message.
ONLY_FOR: Final[Mapping[AnswerFault, Operation]] = MappingProxyType(
    {
        AnswerFault.SEARCH_QUOTA_EXCEEDED: Operation.SEARCH,
        AnswerFault.SEARCH_CAPPED: Operation.SEARCH,
        AnswerFault.FILTER_IGNORED: Operation.SEARCH,
        AnswerFault.OFFER_GONE_404: Operation.CREATE,
        AnswerFault.OFFER_GONE_410: Operation.CREATE,
        AnswerFault.OFFER_GONE_400: Operation.CREATE,
        AnswerFault.CREATED_STOPPED: Operation.CREATE,
        AnswerFault.WRONG_MACHINE: Operation.CREATE,
        AnswerFault.BID_IGNORED: Operation.CREATE,
        AnswerFault.RESOURCES_UNAVAILABLE: Operation.START,
        AnswerFault.EMPTY_LIST: Operation.LIST,
    },
)


def trust_of(*, verified: bool, reliability: float) -> Trust:
    """Class a machine as the failure shares below are given."""
    if not verified:
        return Trust.UNVERIFIED
    return Trust.TRUSTED if reliability >= TRUSTED_RELIABILITY_MIN else Trust.VERIFIED


def fault_of(name: str) -> AnswerFault | Fate:
    """Return the fault of this name. Raises ValueError when there is none."""
    return Fate(name) if name in [*Fate] else AnswerFault(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """Every call of `operation` meets `fault` with this probability; a fate can only meet a create."""

    operation: Operation
    fault: AnswerFault | Fate
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
        Fate.DOCKER_ERROR: 4.0,
        Fate.DOCKER_ERROR_EXITED: 3.0,
        Fate.LOADING_FOR_EVER: 2.0,
        Fate.NEVER_SCHEDULED: 1.0,
        Fate.OCI_ERROR: 2.0,
        Fate.EXITS: 2.0,
        Fate.SLOW: 3.0,
        Fate.GOES_SILENT: 2.0,
        Fate.GOES_OFFLINE: 2.0,
        Fate.VANISHES: 1.0,
        Fate.TERM_ENDS: 1.0,
        Fate.PRICE_RAISED: 1.0,
        Fate.ADDRESS_CHANGES: 1.0,
    },
)
# Not drawn for a host: an outbid is the market's doing, a wrong image name the caller's.
UNDRAWN_FATES: Final = frozenset({Fate.OUTBID, Fate.IMAGE_MISSING, Fate.IMAGE_PRIVATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """Everything that may go wrong. Without arguments nothing does.

    `failure_share` is the share of new contracts that meet a fate, by the machine's trust; which one is drawn by
    `fate_weights`. A machine whose last contract failed fails again, in the same way, with `repeat_share`. `strikes_after` is how
    long a contract runs before an exit, outage or disappearance, `outage` how long a machine is offline, `silence` how long it
    is only not heard; all on the world's clock. A TERM_ENDS or PRICE_RAISED contract is made with a term of `short_term`.
    `list_lag_share` of creates and destroys are missing from (or still in) the list for `list_lag`. `slow_factor` is the
    performance of a SLOW machine beside an honest one. On every host, `missing_images` are not found and `private_images` denied.

    Of the answers: each takes `latency`, a SLOW_ANSWER `slow_answer`, both in seconds of the wall whatever the world's clock does.
    `retry_after_s` goes into the header of every 429; the documented service sends none.
    """

    chances: tuple[Chance, ...] = ()
    scripted: tuple[Scripted, ...] = ()
    failure_share: Mapping[Trust, float] = field(default_factory=lambda: NO_FAILURES)
    fate_weights: Mapping[Fate, float] = field(default_factory=lambda: FATE_WEIGHTS)
    strikes_after: Span = Span(least_s=30.0, most_s=3 * 3600.0)
    outage: Span = Span(least_s=60.0, most_s=2 * 3600.0)
    silence: Span = Span(least_s=20.0, most_s=900.0)
    short_term: Span = Span(least_s=2 * 3600.0, most_s=24 * 3600.0)
    repeat_share: float = 0.6
    missing_images: frozenset[str] = frozenset()
    private_images: frozenset[str] = frozenset()
    latency: Span | None = None
    slow_answer: Span = Span(least_s=30.0, most_s=130.0)
    retry_after_s: float | None = None
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
            *_everywhere(AnswerFault.DROPPED_BEFORE, 0.0025 * factor),
            *_everywhere(AnswerFault.DROPPED_AFTER, 0.0025 * factor),
            *_everywhere(AnswerFault.RATE_LIMITED_JSON, 0.002 * factor),
            Chance(operation=Operation.SEARCH, fault=AnswerFault.SEARCH_CAPPED, probability=0.02 * factor),
            Chance(operation=Operation.SEARCH, fault=AnswerFault.FILTER_IGNORED, probability=0.01 * factor),
            Chance(operation=create, fault=AnswerFault.OFFER_GONE_404, probability=0.03 * factor),
            Chance(operation=create, fault=AnswerFault.OFFER_GONE_410, probability=0.01 * factor),
            Chance(operation=create, fault=AnswerFault.OFFER_GONE_400, probability=0.005 * factor),
            Chance(operation=create, fault=AnswerFault.CREATED_STOPPED, probability=0.005 * factor),
            Chance(operation=create, fault=AnswerFault.WRONG_MACHINE, probability=0.002 * factor),
            Chance(operation=create, fault=AnswerFault.BID_IGNORED, probability=0.01 * factor),
            Chance(operation=start, fault=AnswerFault.RESOURCES_UNAVAILABLE, probability=0.05 * factor),
            # Not documented for the real service; a scaler must survive these all the same, so only hostile worlds have them.
            *_everywhere(AnswerFault.SLOW_ANSWER, 0.002 if factor > 1 else 0.0),
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
