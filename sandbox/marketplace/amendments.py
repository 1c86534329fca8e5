"""Change what a contract is about: its container's making, or the discount on its price.

*Rebuilding* replaces the image, environment and commands and makes the container anew if one runs; what is stopped gets the new
container when it starts. *Prepaying* is for on-demand contracts: the amount, at the contract's full price, is a time in months, and
that time a discount (the official client's help: 0.2 for one month, 0.3 for three; a straight line between). The discount holds
until the contract's end. Unlike the real service's, the amount stays in the account's credit: it is noted, not moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sandbox.marketplace.errors import Refused, bad_request
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.ledger import HOURS_PER_MONTH
from sandbox.marketplace.lifecycle import HOLDS_GPUS
from sandbox.marketplace.order import Order
from sandbox.marketplace.world import World

# Months and the discount that they give; beyond the last it stays what it is.
DISCOUNTS: Final = ((0.0, 0.0), (1.0, 0.2), (3.0, 0.3))
_S_PER_MONTH: Final = HOURS_PER_MONTH * 3_600
_MB_PER_GB: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepayment:
    """What a prepayment bought."""

    months: float
    discount: float


def rebuild(world: World, contract: Contract, order: Order, now_s: float) -> None:
    """Give a contract another container. Raises Refused when a container is just being made."""
    if contract.phase in HOLDS_GPUS:
        world.recycle(contract.contract_id, now_s)
    contract.order = order


def prepay(world: World, contract: Contract, micro_usd: int, now_s: float) -> Prepayment:
    """Prepay for a contract. Raises Refused (400): interruptible, beyond the credit, or beyond the contract's end."""
    if contract.is_bid:
        raise bad_request("Can't prepay an interruptible contract.")
    if micro_usd > world.balance_micro_usd(now_s):
        raise Refused(400, "insufficient_credit", "Insufficient credit")
    deposit = contract.deposit_micro_usd + micro_usd
    full_price = round(contract.tariff.gpu_micro_usd_per_hour / (1 - contract.discount))
    months = deposit / _month_micro_usd(contract, full_price)
    if now_s + months * _S_PER_MONTH > contract.term_ends_s:
        left = max(0.0, (contract.term_ends_s - to_s(world.now_us)) / _S_PER_MONTH)
        raise Refused(400, "rental_too_long", f"{months:.2f} months exceed the {left:.2f} that are left of the contract.")
    contract.deposit_micro_usd, contract.discount = deposit, discount_of(months)
    world.reprice(contract.contract_id, round(full_price * (1 - contract.discount)), now_s)
    return Prepayment(months=months, discount=contract.discount)


def discount_of(months: float) -> float:
    """Return the discount for a time that is paid in advance."""
    for (low, less), (high, more) in pairwise(DISCOUNTS):
        if months <= high:
            return less + (more - less) * (months - low) / (high - low)
    return DISCOUNTS[-1][1]


def _month_micro_usd(contract: Contract, gpu_micro_usd_per_hour: int) -> float:
    tariff = contract.tariff
    return gpu_micro_usd_per_hour * HOURS_PER_MONTH + tariff.storage_micro_usd_per_gb_month * tariff.disk_mb / _MB_PER_GB
