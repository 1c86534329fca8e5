"""What the scaler remembers of a group between ticks: demand seen, performance learned, machines to avoid.

Stored as one JSON attribute of the `SCALER` item, written by the scaler alone. Missing state is the empty state, and the empty
state never shrinks a fleet: what has not been observed is unknown, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.core.model import Autogroup


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPerf:
    """Measured performance of one autogroup on one GPU model: running means over `samples` workers, perf in load units per second.

    `dlperf` is the marketplace's own benchmark of the same machines: their ratio predicts GPU models that were never measured.
    `deviations` is the sum of the squared deviations of log perf from its mean. See `core.expecting`.
    """

    perf: float
    samples: int
    dlperf: float = 0.0
    deviations: float = 0.0
    measured_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRecord:
    """How rents of one autogroup, or on one host, went of late: those that became ready, those that did not, and in how long.

    `boot_s` is the mean time from rent to ready, 0 while none was seen. Counts are halved now and then, so that the past fades.
    """

    ready: float = 0.0
    failed: float = 0.0
    boot_s: float = 0.0
    at_s: float = 0.0  # of the last event


@dataclass(frozen=True, slots=True, kw_only=True)
class Avoided:
    """A machine that failed us at `since_s`: not rented again before `until_s` while there is any other.

    `worker_id` is the worker that showed it, `fault` what kind of failure it was (`plan.Fault`).
    """

    machine_id: int
    until_s: float
    reason: str
    since_s: float = 0.0
    host_id: int = 0
    worker_id: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BidRecord:
    """How bidding for one autogroup went: bids `lost` in so many `hours` of running ones. See `core.bidding`.

    `lost_at_s`: the newest losses. Nothing is bid before `hold_until_s`; `hold_s` is how long that hold is or was. `returning` is
    the worker on demand that a bid is to replace, "" if there is none.
    """

    lost: float = 0.0
    hours: float = 0.0
    lost_at_s: tuple[float, ...] = ()
    hold_s: float = 0.0
    hold_until_s: float = 0.0
    looked_at_s: float = 0.0
    returning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A worker's totals when it began to be watched, by its report of `at_s`: see `core.watching`.

    `queued`: at every look since, more requests were there than slots. `sent_at_s`: since when requests were sent to it and none
    has arrived, 0 while that is not so.
    """

    at_s: float
    run_id: str
    received_load: float
    finished_load: float
    finished_requests: int
    failed_requests: int
    reqnum: int
    queued: bool
    sent_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPerf:
    """What a worker served with real requests, in load per second, over so many of them."""

    perf: float
    requests: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Nothing is rented for one autogroup before `until_s`."""

    until_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What the workers of an autogroup should be: of this version, and born at `asked_at_s` or later (0: whenever)."""

    version: str
    asked_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How far an autogroup's present edition has come: see `core.rollout`.

    `good` is the edition that was proven last, None before any was, and `good_spec` how its workers are started, without what is
    secret: of that, only the digests are known here.
    """

    wanted: Edition
    secrets: str = ""  # digest of what is secret in `wanted`
    settles_at_s: float = 0.0  # nothing follows from it before
    proven: bool = False
    failed_workers: tuple[str, ...] = ()  # those that spoke against it, in a row
    failure: str = ""  # why it was given up
    good: Edition | None = None
    good_secrets: str = ""
    good_spec: Autogroup | None = None
    unversioned: str = ""  # the version of workers that were rented before versions were noted


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandSample:
    """Totals at one moment: load ever assigned and load waiting, for rates over a window.

    `open_requests` were in flight or waiting; None: not counted then.
    """

    at_s: float
    assigned_load: float
    waiting_load: float
    open_requests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPeak:
    """The highest load per second, and the most open requests, seen in the interval that began at `from_s`."""

    from_s: float
    load_per_s: float
    open_requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastingLoad:
    """The mean of the arriving load over the last hour or so, as of `at_s`: what has lasted."""

    at_s: float
    load_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What load per second the smallest fleet has that would have begun all that came until `at_s`."""

    at_s: float
    load_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """The bursts that no later one has equalled, oldest and highest first: see `core.standby`. `since_s`: None before any look."""

    since_s: float | None = None
    peaks: tuple[Burst, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SurgeWatch:
    """Of a state, and of the level of load that it belongs to, since when it is watched, and how many were open at most."""

    since_s: float
    highest: int
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surges:
    """How many requests came to be open: see `core.surge`. `counts` is by level of load or state within it, then by step."""

    watches: tuple[SurgeWatch, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeasonSlot:
    """The load that a part of a day or week brought: in this `period` (its number) so far, in the last, and in the one before."""

    period: int
    load: float = 0.0
    last: float | None = None
    before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """The shape of days and weeks, by the number of the quarter of an hour and of the hour: see `core.season`."""

    at_s: float = 0.0
    day: Mapping[str, SeasonSlot] = field(default_factory=dict)
    week: Mapping[str, SeasonSlot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedTime:
    """Times that were measured, as logarithms of seconds: how many count, their mean, the sum of their squared deviations."""

    samples: float = 0.0
    mean_log: float = 0.0
    deviations: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditReading:
    """What was left of the account's credit at one moment."""

    at_s: float
    micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerState:
    """Everything remembered. `learned` is keyed `<autogroup>|<gpu model>|<number of GPUs>`."""

    samples: tuple[DemandSample, ...] = ()
    learned: Mapping[str, LearnedPerf] = field(default_factory=dict)
    avoided: tuple[Avoided, ...] = ()
    last_demand_at_s: float | None = None  # None: not known, which is not "never"
    peaks: tuple[LoadPeak, ...] = ()  # over the group's scale_down_window, oldest first
    lasting: LastingLoad | None = None  # None: nothing was seen
    surges: Surges = Surges()
    bursts: Bursts = Bursts()
    season: Season = Season()
    boot_time: LearnedTime = LearnedTime()  # from a rent to a worker that serves
    start_time: LearnedTime = LearnedTime()  # from the start of a stopped one
    halted_until_s: float = 0.0  # no renting before: the marketplace refused, or an image fails everywhere
    halted_reason: str = ""
    retired_assigned_load: float = 0.0  # assigned load of workers that are gone, so that totals never fall
    boot_failures: Mapping[str, int] = field(default_factory=dict)  # by autogroup: boots failed since one last succeeded
    unreached: Mapping[str, int] = field(default_factory=dict)  # by autogroup: unreachable workers since one was last reached
    watched: Mapping[str, Watch] = field(default_factory=dict)  # by worker id
    watched_last: str = ""  # where the watch of a large fleet stands in its round
    observed: Mapping[str, ObservedPerf] = field(default_factory=dict)  # by worker id
    halted_autogroups: Mapping[str, Halt] = field(default_factory=dict)  # the crash breaker, by autogroup
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)  # by autogroup
    unready_since_s: Mapping[str, float] = field(default_factory=dict)  # by worker id: READY to us, not ready by its own word
    unlisted: Mapping[str, int] = field(default_factory=dict)  # by worker id: how many lists in a row lacked an intended rent
    shards: tuple[int, ...] = ()  # those that hold workers, so that routers of a small fleet in a large group find it
    credit: tuple[CreditReading, ...] = ()  # since the last payment, oldest first
    credit_asked_at_s: float = 0.0  # answered or not
    boots: Mapping[str, BootRecord] = field(default_factory=dict)  # by autogroup
    hosts: Mapping[str, BootRecord] = field(default_factory=dict)  # by host id
    bids: Mapping[str, BidRecord] = field(default_factory=dict)  # by autogroup
    bids_at_s: float = 0.0  # when the hours of bidding were counted last
    stay_s: float = 0.0  # mean time from rent to release of workers that nothing was wrong with, 0 while none was seen
    said: tuple[str, ...] = ()  # the sentences of the last decision, so that an unchanged one is not recorded again
