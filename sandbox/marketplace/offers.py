"""Offers: what is listed now, the rows a search shows, and which ask ids were listed once.

An offer is consumed by one accept. What is left of the machine is listed again under new ask ids, also the sizes that were listed
before, since their GPUs changed. A row's price depends on two things the caller says, the disk size it asks about and whether it
bids; a row is computed once for each such pair and kept, because nothing else in it changes but `duration`.

Price identities (tested on every row; they hold on all 1,396 rows of the public dump of November 2024):

    dph_total = dph_base + storage_total_cost           storage_total_cost = storage_cost x allocated_storage / 720
    dph_total_adj = dph_total + 1.25 inet_down_cost     internet_X_cost_per_tb = 1024 inet_X_cost
    dlperf_per_dphtotal = dlperf / dph_total            flops_per_dphtotal = total_flops / dph_total
    gpu_total_ram = gpu_ram x num_gpus                  vram_costperhour = dph_base / (gpu_total_ram / 1024)
    cpu_cores_effective = cpu_cores x gpu_frac          len(gpu_ids) = num_gpus,  id = ask_contract_id
    duration = end_date - now                           reliability = reliability2
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sandbox.marketplace.ledger import HOURS_PER_MONTH, usd
from sandbox.marketplace.lifecycle import Link
from sandbox.marketplace.machine import Hardware, Machine

Row = dict[str, object]

RETIRED_ASKS_MAX: Final = 20_000
ROWS_PER_OFFER_MAX: Final = 8
ADJUSTED_TRAFFIC_GB: Final = 1.25
# score = dlperf per dollar, discounted by reliability; the factor is the median of the dump of November 2024 (0.688).
SCORE_FACTOR: Final = 0.69
FIRST_ASK_ID: Final = 28_000_000
ASK_ID_STEP_MAX: Final = 40


class Pricing(NamedTuple):
    """What a search says about prices: the disk in GiB to price with, and whether the caller bids."""

    allocated_gb: float = 5.0
    bid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One listing. Prices are for the whole offer and locked when it is accepted."""

    ask_id: int
    bundle_id: int
    machine: Machine
    gpu_ids: tuple[int, ...]
    price_micro_usd_per_hour: int
    min_bid_micro_usd_per_hour: int
    term_ends_s: float
    rows: dict[Pricing, Row] = field(default_factory=dict, repr=False, compare=False)
    texts: dict[Pricing, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def hardware(self) -> Hardware:
        """The machine's unchanging part."""
        return self.machine.hardware

    @property
    def share(self) -> float:
        """The part of the machine that is offered (`gpu_frac`)."""
        return len(self.gpu_ids) / len(self.hardware.gpu_ids)

    @property
    def disk_gb(self) -> float:
        """The prorated disk."""
        return self.hardware.board.disk_gb * self.share

    def row(self, pricing: Pricing) -> Row:
        """Return the shared row for these terms, without `duration`. Callers must not change it."""
        row = self.rows.get(pricing)
        if row is None:
            if len(self.rows) >= ROWS_PER_OFFER_MAX:
                self.forget_rows()
            row = self.rows[pricing] = _row(self, pricing)
        return row

    def row_json(self, pricing: Pricing, *, now_s: float) -> str:
        """Return the row at `now_s` as JSON; all of it but `duration` is encoded once."""
        text = self.texts.get(pricing)
        if text is None:
            text = self.texts[pricing] = json.dumps(self.row(pricing), separators=(",", ":"))
        return f'{{"duration":{self.term_ends_s - now_s!r},{text[1:]}'

    def forget_rows(self) -> None:
        """Drop what was computed for searches."""
        self.rows.clear()
        self.texts.clear()


class OfferBook:
    """All offers by ask id. Ask ids grow, are never used twice, and are remembered for a while after they are gone."""

    def __init__(self) -> None:
        self._offers: dict[int, Offer] = {}
        self._of_machine: dict[int, list[int]] = {}
        self._retired: OrderedDict[int, Offer] = OrderedDict()
        self._last_id = FIRST_ASK_ID

    def __iter__(self) -> Iterator[Offer]:
        return iter(self._offers.values())

    def get(self, ask_id: int) -> Offer | None:
        """Return the offer if it is listed now."""
        return self._offers.get(ask_id)

    def of_machine(self, machine_id: int) -> list[Offer]:
        """Return the machine's offers, smallest first."""
        return [self._offers[ask_id] for ask_id in self._of_machine.get(machine_id, ())]

    def retired(self, ask_id: int) -> Offer | None:
        """Return an offer that was listed and lost its GPUs to somebody else; None if unknown, accepted or long ago."""
        return self._retired.get(ask_id)

    def accept(self, ask_id: int) -> None:
        """Consume an offer for good: its id is unknown from now on."""
        offer = self._offers.pop(ask_id)
        self._of_machine[offer.hardware.machine_id].remove(ask_id)

    def relist(self, machine: Machine) -> None:
        """List what the machine has free now; an offer whose GPUs and price are unchanged keeps its id."""
        kept = {_substance(offer): offer.ask_id for offer in self.of_machine(machine.hardware.machine_id)}
        wanted = _listing(machine)
        self._retire([ask_id for substance, ask_id in kept.items() if substance not in wanted])
        ids = [kept[substance] if substance in kept else self._add(machine, substance) for substance in wanted]
        self._of_machine[machine.hardware.machine_id] = ids

    def _add(self, machine: Machine, substance: _Substance) -> int:
        gpu_ids, price, bid, term_ends_s = substance
        # Deterministic, yet not consecutive: real ask ids are shared with every other listing of the marketplace.
        self._last_id += 1 + (self._last_id * 7 + len(gpu_ids)) % ASK_ID_STEP_MAX
        self._offers[self._last_id] = Offer(
            ask_id=self._last_id,
            bundle_id=self._last_id * 31 % 2_000_000_000,
            machine=machine,
            gpu_ids=gpu_ids,
            price_micro_usd_per_hour=price,
            min_bid_micro_usd_per_hour=bid,
            term_ends_s=term_ends_s,
        )
        return self._last_id

    def _retire(self, ask_ids: list[int]) -> None:
        for ask_id in ask_ids:
            offer = self._retired[ask_id] = self._offers.pop(ask_id)
            offer.forget_rows()
        while len(self._retired) > RETIRED_ASKS_MAX:
            self._retired.popitem(last=False)


_Substance = tuple[tuple[int, ...], int, int, float]


def _substance(offer: Offer) -> _Substance:
    return offer.gpu_ids, offer.price_micro_usd_per_hour, offer.min_bid_micro_usd_per_hour, offer.term_ends_s


def _listing(machine: Machine) -> list[_Substance]:
    if machine.link is not Link.ONLINE:
        return []
    price, bid, term_ends_s = machine.price_micro_usd_per_hour, machine.bid_micro_usd_per_hour, machine.term_ends_s
    return [(tuple(machine.free[:size]), size * price, size * bid, term_ends_s) for size in machine.offered_sizes()]


def _row(offer: Offer, pricing: Pricing) -> Row:
    prices = _prices(offer, pricing)
    return {**_identity(offer, pricing), **_gpu_columns(offer), **_board_columns(offer), **_network_columns(offer), **prices}


def _identity(offer: Offer, pricing: Pricing) -> Row:
    hardware, host = offer.hardware, offer.hardware.host
    return {
        "id": offer.ask_id,
        "ask_contract_id": offer.ask_id,
        "bundle_id": offer.bundle_id,
        "bundled_results": None,
        "machine_id": hardware.machine_id,
        "host_id": host.host_id,
        "verification": host.verification,
        "vericode": host.vericode,
        "hosting_type": int(host.datacenter),
        "geolocation": host.geolocation,
        "geolocode": host.geolocode,
        "hostname": None,
        "external": None,
        "logo": "/static/logos/vastai_small2.png",
        "webpage": None,
        "rentable": True,
        "rented": False,
        "is_bid": pricing.bid,
        "rn": 1,
        "vms_enabled": False,
        "is_vm_deverified": False,
        "resource_type": "gpu",
        "cluster_id": None,
        "time_remaining": "",
        "time_remaining_isbid": "",
        "start_date": hardware.listed_at_s,
        "end_date": offer.term_ends_s,
        "reliability": hardware.reliability,
        "reliability2": hardware.reliability,
        "reliability_mult": 1 / (1 + 10 * (1 - hardware.reliability)),
        "expected_reliability": 0.0,
        "target_reliability": 0.0,
        "credit_discount_max": 0.0,
        "discount_rate": None,
        "sla_broker_rate": None,
        "sla_r_claim": 0.0,
        "sla_sigma_x": None,
    }


def _gpu_columns(offer: Offer) -> Row:
    hardware, gpu, count = offer.hardware, offer.hardware.gpu, len(offer.gpu_ids)
    return {
        "num_gpus": count,
        "gpu_name": gpu.name,
        "gpu_ram": gpu.ram_mb,
        "gpu_total_ram": gpu.ram_mb * count,
        "gpu_frac": offer.share,
        "gpu_ids": list(offer.gpu_ids),
        "gpu_lanes": hardware.board.lanes,
        "gpu_arch": "nvidia",
        "gpu_mem_bw": hardware.bandwidth_gb_s,
        "gpu_max_power": gpu.power_w,
        "gpu_max_temp": hardware.gpu_max_temp,
        "gpu_display_active": False,
        "compute_cap": gpu.compute_cap,
        "cuda_max_good": hardware.cuda_max_good,
        "driver_version": hardware.driver_version,
        "driver_vers": driver_number(hardware.driver_version),
        "bw_nvlink": hardware.board.nvlink_gb_s if count > 1 else 0.0,
        "dlperf": hardware.dlperf * count,
        "total_flops": hardware.tflops * count,
    }


def _board_columns(offer: Offer) -> Row:
    board = offer.hardware.board
    return {
        "cpu_name": board.cpu_name,
        "cpu_arch": "amd64",
        "cpu_cores": board.cpu_cores,
        "cpu_cores_effective": board.cpu_cores * offer.share,
        "cpu_ghz": board.cpu_ghz,
        "cpu_ram": int(board.cpu_ram_mb * offer.share),
        "has_avx": 1,
        "mobo_name": board.mobo_name,
        "os_version": board.os_version,
        "pci_gen": board.pci_gen,
        "pcie_bw": board.pcie_gb_s,
        "disk_name": board.disk_name,
        "disk_bw": board.disk_mb_s,
        "disk_space": offer.disk_gb,
        "nw_disk_min_bw": None,
        "nw_disk_max_bw": None,
        "nw_disk_avg_bw": None,
        "avail_vol_ask_id": None,
        "avail_vol_dph": None,
        "avail_vol_size": None,
    }


def _network_columns(offer: Offer) -> Row:
    network = offer.hardware.network
    up, down = usd(network.up_micro_usd_per_gb), usd(network.down_micro_usd_per_gb)
    return {
        "inet_up": network.up_mbit_s,
        "inet_down": network.down_mbit_s,
        "inet_up_cost": up,
        "inet_down_cost": down,
        "internet_up_cost_per_tb": 1024 * up,
        "internet_down_cost_per_tb": 1024 * down,
        "direct_port_count": int(network.ports * offer.share),
        "static_ip": network.static_ip,
        "public_ipaddr": network.public_ipaddr,
    }


def _prices(offer: Offer, pricing: Pricing) -> Row:
    hardware, count = offer.hardware, len(offer.gpu_ids)
    min_bid = usd(offer.min_bid_micro_usd_per_hour)
    base = min_bid if pricing.bid else usd(offer.price_micro_usd_per_hour)
    storage_cost = usd(hardware.storage_micro_usd_per_gb_month)
    storage = storage_cost * pricing.allocated_gb / HOURS_PER_MONTH
    total = base + storage
    per_dollar = hardware.dlperf * count / total
    return {
        "dph_base": base,
        "dph_total": total,
        "dph_total_adj": total + ADJUSTED_TRAFFIC_GB * usd(hardware.network.down_micro_usd_per_gb),
        "min_bid": min_bid,
        "storage_cost": storage_cost,
        "storage_total_cost": storage,
        "discounted_hourly": 0,
        "discounted_dph_total": total,
        "vram_costperhour": base / (hardware.gpu.ram_mb * count / 1024),
        "dlperf_per_dphtotal": per_dollar,
        "flops_per_dphtotal": hardware.tflops * count / total,
        "score": SCORE_FACTOR * per_dollar / (1 + 10 * (1 - hardware.reliability)),
        "platform_fee": 0.0,
        "search": hourly(gpu=base, disk=storage),
        "instance": hourly(gpu=0, disk=storage),
    }


def hourly(*, gpu: float, disk: float) -> Row:
    """Return the nested object of hourly costs that offers and instances both carry."""
    return {
        "gpuCostPerHour": gpu,
        "diskHour": disk,
        "totalHour": gpu + disk,
        "discountTotalHour": 0,
        "discountedTotalPerHour": gpu + disk,
        "slaPremiumPerHour": 0,
    }


def driver_number(version: str) -> int | None:
    """Return a driver version as the number that searches compare: 535.86.05 is 535086005; two-part versions have none."""
    parts = version.split(".")
    return int("".join(part.zfill(3) for part in parts)) if len(parts) == 3 else None
