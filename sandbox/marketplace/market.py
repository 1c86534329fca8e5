"""Make a market: hosts and their machines, as mixed as the real one.

Every number is drawn from what was observed (see `observed` and `gpus`). Things that go together are drawn together: a host has a
favourite model, a level of prices and one line to the Internet; a machine's disk, memory, cores and ports follow its number of
GPUs; its lowest bid follows its price. Garbage happens in the real data and therefore here: a measured bandwidth of 0 or of minus a
trillion, a benchmark near nothing, a lowest bid above the price, and terms of decades.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sandbox.marketplace import observed
from sandbox.marketplace.gpus import MODELS, YEAR_DEFAULT, YEARS, GpuModel
from sandbox.marketplace.ledger import micro_usd
from sandbox.marketplace.machine import Board, Hardware, Host, Machine, Network

Value = TypeVar("Value")
_DAY_S: Final = 86_400.0
_PRICE_MICRO_USD_MIN: Final = 1_000
# How far a machine's place in a distribution lies from its host's, and one direction of a line from the other (correlation 0.79).
_PRICE_SIGMA: Final = 0.2
_LINE_SIGMA: Final = 0.17


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOptions:
    """How big and how lively the market is. `year` chooses models, prices and drivers: 2024 or 2026.

    Rivals are other renters: one looks at a machine `rivals_per_machine_hour` times an hour and keeps what it takes for
    `rival_hours` on average, so about `rate x hours / (1 + rate x hours)` of the GPUs are taken: half by default, as in December
    2025 (9,579 GPUs rented, 9,336 free). Of them `bidder_share` bid; where there are rivals at all, somebody sooner or later bids
    more than you do (see `spot`). Hosts change prices about 4 % of the time per hour (67,031 offers of 2026).
    """

    machines: int = 300
    year: int = YEAR_DEFAULT
    rivals_per_machine_hour: float = 0.05
    rival_hours: float = 20.0
    bidder_share: float = 0.3
    reprices_per_machine_hour: float = 0.04

    def __post_init__(self) -> None:
        """Refuse a year that nobody has observed."""
        if self.year not in YEARS:
            raise ValueError(f"year must be one of {', '.join(map(str, YEARS))}, not {self.year}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    """What a host's machines have in common besides its name; shares are places in a distribution, 0 to 1."""

    model: GpuModel
    price: float
    down: float
    up: float


def make_machines(options: MarketOptions, rng: random.Random, *, now_s: float) -> list[Machine]:
    """Return the market's machines, all GPUs free. Machine ids, host ids and GPU ids are unique."""
    machines: list[Machine] = []
    host_id, gpu_id = 100_000, 400_000
    while len(machines) < options.machines:
        host_id += rng.randint(1, 900)
        host, habits = _host(host_id, rng), _habits(options.year, rng)
        for _ in range(min(round(observed.MACHINES_PER_HOST.draw(rng)), options.machines - len(machines))):
            machine_id = 10_000 + 7 * len(machines) + rng.randint(0, 6)
            model = habits.model if rng.random() < observed.SAME_MODEL_SHARE else _model(options.year, rng)
            maker = _Maker(rng=rng, year=options.year, now_s=now_s, host=host, habits=habits, model=model)
            machines.append(maker.machine(machine_id, first_gpu_id=gpu_id))
            gpu_id += len(machines[-1].free)
    return machines


def new_term_ends_s(rng: random.Random, *, now_s: float) -> float:
    """Return until when a host promises a machine, in whole seconds."""
    return float(round(now_s + observed.TERM_S.draw(rng)))


def _pick(weights: Mapping[Value, int], rng: random.Random) -> Value:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _or_null(value: Value, rng: random.Random) -> Value | None:
    return None if rng.random() < observed.NULL_SHARE else value


def _near(share: float, sigma: float, rng: random.Random) -> float:
    """Return a place near another; reflected at the ends, so that places remain evenly spread over all."""
    moved = abs(share + rng.gauss(0.0, sigma)) % 2.0
    return 2.0 - moved if moved > 1.0 else moved


def _model(year: int, rng: random.Random) -> GpuModel:
    models = MODELS[year]
    return rng.choices(models, weights=[model.machines for model in models])[0]


def _habits(year: int, rng: random.Random) -> _Habits:
    down = rng.random()
    return _Habits(model=_model(year, rng), price=rng.random(), down=down, up=_near(down, _LINE_SIGMA, rng))


def _host(host_id: int, rng: random.Random) -> Host:
    verification = _pick(observed.VERIFICATIONS, rng)
    country = _pick(observed.COUNTRIES, rng)
    code = {"verified": 1, "unverified": 0}.get(verification)
    return Host(
        host_id=host_id,
        geolocation=f"{observed.PLACES[country]}, {country}",
        geolocode=rng.randint(1, 2**31 - 1),
        verification=verification,
        vericode=_pick(observed.DEVERIFIED_CODES, rng) if code is None else code,
        datacenter=rng.random() < observed.DATACENTER_SHARE[verification],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Everything that one machine is drawn from."""

    rng: random.Random
    year: int
    now_s: float
    host: Host
    habits: _Habits
    model: GpuModel

    def machine(self, machine_id: int, *, first_gpu_id: int) -> Machine:
        """Return one machine of this host."""
        hardware = self._hardware(machine_id, first_gpu_id)
        price = self.model.price_micro_usd_per_hour.at(_near(self.habits.price, _PRICE_SIGMA, self.rng))
        bid = price * self.model.bid_ratio.draw(self.rng)
        return Machine(
            hardware=hardware,
            price_micro_usd_per_hour=max(_PRICE_MICRO_USD_MIN, round(price)),
            bid_micro_usd_per_hour=max(_PRICE_MICRO_USD_MIN, round(bid)),
            term_ends_s=new_term_ends_s(self.rng, now_s=self.now_s),
            free=list(hardware.gpu_ids),
        )

    def _hardware(self, machine_id: int, first_gpu_id: int) -> Hardware:
        rng, model = self.rng, self.model
        gpus = _pick(model.sizes, rng)
        driver = _pick(observed.DRIVERS[self.year], rng)
        return Hardware(
            machine_id=machine_id,
            host=self.host,
            gpu=model,
            gpu_ids=tuple(range(first_gpu_id, first_gpu_id + gpus)),
            unit=_pick(observed.UNITS[observed.size_class(gpus)], rng) or gpus,
            dlperf=model.dlperf * observed.DLPERF_SPREAD.draw(rng),
            tflops=model.tflops * rng.uniform(0.97, 1.03),
            bandwidth_gb_s=round(model.bandwidth_gb_s * rng.uniform(0.97, 1.03), 1),
            gpu_max_temp=float(round(observed.GPU_MAX_TEMP.draw(rng))),
            board=self._board(gpus),
            network=self._network(gpus),
            driver_version=driver,
            cuda_max_good=observed.CUDA_BY_DRIVER[driver[:3]],
            reliability=round(observed.RELIABILITY[self.host.verification].draw(rng), 7),
            storage_micro_usd_per_gb_month=micro_usd(observed.STORAGE_USD_PER_GB_MONTH.draw(rng)),
            listed_at_s=self.now_s - rng.uniform(0.0, 30 * _DAY_S),
        )

    def _board(self, gpus: int) -> Board:
        rng, size = self.rng, observed.size_class(gpus)
        linked = self.model.name.startswith(("A100 SXM", "H100 SXM", "H200", "B200"))
        return Board(
            cpu_name=_or_null(_one_of(observed.CPUS, rng), rng),
            cpu_cores=max(2, 2 * round(observed.CPU_CORES[size].draw(rng) / 2)),
            cpu_ghz=_or_null(round(rng.uniform(2.2, 4.6), 1), rng),
            cpu_ram_mb=round(observed.CPU_RAM_MB[size].draw(rng)),
            mobo_name=_or_null(_one_of(observed.BOARDS, rng), rng),
            os_version=_or_null(_pick(observed.SYSTEMS, rng), rng),
            disk_name=_or_null(_one_of(observed.DISKS, rng), rng),
            disk_gb=round(observed.DISK_GB[size].draw(rng), 2),
            disk_mb_s=round(observed.DISK_MB_S.draw(rng), 1),
            pci_gen=_pick(observed.PCI_GENS, rng),
            pcie_gb_s=_or_null(round(observed.PCIE_GB_S.draw(rng), 1), rng),
            lanes=_pick(observed.LANES, rng),
            nvlink_gb_s=300.0 if linked or rng.random() < observed.NVLINK_SHARE else 0.0,
        )

    def _network(self, gpus: int) -> Network:
        rng = self.rng
        down, up = (_near(share, _LINE_SIGMA / 2, rng) for share in (self.habits.down, self.habits.up))
        return Network(
            up_mbit_s=-1.8e12 if rng.random() < observed.GARBAGE_SHARE else round(observed.INET_UP_MBIT_S.at(up), 1),
            down_mbit_s=round(observed.INET_DOWN_MBIT_S.at(down), 1),
            up_micro_usd_per_gb=micro_usd(observed.INET_UP_USD_PER_GB.draw(rng)),
            down_micro_usd_per_gb=micro_usd(observed.INET_DOWN_USD_PER_GB.draw(rng)),
            ports=round(observed.PORTS[observed.size_class(gpus)].draw(rng)),
            static_ip=rng.random() < observed.STATIC_IP_SHARE,
            # TEST-NET-1 and -2: documentation addresses, which belong to nobody.
            public_ipaddr=f"{rng.choice(('192.0.2', '198.51.100'))}.{rng.randint(1, 254)}",
        )


def _one_of(names: Sequence[str], rng: random.Random) -> str:
    return rng.choice(names)
