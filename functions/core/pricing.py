"""Budget arithmetic in integer micro-dollars per hour.

Every held worker counts at its full running price, also while it is stopped or only intended: a cold worker may be started without
asking the budget again, and a create whose answer was lost may have happened. What cannot be priced cannot be rented.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from math import ceil
from typing import Final

from functions.core.lifecycle import HELD
from functions.core.model import EndpointGroup, Instance, Worker

MICRO_USD_PER_USD: Final = 1_000_000
# What is billed may exceed what was offered by rounding and by a price that moved between search and rent, not by more.
PRICE_TOLERANCE: Final = 1.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What may still be rented. Both may be negative, after the owner lowered a ceiling."""

    workers: int
    micro_usd_per_hour: int

    def admits(self, running_micro_usd_per_hour: int) -> bool:
        """Tell whether one more worker at this price stays under both ceilings. An unpriced one never does."""
        return self.workers >= 1 and 0 < running_micro_usd_per_hour <= self.micro_usd_per_hour

    def less(self, running_micro_usd_per_hour: int) -> Headroom:
        """Return what is left after one more worker at this price."""
        return Headroom(workers=self.workers - 1, micro_usd_per_hour=self.micro_usd_per_hour - running_micro_usd_per_hour)

    @property
    def exceeded(self) -> bool:
        """Tell whether a ceiling is broken already."""
        return self.workers < 0 or self.micro_usd_per_hour < 0


def headroom(group: EndpointGroup, workers: Iterable[Worker], strays: Iterable[Instance]) -> Headroom:
    """Return what the ceilings leave after everything held, intended or found astray."""
    prices = [worker.rental.running_micro_usd_per_hour for worker in workers if worker.rental.state in HELD]
    prices += [stray.running_micro_usd_per_hour for stray in strays]
    left_micro_usd_per_hour = group.max_hourly_cost_micro_usd - sum(prices)
    return Headroom(workers=group.max_workers - len(prices), micro_usd_per_hour=left_micro_usd_per_hour)


def bid(least_micro_usd: int, *, factor: float, most_micro_usd: int) -> int | None:
    """Return what to bid for a machine whose least bid is this, None where that would be more than we are ready to pay.

    A bid above the least one keeps the machine for longer: whoever comes next has to outbid it, not just to match the floor.
    """
    if least_micro_usd <= 0 or least_micro_usd > most_micro_usd:
        return None
    return min(most_micro_usd, ceil(least_micro_usd * factor))


def micro_usd(usd: Decimal) -> int:
    """Return dollars as micro-dollars, rounded up: a price is never taken for less than it is."""
    return int((usd * MICRO_USD_PER_USD).to_integral_value(ROUND_CEILING))


def dollars(amount_micro_usd: int) -> str:
    """Return the amount for a person to read: `$0.4231`."""
    return f"${amount_micro_usd / MICRO_USD_PER_USD:.4f}"
