"""The marketplace's JSON as it comes, and what it means to us: pydantic at the edge, our own values right behind it.

Numbers are read as decimals and become integer micro-dollars, rounded up. Only the fields that are used are named. Texts lose the
blanks at their ends, which labels and addresses really carry. An offer that lacks a field which renting needs, or holds a number
that cannot be true in one, is left out and counted; garbage in any other field (bandwidths of -1.8e12, temperatures of -5 and
durations of 75 years are on public record) is taken for "not said". An instance is never left out: it costs.

Field meanings: https://docs.vast.ai/api-reference (offers, instances), and one identity that holds on every public offer:
`dph_total = dph_base + storage_cost * GB / 720`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from functions.core.model import Autogroup, Instance, Offer, RentalType
from functions.core.pricing import bid, micro_usd

HOURS_PER_MONTH: Final = 720
MESSAGE_LENGTH_MAX: Final = 300
USD_PER_HOUR_MAX: Final = 10_000  # the dearest public offer asks 40
USD_PER_GB_MAX: Final = 1  # the dearest public offer asks 0.10
GPUS_MAX: Final = 1_024
_RUNNING: Final = "running"
# `unknown`: the host is not heard. Its instance may run and is billed as before, so it runs until something says otherwise.
_RUNS: Final = frozenset({_RUNNING, "unknown"})
_OFFLINE: Final = "offline"
# The official client's classifier (vastai 1.9.1 cli/commands/machines.py): any of these in the status message means that it failed.
_FAILURE: Final = re.compile(r"error|failed|failure|exception|traceback|oci runtime|permission denied", re.IGNORECASE)


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


_Lenient = WrapValidator(_or_none)
_Usd = Annotated[Decimal, Field(ge=0, le=USD_PER_HOUR_MAX)]
_UsdPerGb = Annotated[Decimal, Field(ge=0, le=USD_PER_GB_MAX)]
_Text = Annotated[str | None, _Lenient]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)


class OfferRow(_Row):
    """One offer of a search."""

    id: Annotated[int, Field(gt=0)]
    machine_id: Annotated[int, Field(gt=0)]
    gpu_name: Annotated[str, Field(min_length=1)]
    num_gpus: Annotated[int, Field(ge=1, le=GPUS_MAX)]
    dph_base: _Usd
    dph_total: _Usd
    storage_cost: _Usd
    min_bid: Annotated[_Usd | None, _Lenient] = None
    is_bid: Annotated[bool | None, _Lenient] = None
    host_id: Annotated[int | None, _Lenient] = None
    dlperf: Annotated[float | None, _Lenient] = None
    reliability: Annotated[float | None, _Lenient] = None
    geolocation: _Text = None
    inet_down_cost: Annotated[_UsdPerGb | None, _Lenient] = None
    inet_up_cost: Annotated[_UsdPerGb | None, _Lenient] = None
    inet_down: Annotated[float | None, _Lenient] = None
    duration: Annotated[float | None, _Lenient] = None

    def offer(self, autogroup: Autogroup) -> Offer | None:
        """Return the offer with a disk of the autogroup's size, None where it has no price, or none that we are ready to pay."""
        storage = self.storage_cost * Decimal(repr(autogroup.disk_gb)) / HOURS_PER_MONTH
        bids = autogroup.rental_type is RentalType.INTERRUPTIBLE
        ours = self._bid(autogroup) if bids else None
        running = (ours or 0) + micro_usd(storage) if bids else self._listed_price(storage)
        if running <= 0 or (bids and ours is None):
            return None
        return Offer(
            offer_id=self.id,
            machine_id=self.machine_id,
            host_id=self.host_id or 0,
            gpu_name=self.gpu_name,
            num_gpus=self.num_gpus,
            running_micro_usd_per_hour=running,
            stopped_micro_usd_per_hour=micro_usd(storage),
            dlperf=max(0.0, _finite(self.dlperf)),
            reliability=min(1.0, max(0.0, _finite(self.reliability))),
            geolocation=self.geolocation or "",
            bid_micro_usd_per_hour=ours,
            down_micro_usd_per_gb=micro_usd(self.inet_down_cost or Decimal(0)),
            up_micro_usd_per_gb=micro_usd(self.inet_up_cost or Decimal(0)),
            down_mbit_per_s=max(0.0, _finite(self.inet_down)),
            ends_in_s=None if self.duration is None else max(0.0, _finite(self.duration)),
        )

    def _bid(self, autogroup: Autogroup) -> int | None:
        least = micro_usd(self.dph_base if self.min_bid is None else self.min_bid)
        return bid(least, factor=autogroup.bid_factor, most_micro_usd=autogroup.max_bid_micro_usd)

    def _listed_price(self, storage: Decimal) -> int:
        """Return the higher of the price that is quoted and the price that adds up; 0 for one that holds for bids alone."""
        return 0 if self.is_bid else micro_usd(max(self.dph_total, self.dph_base + storage))


class InstanceRow(_Row):
    """One rented machine."""

    id: Annotated[int, Field(gt=0)]
    label: _Text = None
    machine_id: Annotated[int | None, _Lenient] = None
    gpu_name: _Text = None
    num_gpus: Annotated[int | None, _Lenient] = None
    is_bid: Annotated[bool | None, _Lenient] = None
    actual_status: _Text = None
    intended_status: _Text = None
    status_msg: _Text = None
    end_date: Annotated[float | None, _Lenient] = None
    dph_total: Annotated[_Usd | None, _Lenient] = None
    storage_total_cost: Annotated[_Usd | None, _Lenient] = None

    def instance(self) -> Instance:
        """Return the instance. A price that is not shown is 0: unknown, and never used to lower a known one."""
        status, message = self.actual_status or "", self.status_msg or ""
        running = status in _RUNS
        return Instance(
            instance_id=self.id,
            label=self.label or "",
            status=status or "scheduling",
            running=running,
            wants_running=self.intended_status == _RUNNING,
            failed=status == _OFFLINE or (not running and _FAILURE.search(message) is not None),
            message=" ".join(message.split())[:MESSAGE_LENGTH_MAX],
            ends_at_s=_finite(self.end_date) or None,
            machine_id=self.machine_id or 0,
            gpu_name=self.gpu_name or "",
            num_gpus=self.num_gpus or 0,
            interruptible=self.is_bid,
            running_micro_usd_per_hour=micro_usd(self.dph_total or Decimal(0)),
            stopped_micro_usd_per_hour=micro_usd(self.storage_total_cost or Decimal(0)),
        )


def read_offer(row: Mapping[str, Any]) -> OfferRow | None:
    """Return the offer in a row, None when it is not one that could be rented safely."""
    try:
        return OfferRow.model_validate(row)
    except ValidationError:
        return None


def instance(row: Mapping[str, Any]) -> Instance:
    """Return one instance. Raises ValueError when the row is not one: an instance that cannot be read must not be overlooked."""
    return InstanceRow.model_validate(row).instance()


def label_of(row: Mapping[str, Any]) -> str:
    """Return an instance's label, empty where it has none."""
    label = row.get("label")
    return label.strip() if isinstance(label, str) else ""


def _finite(number: float | None) -> float:
    return number if number is not None and isfinite(number) else 0.0
