"""The marketplace's JSON as it comes, and what it means to us: pydantic at the edge, our own values right behind it.

Numbers are read as decimals and become integer micro-dollars, rounded up. Only the fields that are used are named; a row that lacks
one of them is left out, not guessed. Field meanings: https://docs.vast.ai/api-reference (offers, instances), and one identity
that holds on every public offer: `dph_total = dph_base + storage_cost * GB / 720`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from functions.core.model import Instance, Offer
from functions.core.pricing import micro_usd

HOURS_PER_MONTH: Final = 720
MESSAGE_LENGTH_MAX: Final = 300
_RUNNING: Final = "running"
# `unknown`: the host is not heard. Its instance may run and is billed as before, so it runs until something says otherwise.
_RUNS: Final = frozenset({_RUNNING, "unknown"})
_OFFLINE: Final = "offline"
# The official client's classifier (vastai 1.9.1 cli/commands/machines.py): any of these in the status message means that it failed.
_FAILURE: Final = re.compile(r"error|failed|failure|exception|traceback|oci runtime|permission denied", re.IGNORECASE)


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class OfferRow(_Row):
    """One offer of a search."""

    id: int
    machine_id: int
    host_id: int | None = None
    gpu_name: str
    num_gpus: int
    dph_base: Decimal
    dph_total: Decimal
    storage_cost: Decimal
    dlperf: float | None = None
    reliability: float | None = None
    geolocation: str | None = None

    def offer(self, disk_gb: float) -> Offer:
        """Return the offer with a disk of this size, at the higher of the price that is quoted and the price that adds up."""
        storage = self.storage_cost * Decimal(repr(disk_gb)) / HOURS_PER_MONTH
        return Offer(
            offer_id=self.id,
            machine_id=self.machine_id,
            host_id=self.host_id or 0,
            gpu_name=self.gpu_name.strip(),
            num_gpus=self.num_gpus,
            running_micro_usd_per_hour=micro_usd(max(self.dph_total, self.dph_base + storage)),
            stopped_micro_usd_per_hour=micro_usd(storage),
            dlperf=max(0.0, self.dlperf or 0.0),
            reliability=min(1.0, max(0.0, self.reliability or 0.0)),
            geolocation=(self.geolocation or "").strip(),
        )


class InstanceRow(_Row):
    """One rented machine."""

    id: int
    label: str | None = None
    machine_id: int | None = None
    actual_status: str | None = None
    intended_status: str | None = None
    status_msg: str | None = None
    dph_total: Decimal | None = None
    storage_total_cost: Decimal | None = None

    def instance(self) -> Instance:
        """Return the instance. A price that is not shown is 0: unknown, and never used to lower a known one."""
        status, message = (self.actual_status or "").strip(), (self.status_msg or "").strip()
        running = status in _RUNS
        return Instance(
            instance_id=self.id,
            label=(self.label or "").strip(),
            status=status or "scheduling",
            running=running,
            wants_running=(self.intended_status or "").strip() == _RUNNING,
            failed=status == _OFFLINE or (not running and _FAILURE.search(message) is not None),
            message=" ".join(message.split())[:MESSAGE_LENGTH_MAX],
            machine_id=self.machine_id or 0,
            running_micro_usd_per_hour=micro_usd(self.dph_total or Decimal(0)),
            stopped_micro_usd_per_hour=micro_usd(self.storage_total_cost or Decimal(0)),
        )


def offers(rows: Iterable[Mapping[str, Any]], *, disk_gb: float) -> list[Offer]:
    """Return the readable ones of these offers, cheapest first; one without a price or a machine cannot be rented safely."""
    read = (_offer(row, disk_gb) for row in rows)
    priced = (offer for offer in read if offer is not None and offer.running_micro_usd_per_hour > 0)
    return sorted(priced, key=lambda offer: (offer.running_micro_usd_per_hour, offer.offer_id))


def instance(row: Mapping[str, Any]) -> Instance:
    """Return one instance. Raises ValueError when the row is not one: an instance that cannot be read must not be overlooked."""
    return InstanceRow.model_validate(row).instance()


def _offer(row: Mapping[str, Any], disk_gb: float) -> Offer | None:
    try:
        return OfferRow.model_validate(row).offer(disk_gb)
    except ValidationError:
        return None
