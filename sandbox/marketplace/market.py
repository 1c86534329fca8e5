"""Make a market: hosts and their machines, as mixed as the real one.

Marginals are seven quantiles each, fitted to the public marketplace dump of November 2024 (vast-ai/vast-python `search.json`,
MIT; 1,396 offers, 949 machines, 368 hosts); reliability is drawn by verification, because verified hosts really are better.
Garbage happens in the dump and therefore here: a measured bandwidth of 0 or of minus a trillion, and terms of decades.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sandbox.marketplace.gpus import GPU_MODELS, GpuModel
from sandbox.marketplace.ledger import micro_usd
from sandbox.marketplace.machine import Board, Hardware, Host, Machine, Network
from sandbox.marketplace.quantiles import Quantiles

Value = TypeVar("Value")
_DAY_S: Final = 86_400.0

# Share of hosts' machines by verification, and reliability within each.
VERIFICATIONS: Final = {"verified": 45, "unverified": 42, "deverified": 13}
RELIABILITY: Final = {
    "verified": Quantiles(0.8475, 0.970, 0.9907, 0.9960, 0.9983, 0.9994, 0.9997),
    "unverified": Quantiles(0.600, 0.9336, 0.9696, 0.9893, 0.9965, 0.9989, 0.9995),
    "deverified": Quantiles(0.8583, 0.9349, 0.9864, 0.9943, 0.9963, 0.9990, 0.9996),
}
DEVERIFIED_CODES: Final = {8: 84, 4: 70, 10: 15, 2: 9, 12: 6}
MACHINES_PER_HOST: Final = Quantiles(1, 1, 1, 1, 3, 8, 46)
STORAGE_USD_PER_GB_MONTH: Final = Quantiles(0.003, 0.067, 0.149, 0.20, 0.213, 0.667, 1.0)
INET_UP_MBIT_S: Final = Quantiles(0, 0, 107, 551, 845, 2586, 16382)
INET_DOWN_MBIT_S: Final = Quantiles(0, 0, 280, 744, 868, 6920, 31880)
INET_UP_USD_PER_GB: Final = Quantiles(0, 0, 0.000004, 0.002344, 0.005208, 0.013021, 0.1)
INET_DOWN_USD_PER_GB: Final = Quantiles(0, 0, 0.000003, 0.001953, 0.003906, 0.013021, 0.032552)
DISK_GB_PER_GPU: Final = Quantiles(4, 26, 187, 379, 750, 1666, 8046)
DISK_MB_S: Final = Quantiles(18, 212, 924, 2341, 3907, 6664, 31610)
CORES_PER_GPU: Final = Quantiles(1, 2, 6, 11, 16, 32, 128)
RAM_MB_PER_GPU: Final = Quantiles(544, 2910, 21382, 32200, 64399, 128990, 1031919)
PORTS_PER_GPU: Final = Quantiles(0, 9, 37, 99, 150, 999, 16383)
TERM_S: Final = Quantiles(89_347, 636_041, 2_155_237, 4_821_272, 9_929_716, 78_321_858, 2_371_642_795)
PCIE_GB_S: Final = Quantiles(0.1, 1.1, 7.3, 12.2, 22.9, 25.4, 54.9)
GPU_MAX_TEMP: Final = Quantiles(-5, 30, 57, 98, 98, 103, 105)
# A machine's own benchmark beside its model's median (RTX 4090: 5 % at 0.37, 95 % at 1.47).
DLPERF_SPREAD: Final = Quantiles(0.25, 0.41, 0.74, 1.0, 1.20, 1.45, 1.52)
STATIC_IP_SHARE: Final = 0.57
DATACENTER_SHARE: Final = 0.15
NVLINK_SHARE: Final = 0.03
NULL_SHARE: Final = 0.04
GARBAGE_SHARE: Final = 0.004
WHOLE_MACHINE_SHARE: Final = 0.4
SINGLE_GPU_SHARE: Final = 0.7

COUNTRIES: Final = {
    "US": 338, "CA": 179, "NO": 89, "SE": 82, "JP": 66, "CN": 62, "GB": 48, "ES": 46, "FR": 42, "KR": 40, "TW": 40, "PL": 32,
    "IS": 31, "NL": 24, "CZ": 23, "RO": 23, "BG": 20, "AE": 17, "HK": 17, "NZ": 17, "AU": 15, "DE": 15, "VN": 9, "BR": 4,
}  # fmt: skip
PLACES: Final = {
    "US": "Texas", "CA": "Quebec", "NO": "Norway", "SE": "Sweden", "JP": "Japan", "CN": "China", "GB": "United Kingdom",
    "ES": "Spain", "FR": "France", "KR": "South Korea", "TW": "Taiwan", "PL": "Poland", "IS": "Iceland",
    "NL": "Netherlands", "CZ": "Czechia",
    "RO": "Romania", "BG": "Bulgaria", "AE": "United Arab Emirates", "HK": "Hong Kong", "NZ": "New Zealand", "AU": "Australia",
    "DE": "Germany", "VN": "Vietnam", "BR": "Brazil",
}  # fmt: skip
DRIVERS: Final = {
    "535.183.01": 273, "560.35.03": 203, "550.90.07": 94, "550.127.05": 77, "550.120": 67, "550.107.02": 61, "555.58.02": 58,
    "535.171.04": 56, "550.76": 54, "535.154.05": 46,
}  # fmt: skip
CUDA_BY_DRIVER: Final = {"535": 12.2, "550": 12.4, "555": 12.5, "560": 12.6}
CPUS: Final = (
    "Xeon® E5-2680 v4 ",
    "AMD EPYC 7282 16-Core Processor",
    "AMD EPYC 7702 64-Core Processor",
    "AMD Ryzen 5 5600X 6-Core Processor",
)
BOARDS: Final = ("X99", "ROME2D32GM", "H12SSL", "ROMED8", "X10DRG")
DISKS: Final = ("nvme", "QEMU HARDDISK", "Corsair MP600 PRO XT", "WD_BLACK SN850X 4000GB")
SYSTEMS: Final = {"20.04": 487, "22.04": 426, "18.04": 19, "24.04": 3}
LANES: Final = {16: 614, 8: 234, 4: 53, 1: 44}
PCI_GENS: Final = {3.0: 477, 4.0: 414, 2.0: 32, 5.0: 22}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketOptions:
    """How big and how lively the market is.

    Rivals are other renters: one looks at a machine `rivals_per_machine_hour` times an hour and keeps what it takes for
    `rival_hours` on average, so machines are taken about `rate x hours / (1 + rate x hours)` of the time. Hosts change prices
    about 4 % of the time per hour (67,031 offers of 2026).
    """

    machines: int = 300
    rivals_per_machine_hour: float = 0.05
    rival_hours: float = 6.0
    reprices_per_machine_hour: float = 0.04


def make_machines(options: MarketOptions, rng: random.Random, *, now_s: float) -> list[Machine]:
    """Return the market's machines, all GPUs free. Machine ids, host ids and GPU ids are unique."""
    machines: list[Machine] = []
    host_id, gpu_id = 100_000, 400_000
    while len(machines) < options.machines:
        host_id += rng.randint(1, 900)
        host = _host(host_id, rng)
        for _ in range(min(round(MACHINES_PER_HOST.draw(rng)), options.machines - len(machines))):
            machine_id = 10_000 + 7 * len(machines) + rng.randint(0, 6)
            hardware = _hardware(machine_id, host, first_gpu_id=gpu_id, rng=rng, now_s=now_s)
            gpu_id += len(hardware.gpu_ids)
            machines.append(_machine(hardware, rng, now_s=now_s))
    return machines


def new_term_ends_s(rng: random.Random, *, now_s: float) -> float:
    """Return until when a host promises a machine, in whole seconds."""
    return float(round(now_s + TERM_S.draw(rng)))


def _pick(weights: dict[Value, int], rng: random.Random) -> Value:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _or_null(value: Value, rng: random.Random) -> Value | None:
    return None if rng.random() < NULL_SHARE else value


def _host(host_id: int, rng: random.Random) -> Host:
    verification = _pick(VERIFICATIONS, rng)
    country = _pick(COUNTRIES, rng)
    code = {"verified": 1, "unverified": 0}.get(verification)
    return Host(
        host_id=host_id,
        geolocation=f"{PLACES[country]}, {country}",
        geolocode=rng.randint(1, 2**31 - 1),
        verification=verification,
        vericode=_pick(DEVERIFIED_CODES, rng) if code is None else code,
        datacenter=rng.random() < DATACENTER_SHARE,
    )


def _machine(hardware: Hardware, rng: random.Random, *, now_s: float) -> Machine:
    share = rng.random()
    # A host that asks much also wants much from bidders: both prices sit near the same place in their distributions.
    bid_share = min(max(share + rng.gauss(0.0, 0.15), 0.0), 1.0)
    return Machine(
        hardware=hardware,
        price_micro_usd_per_hour=round(hardware.gpu.price_micro_usd_per_hour.at(share)),
        bid_micro_usd_per_hour=round(hardware.gpu.bid_micro_usd_per_hour.at(bid_share)),
        term_ends_s=new_term_ends_s(rng, now_s=now_s),
        free=list(hardware.gpu_ids),
    )


def _hardware(machine_id: int, host: Host, *, first_gpu_id: int, rng: random.Random, now_s: float) -> Hardware:
    model = rng.choices(GPU_MODELS, weights=[model.machines for model in GPU_MODELS])[0]
    gpus = _pick(model.sizes, rng)
    driver = _pick(DRIVERS, rng)
    speed = DLPERF_SPREAD.draw(rng)
    return Hardware(
        machine_id=machine_id,
        host=host,
        gpu=model,
        gpu_ids=tuple(range(first_gpu_id, first_gpu_id + gpus)),
        unit=_unit(gpus, rng),
        dlperf=model.dlperf * speed,
        tflops=model.tflops * rng.uniform(0.97, 1.03),
        bandwidth_gb_s=round(model.bandwidth_gb_s * rng.uniform(0.97, 1.03), 1),
        gpu_max_temp=round(GPU_MAX_TEMP.draw(rng)),
        board=_board(model, gpus, rng),
        network=_network(gpus, rng),
        driver_version=driver,
        cuda_max_good=CUDA_BY_DRIVER[driver[:3]],
        reliability=round(RELIABILITY[host.verification].draw(rng), 7),
        storage_micro_usd_per_gb_month=micro_usd(STORAGE_USD_PER_GB_MONTH.draw(rng)),
        listed_at_s=now_s - rng.uniform(0.0, 30 * _DAY_S),
    )


def _unit(gpus: int, rng: random.Random) -> int:
    """Return the smallest number of GPUs the host lets go at once."""
    if rng.random() < WHOLE_MACHINE_SHARE:
        return gpus
    if rng.random() < SINGLE_GPU_SHARE:
        return 1
    return 2 if gpus % 2 == 0 else gpus


def _board(model: GpuModel, gpus: int, rng: random.Random) -> Board:
    return Board(
        cpu_name=_or_null(_one_of(CPUS, rng), rng),
        cpu_cores=max(2, 2 * round(CORES_PER_GPU.draw(rng) * gpus / 2)),
        cpu_ghz=_or_null(round(rng.uniform(2.2, 4.6), 1), rng),
        cpu_ram_mb=round(RAM_MB_PER_GPU.draw(rng) * gpus),
        mobo_name=_or_null(_one_of(BOARDS, rng), rng),
        os_version=_or_null(_pick(SYSTEMS, rng), rng),
        disk_name=_or_null(_one_of(DISKS, rng), rng),
        disk_gb=round(DISK_GB_PER_GPU.draw(rng) * gpus, 2),
        disk_mb_s=round(DISK_MB_S.draw(rng), 1),
        pci_gen=_pick(PCI_GENS, rng),
        pcie_gb_s=_or_null(round(PCIE_GB_S.draw(rng), 1), rng),
        lanes=_pick(LANES, rng),
        nvlink_gb_s=300.0 if model.name.startswith(("A100 SXM", "H100 SXM")) or rng.random() < NVLINK_SHARE else 0.0,
    )


def _network(gpus: int, rng: random.Random) -> Network:
    garbage = rng.random() < GARBAGE_SHARE
    return Network(
        up_mbit_s=-1.8e12 if garbage else round(INET_UP_MBIT_S.draw(rng), 1),
        down_mbit_s=round(INET_DOWN_MBIT_S.draw(rng), 1),
        up_micro_usd_per_gb=micro_usd(INET_UP_USD_PER_GB.draw(rng)),
        down_micro_usd_per_gb=micro_usd(INET_DOWN_USD_PER_GB.draw(rng)),
        ports=round(PORTS_PER_GPU.draw(rng) * gpus),
        static_ip=rng.random() < STATIC_IP_SHARE,
        # TEST-NET-1 and -2: documentation addresses, which belong to nobody.
        public_ipaddr=f"{rng.choice(('192.0.2', '198.51.100'))}.{rng.randint(1, 254)}",
    )


def _one_of(names: Sequence[str], rng: random.Random) -> str:
    return rng.choice(names)
