"""A machine for rent: what it is (`Hardware`, never changes) and how it stands (`Machine`: price, free GPUs, link).

A machine with k free GPUs is listed as several *overlapping* offers: of its smallest unit (`unit`), twice that, four times, and
all that is left, each at the same price per GPU and with disk, memory, cores and ports prorated. Every offer is a prefix of the
same order of free GPUs, so taking any one of them takes GPUs from every other.

Invariants: `free`, `holds` and every contract's GPUs partition `hardware.gpu_ids`; nothing is in two hands.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.marketplace.agenda import HostSays
from sandbox.marketplace.gpus import GpuModel
from sandbox.marketplace.lifecycle import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Who owns machines: the location and trust that all of them share."""

    host_id: int
    geolocation: str
    geolocode: int
    verification: str
    vericode: int
    datacenter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A machine's line. Speeds are Mbit/s as measured (a broken measurement reads 0 or nonsense), prices per GB."""

    up_mbit_s: float
    down_mbit_s: float
    up_micro_usd_per_gb: int
    down_micro_usd_per_gb: int
    ports: int
    static_ip: bool
    public_ipaddr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Processor, memory and disk of the whole machine. Names are None where the real market's rows have null."""

    cpu_name: str | None
    cpu_cores: int
    cpu_ghz: float | None
    cpu_ram_mb: int
    mobo_name: str | None
    os_version: str | None
    disk_name: str | None
    disk_gb: float
    disk_mb_s: float
    pci_gen: float
    pcie_gb_s: float | None
    lanes: int
    nvlink_gb_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a machine is. `dlperf` and `tflops` are per GPU and this machine's own, around its model's."""

    machine_id: int
    host: Host
    gpu: GpuModel
    gpu_ids: tuple[int, ...]
    unit: int
    dlperf: float
    tflops: float
    bandwidth_gb_s: float
    gpu_max_temp: float
    board: Board
    network: Network
    driver_version: str
    cuda_max_good: float
    reliability: float
    storage_micro_usd_per_gb_month: int
    listed_at_s: float

    @property
    def verified(self) -> bool:
        """Whether the marketplace has verified it."""
        return self.host.verification == "verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a rival has of a machine; a bid of None pays the full price, and nobody can outbid that."""

    gpu_ids: tuple[int, ...]
    bid_micro_usd_per_gpu_hour: int | None


@dataclass(slots=True, kw_only=True)
class Machine:
    """How a machine stands.

    Prices are per GPU and hour. Until `term_ends_s` the host promises the machine; contracts lock the date they were made with.
    `moves` counts how often its public address changed, `images` are pulled already, `waiting` are queued
    contracts, `unheard` is what the host said while nobody heard it, `holds` is what rivals have, by number.
    """

    hardware: Hardware
    price_micro_usd_per_hour: int
    bid_micro_usd_per_hour: int
    term_ends_s: float
    free: list[int]
    link: Link = Link.ONLINE
    first_price_micro_usd_per_hour: int = 0
    outage: int = 0
    moves: int = 0
    images: set[str] = field(default_factory=set)
    contracts: set[int] = field(default_factory=set)
    waiting: list[int] = field(default_factory=list)
    unheard: list[HostSays] = field(default_factory=list)
    holds: dict[int, Hold] = field(default_factory=dict)
    last_hold: int = 0

    def __post_init__(self) -> None:
        """Remember what the host began with: its prices wander around it."""
        self.first_price_micro_usd_per_hour = self.first_price_micro_usd_per_hour or self.price_micro_usd_per_hour

    def offered_sizes(self) -> list[int]:
        """Return how many GPUs its offers have: the unit, doubled while it fits, and all that is free in whole units."""
        unit, whole = self.hardware.unit, len(self.free) // self.hardware.unit * self.hardware.unit
        sizes = []
        while unit < whole:
            sizes.append(unit)
            unit *= 2
        return [*sizes, whole] if whole else []

    def take(self, gpu_ids: tuple[int, ...]) -> None:
        """Hand out GPUs that are free."""
        for gpu_id in gpu_ids:
            self.free.remove(gpu_id)

    def hold(self, hold: Hold) -> int:
        """Hand free GPUs to a rival; returns the hold's number."""
        self.take(hold.gpu_ids)
        self.last_hold += 1
        self.holds[self.last_hold] = hold
        return self.last_hold

    def end_hold(self, number: int) -> bool:
        """Take back what a rival has; False if it lost it already."""
        hold = self.holds.pop(number, None)
        if hold is not None:
            self.give_back(hold.gpu_ids)
        return hold is not None

    def beaten(self, bid_micro_usd_per_gpu_hour: int | None, *, gpus: int) -> list[int] | None:
        """Return the rivals' holds that must end for so many GPUs to be free, lowest bids first; None if no bid is enough.

        None as a bid is the full price, which beats every bid.
        """
        missing, ending = gpus - len(self.free), list[int]()
        for number, hold in sorted(self.holds.items(), key=lambda item: item[1].bid_micro_usd_per_gpu_hour or 0):
            theirs = hold.bid_micro_usd_per_gpu_hour
            if missing <= 0:
                break
            if theirs is not None and (bid_micro_usd_per_gpu_hour is None or theirs < bid_micro_usd_per_gpu_hour):
                ending.append(number)
                missing -= len(hold.gpu_ids)
        return ending if missing <= 0 else None

    def give_back(self, gpu_ids: tuple[int, ...]) -> None:
        """Take GPUs back; the order of free GPUs is the machine's own again."""
        freed = {*self.free, *gpu_ids}
        self.free = [gpu_id for gpu_id in self.hardware.gpu_ids if gpu_id in freed]
