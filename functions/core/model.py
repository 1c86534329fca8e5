"""The nouns of Headgate as values: endpoint group, autogroup, offer, worker, waiting request.

Units: load in the backend's load units, `perf` in load units per second, times in epoch seconds (`_s`), money in
integer micro-dollars (`_micro_usd`), prices in micro-dollars per hour. Parameter names of endpoint groups and autogroups are
Vast's, unchanged, so that a configuration can be carried over.

A worker is three records with one writer each, and is stored as one item: `Rental` (scale), `Condition` (report),
`Assignments` (route).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.core.civil_time import Zone
from functions.core.cron import Cron
from functions.core.lifecycle import WorkerState
from protocol.report import REPORT_VERSION, Phase


class EndpointState(enum.StrEnum):
    """What the owner wants of a group: serve, hold the fleet as it is, or hold no running worker."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    STOPPED = "stopped"


class RentalType(enum.StrEnum):
    """How a machine is rented, as the marketplace's search spells it in the official client.

    `ON_DEMAND`: at the listed price, for as long as the offer lasts. `INTERRUPTIBLE`: at our bid; whoever bids more, or rents on
    demand, stops it. `RESERVED`: offers that can be prepaid for a discount; until a person does that, it bills like `ON_DEMAND`.
    """

    ON_DEMAND = "on-demand"
    INTERRUPTIBLE = "interruptible"
    RESERVED = "reserved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blacklist:
    """What the owner says of machines and hosts, by the marketplace's ids: never rented, or rented whatever was learned."""

    machines: tuple[int, ...] = ()
    hosts: tuple[int, ...] = ()
    allow: tuple[int, ...] = ()

    def names(self, *, machine_id: int, host_id: int) -> bool:
        """Tell whether this machine is never to be rented."""
        return machine_id in self.machines or host_id in self.hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledParameters:
    """Parameters of an endpoint group that a schedule sets; None: as they are. Ceilings and state can only be lowered."""

    max_workers: int | None = None
    max_hourly_cost_micro_usd: int | None = None
    min_load: float | None = None
    min_cold_load: float | None = None
    target_util: float | None = None
    cold_mult: float | None = None
    cold_workers: int | None = None
    test_workers: int | None = None
    target_queue_time: float | None = None
    inactivity_timeout: float | None = None
    scale_down_window: float | None = None
    shortage_cost: float | None = None
    endpoint_state: EndpointState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What holds of a group from when `cron` fires: for `for_s` seconds, or until another schedule sets the same (None)."""

    cron: Cron
    sets: ScheduledParameters
    zone: Zone
    for_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointGroup:
    """What clients call by name, and how its fleet may grow.

    `scale_down_window` is how many seconds of the past count: what was needed within them is kept. `shortage_cost` is how many
    times dearer a second without a worker that is needed is than a second of one that idles: it sets the headroom of slots, and for
    how long a stopped worker is kept (0: neither).

    `schedules`, by name, change parameters at times: see `core.schedules`.

    `max_queue_time` and `target_queue_time` are seconds; `inactivity_timeout` is seconds without demand before the group may go
    to zero (0: at once, negative: never); `min_load` and `min_cold_load` are load units per second.
    """

    endpoint: str
    max_workers: int
    max_hourly_cost_micro_usd: int
    min_load: float = 0.0
    min_cold_load: float = 0.0
    target_util: float = 0.9
    cold_mult: float = 2.5
    cold_workers: int = 0
    test_workers: int = 1
    max_queue_time: float = 30.0
    target_queue_time: float = 10.0
    inactivity_timeout: float = 300.0
    scale_down_window: float = 180.0
    shortage_cost: float = 20.0
    ticket_ttl_s: int = 60
    update_surge: str = "25%"  # workers more than needed while an autogroup's are replaced: a number or a percentage, at least one
    update_perf_min: float = 0.5  # share of the performance before, below which a new version counts as failed
    endpoint_state: EndpointState = EndpointState.ACTIVE
    interruptible_share_max: float = 1.0  # of the running workers: how many may be rented by a bid
    blacklist: Blacklist = Blacklist()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Autogroup:
    """One machine configuration that can serve a group. `env` holds no secret: those are merged in at the rent.

    `search_params` and `search_order` are in the language of `core.query`. An interruptible one bids `bid_factor` times the least
    bid of an offer, and never more than `max_bid_micro_usd` per machine and hour. With `on_demand_fallback` it may rent on
    demand where no bid can be had, or bids are lost one after the other (`core.bidding`).
    """

    name: str
    search_params: str
    search_order: str = ""
    rental_type: RentalType = RentalType.ON_DEMAND
    bid_factor: float = 1.1
    max_bid_micro_usd: int = 0
    on_demand_fallback: bool = False
    image: str | None = None
    template_hash: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    onstart: str | None = None
    launch_args: str = ""
    gpu_ram: float = 0.0
    disk_gb: float = 16.0
    download_gb: float | None = None  # what a new machine downloads, image and model; None: not said
    traffic_gb_per_hour: float = 0.0  # what a serving machine sends
    boot_timeout_s: float = 900.0
    report_addr_token: bool = False  # put the worker's token into REPORT_ADDR, for workers that know of no token


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A machine for rent now. Prices are for the disk size that was searched for, and with our bid where it is rented by one.

    Traffic is billed by the gigabyte, in and out. `ends_in_s`: for how long the host offers it, None if it does not say.
    """

    offer_id: int
    machine_id: int
    host_id: int
    gpu_name: str
    num_gpus: int
    running_micro_usd_per_hour: int  # GPU and storage: what it bills while running
    stopped_micro_usd_per_hour: int  # storage alone: what it bills while stopped
    dlperf: float
    reliability: float
    geolocation: str = ""
    bid_micro_usd_per_hour: int | None = None  # for the machine without its storage; None: on demand
    down_micro_usd_per_gb: int = 0
    up_micro_usd_per_gb: int = 0
    down_mbit_per_s: float = 0.0  # 0: not said
    ends_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What the marketplace says of one rented machine. `running` is what it does, `wants_running` what was asked of it.

    What it does not say is 0, empty or None: unknown, and never taken for a difference.
    """

    instance_id: int
    label: str
    status: str
    running: bool
    wants_running: bool
    failed: bool = False  # the marketplace says that it will not run: image or daemon error, offline
    message: str = ""
    ends_at_s: float | None = None  # when the host's term ends, and with it the contract
    machine_id: int = 0
    gpu_name: str = ""
    num_gpus: int = 0
    interruptible: bool | None = None
    running_micro_usd_per_hour: int = 0
    stopped_micro_usd_per_hour: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """What the scaler knows and wants of a worker."""

    state: WorkerState
    state_since_s: float
    autogroup: str
    created_at_s: float
    instance_id: int | None = None
    offer_id: int = 0
    machine_id: int = 0
    host_id: int = 0
    gpu_name: str = ""
    num_gpus: int = 1
    bid_micro_usd_per_hour: int | None = None  # what was bid for the machine; None: rented on demand
    running_micro_usd_per_hour: int = 0
    raised_from_micro_usd_per_hour: int = 0  # what it cost before the price was raised, 0: it never was
    stopped_micro_usd_per_hour: int = 0
    up_micro_usd_per_gb: int = 0
    dlperf: float = 0.0
    reason: str = ""
    drain_to: WorkerState | None = None  # STOPPING or DESTROYING: what follows the drain
    boot_started_at_s: float = 0.0  # only reports received after it speak of this boot
    autogroup_version: str = ""  # what the worker was born as (core.version); "" if that was not noted


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What the worker said last. `reported_at_s` is the report function's clock, 0 before the first report."""

    phase: Phase = Phase.STARTING
    run_id: str = ""
    seq: int = 0
    reported_at_s: float = 0.0
    url: str = ""
    perf: float = 0.0
    slots: int = 0
    loadtime_s: float = 0.0
    received_load: float = 0.0
    finished_load: float = 0.0
    written_off_load: float = 0.0
    in_flight: int = 0
    finished_requests: int = 0
    failed_requests: int = 0
    error: str = ""
    perf_flags: tuple[str, ...] = ()
    cert_sha256: str = ""
    version: str = REPORT_VERSION
    # Of Vast's own workers alone (see `core.vast_load`): load in flight, and what routers had assigned by the last report and by
    # the one before it.
    in_flight_load: float | None = None
    assigned_seen_load: float = 0.0
    assigned_before_load: float = 0.0
    queue_depth: int | None = None
    cache_use: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignments:
    """What routers have given to a worker: totals that only grow.

    The last two are what was known when nothing was on its way to the worker (see `core.routing`): how much of the assigned
    load was done with, and what the worker said that it had finished.
    """

    assigned_load: float = 0.0
    reqnum: int = 0
    ticket_expires_at_s: float = 0.0  # of the newest ticket
    settled_load: float = 0.0
    settled_finished_load: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a router notes with an assignment when nothing was on its way before it: see `Assignments`."""

    settled_load: float
    settled_finished_load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker: our own id, made before the rent, and the three records about it."""

    worker_id: str
    endpoint: str
    rental: Rental
    condition: Condition = Condition()
    assignments: Assignments = Assignments()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRequest:
    """A request that found no room. `worker_id` is set once it has been assigned (the record then serves re-routing).

    `replay_timeout_s` is after how many seconds its client gives up on a worker, None if it did not say.
    """

    request_idx: int
    cost: float
    arrived_at_s: float
    polled_at_s: float
    worker_id: str | None = None
    attempts: int = 0
    avoid: tuple[str, ...] = ()  # workers that failed it
    replay_timeout_s: float | None = None


class Scope(enum.StrEnum):
    """What an API key may be used for."""

    ROUTE = "route"  # send requests
    READ = "read"  # see workers and decisions
    UPDATE = "update"  # have workers replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Whom a key lets in, for what, and until when (None: no end). Only the SHA-256 of the key is stored.

    `label` is the client's name in the stack file, which its keys share while one replaces another. The limits, None for none, are
    the client's too: see `core.rate_limit`.
    """

    key_sha256: str
    endpoints: frozenset[str]
    scopes: frozenset[Scope] = frozenset({Scope.ROUTE})
    expires_at_s: float | None = None
    label: str = ""
    requests_per_s: float | None = None
    load_per_s: float | None = None


def fleet_shards(max_workers: int) -> int:
    """Return over how many partition keys a group's workers are spread: one per 64 workers, so that no partition runs hot."""
    return max(1, -(-max_workers // WORKERS_PER_SHARD))


def shard_of(worker_id: str) -> int:
    """Return the shard of a worker's item: its id names it (`w<shard>-…`), so that it is found after the count changes."""
    return int(worker_id[1 : worker_id.index("-")])


WORKERS_PER_SHARD = 64
