"""What every contract costs, exactly.

Money is integrated in integers and rounded once, when somebody reads a bill. The unit is the *grain*: a micro-dollar divided by
`GRAINS_PER_MICRO_USD`, chosen so that each of the three charges is a whole number of grains for any whole microsecond:

    GPU        micro-USD/hour x microseconds                 x GRAINS_PER_HOURLY_MICRO_USD_US (720,000)
    storage    micro-USD/GB/month x MB x microseconds        x 1
    bandwidth  micro-USD/GB x bytes                          x GRAINS_PER_GB_MICRO_USD_BYTE (2,592,000)

with the marketplace's month of 720 hours, GB of 1,000 MB and traffic GB of 10^9 bytes. So no order of meter readings can lose or
gain a fraction, and a bill equals the integral of the states (a property test proves it with fractions).

Invariants: time never runs backwards for a contract; a closed contract never costs again; `total` is the exact sum of all
contracts before rounding, so a rounded total may differ from the sum of rounded lines by a micro-dollar per line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MICRO_USD: Final = 1_000_000
HOURS_PER_MONTH: Final = 720
_HOUR_US: Final = 3_600_000_000
_MB_PER_GB: Final = 1_000
_BYTES_PER_GB: Final = 1_000_000_000

GRAINS_PER_MICRO_USD: Final = _MB_PER_GB * HOURS_PER_MONTH * _HOUR_US
GRAINS_PER_HOURLY_MICRO_USD_US: Final = GRAINS_PER_MICRO_USD // _HOUR_US
GRAINS_PER_GB_MICRO_USD_BYTE: Final = GRAINS_PER_MICRO_USD // _BYTES_PER_GB


def usd(micro_usd: float) -> float:
    """Return dollars, as the API shows them."""
    return micro_usd / MICRO_USD


def micro_usd(dollars: float) -> int:
    """Return whole micro-dollars."""
    return round(dollars * MICRO_USD)


def _rounded_micro_usd(grains: int) -> int:
    """Round half up; grains are never negative."""
    return (2 * grains + GRAINS_PER_MICRO_USD) // (2 * GRAINS_PER_MICRO_USD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """The prices of one contract, locked when it is made (a bid may change its GPU price)."""

    gpu_micro_usd_per_hour: int
    storage_micro_usd_per_gb_month: int
    disk_mb: int
    up_micro_usd_per_gb: int
    down_micro_usd_per_gb: int

    @property
    def storage_grains_per_us(self) -> int:
        """What keeping the disk costs."""
        return self.storage_micro_usd_per_gb_month * self.disk_mb


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractBill:
    """The line items of one contract, rounded to whole micro-dollars."""

    contract_id: int
    gpu_micro_usd: int
    storage_micro_usd: int
    bandwidth_micro_usd: int
    total_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Everything that was ever owed, destroyed contracts included, by contract id."""

    total_micro_usd: int
    contracts: tuple[ContractBill, ...]


@dataclass(slots=True, kw_only=True)
class _Meter:
    """One contract's running charges: settled grains up to `since_us`, and the rates from then on."""

    tariff: Tariff
    since_us: int
    gpu_grains: int = 0
    storage_grains: int = 0
    bandwidth_grains: int = 0
    gpu_grains_per_us: int = 0
    storage_grains_per_us: int = 0

    @property
    def rate(self) -> int:
        return self.gpu_grains_per_us + self.storage_grains_per_us

    def settle(self, now_us: int) -> None:
        elapsed_us = now_us - self.since_us
        assert elapsed_us >= 0, "a meter cannot run backwards"
        self.gpu_grains += self.gpu_grains_per_us * elapsed_us
        self.storage_grains += self.storage_grains_per_us * elapsed_us
        self.since_us = now_us

    def read(self, contract_id: int, now_us: int) -> ContractBill:
        elapsed_us = now_us - self.since_us
        gpu = self.gpu_grains + self.gpu_grains_per_us * elapsed_us
        storage = self.storage_grains + self.storage_grains_per_us * elapsed_us
        return ContractBill(
            contract_id=contract_id,
            gpu_micro_usd=_rounded_micro_usd(gpu),
            storage_micro_usd=_rounded_micro_usd(storage),
            bandwidth_micro_usd=_rounded_micro_usd(self.bandwidth_grains),
            total_micro_usd=_rounded_micro_usd(gpu + storage + self.bandwidth_grains),
        )


@dataclass(slots=True)
class Ledger:
    """All meters, and their sum kept up to date, so that a balance costs O(1) however many contracts there were."""

    _meters: dict[int, _Meter] = field(default_factory=dict)
    _total_grains: int = 0
    _total_rate: int = 0
    _total_since_us: int = 0

    def open(self, contract_id: int, tariff: Tariff, now_us: int) -> None:
        """Begin a contract: nothing is charged until `charge` says so."""
        assert contract_id not in self._meters, "a contract is opened once"
        self._meters[contract_id] = _Meter(tariff=tariff, since_us=now_us)

    def charge(self, contract_id: int, now_us: int, *, gpu: bool, storage: bool) -> None:
        """From `now_us` on, charge for the GPU, for the disk, both or neither."""
        meter = self._meters[contract_id]
        gpu_rate = meter.tariff.gpu_micro_usd_per_hour * GRAINS_PER_HOURLY_MICRO_USD_US if gpu else 0
        self._set_rates(meter, now_us, gpu_rate, meter.tariff.storage_grains_per_us if storage else 0)

    def reprice(self, contract_id: int, tariff: Tariff, now_us: int) -> None:
        """Replace the prices from `now_us` on; what is charged for stays the same."""
        meter = self._meters[contract_id]
        gpu, storage = meter.gpu_grains_per_us > 0, meter.storage_grains_per_us > 0
        meter.tariff = tariff
        self.charge(contract_id, now_us, gpu=gpu, storage=storage)

    def transfer(self, contract_id: int, *, up_bytes: int, down_bytes: int) -> None:
        """Charge traffic, both ways."""
        meter = self._meters[contract_id]
        cost = meter.tariff.up_micro_usd_per_gb * up_bytes + meter.tariff.down_micro_usd_per_gb * down_bytes
        meter.bandwidth_grains += cost * GRAINS_PER_GB_MICRO_USD_BYTE
        self._total_grains += cost * GRAINS_PER_GB_MICRO_USD_BYTE

    def bill(self, now_us: int) -> Bill:
        """Return every contract's line items and the total, as owed at `now_us`."""
        return Bill(
            total_micro_usd=self.total_micro_usd(now_us),
            contracts=tuple(meter.read(contract_id, now_us) for contract_id, meter in self._meters.items()),
        )

    def contract_bill(self, contract_id: int, now_us: int) -> ContractBill:
        """Return one contract's line items."""
        return self._meters[contract_id].read(contract_id, now_us)

    def total_micro_usd(self, now_us: int) -> int:
        """Return the rounded sum of everything."""
        return _rounded_micro_usd(self._grains_at(now_us))

    def rate_micro_usd_per_hour(self) -> int:
        """Return what an hour costs from now on, if nothing changes."""
        return _rounded_micro_usd(self._total_rate * _HOUR_US)

    def spent_at_us(self, credit_micro_usd: int) -> int | None:
        """Return the first microsecond at which everything owed reaches the credit; None if it never does."""
        left = credit_micro_usd * GRAINS_PER_MICRO_USD - self._total_grains
        if left <= 0:
            return self._total_since_us
        return self._total_since_us + -(-left // self._total_rate) if self._total_rate else None

    def _set_rates(self, meter: _Meter, now_us: int, gpu_rate: int, storage_rate: int) -> None:
        meter.settle(now_us)
        self._total_grains = self._grains_at(now_us)
        self._total_since_us = now_us
        self._total_rate += gpu_rate + storage_rate - meter.rate
        meter.gpu_grains_per_us, meter.storage_grains_per_us = gpu_rate, storage_rate

    def _grains_at(self, now_us: int) -> int:
        return self._total_grains + self._total_rate * (now_us - self._total_since_us)
