"""What the account paid and was charged, in the shapes in which the API tells it: rows for lists, dated in epoch seconds.

Everything comes from the ledger and the list of payments. One charge stands for one contract over its whole life so far, with a
line for GPU, disk and bandwidth (the real service makes one a day); its `day` is the midnight (UTC) before its last second. On an
invoice a payment is a negative amount, which the official client turns around.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.marketplace.account import USER_ID
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.ledger import ContractBill, usd
from sandbox.marketplace.offers import Row
from sandbox.marketplace.world import Payment, World

DAY_S: Final = 86_400
FIRST_INVOICE_ID: Final = 900_001
PAYMENT_SERVICE: Final = "stripe_payments"
# What a payment through other services would tell.
NEVER_TOLD: Final = (
    *("event_id", "cut_amount", "cut_percent", "extra", "stripe_charge", "stripe_refund", "stripe_payout", "error"),
    *("paypal_email", "transfer_group", "is_check"),
)
_S_PER_HOUR: Final = 3_600


def charges(world: World, now_us: int) -> list[Row]:
    """Return a charge for every contract that ever was."""
    return [_charge(contract, world.ledger.contract_bill(contract.contract_id, now_us), now_us) for contract in _all(world)]


def invoices(world: World) -> list[Row]:
    """Return an invoice for every payment, oldest first."""
    return [_invoice(number, payment) for number, payment in _numbered(world.payments)]


def payments(world: World) -> list[Row]:
    """Return every payment as the search for invoices lists it, with the balance before and after it as far as payments go."""
    rows, paid = [], 0
    for number, payment in _numbered(world.payments):
        rows.append(_payment(number, payment, before_micro_usd=paid))
        paid += payment.micro_usd
    return rows


def history(world: World, now_us: int, *, with_charges: bool) -> list[Row]:
    """Return the deprecated report's rows: a charge for each of a contract's three meters that costs, and the payments."""
    paid = [_paid_row(number, payment) for number, payment in _numbered(world.payments)]
    if not with_charges:
        return paid
    charged = (
        row
        for contract in _all(world)
        for row in _charged_rows(contract, world.ledger.contract_bill(contract.contract_id, now_us), now_us)
    )
    return sorted([*paid, *charged], key=lambda row: float(str(row["timestamp"])))


def _all(world: World) -> Iterable[Contract]:
    return world.contracts.all.values()


def _numbered(paid: Iterable[Payment]) -> Iterator[tuple[int, Payment]]:
    return enumerate(paid, FIRST_INVOICE_ID)


def _ended_us(contract: Contract, now_us: int) -> int:
    return now_us if contract.destroyed_us is None else contract.destroyed_us


def _meters(bill: ContractBill) -> tuple[tuple[str, int], ...]:
    return ("GPU", bill.gpu_micro_usd), ("storage", bill.storage_micro_usd), ("bandwidth", bill.bandwidth_micro_usd)


def _charge(contract: Contract, bill: ContractBill, now_us: int) -> Row:
    span = {"start": to_s(contract.created_us), "end": to_s(_ended_us(contract, now_us))}
    return {
        "id": contract.contract_id,
        "day": span["end"] // DAY_S * DAY_S,
        "type": "instance",
        "source": f"instance-{contract.contract_id}",
        "description": f"{contract.num_gpus}x {contract.machine.hardware.gpu.name}",
        "amount": usd(bill.total_micro_usd),
        **span,
        "metadata": {"instance_id": contract.contract_id, "label": contract.label},
        "items": [
            {"type": name, "source": "", "description": f"{name} charge", "amount": usd(cost), **span, "metadata": {}, "items": []}
            for name, cost in _meters(bill)
        ],
    }


def _invoice(number: int, payment: Payment) -> Row:
    when = _when(payment)
    return {
        "id": number,
        "when": when,
        "service": PAYMENT_SERVICE,
        "type": "credit",
        "source": PAYMENT_SERVICE,
        "description": "Credit",
        "amount": -usd(payment.micro_usd),
        "start": when,
        "end": when,
        "metadata": {"invoice_id": number, "service": PAYMENT_SERVICE},
        "items": [],
    }


def _payment(number: int, payment: Payment, *, before_micro_usd: int) -> Row:
    cents = round(100 * usd(payment.micro_usd))
    when = _when(payment)
    return {
        "id": number,
        "user_id": USER_ID,
        "when": when,
        "paid_on": when,
        "payment_expected": when,
        "amount_cents": cents,
        "original_amount": cents,
        "is_credit": True,
        "is_delayed": False,
        "balance_before": usd(before_micro_usd),
        "balance_after": usd(before_micro_usd + payment.micro_usd),
        "service": PAYMENT_SERVICE,
        "failed": False,
        "refunded": False,
        **dict.fromkeys(NEVER_TOLD),
    }


def _paid_row(number: int, payment: Payment) -> Row:
    amount = f"{usd(payment.micro_usd):.3f}"
    timestamp = {"timestamp": _when(payment), "type": "payment"}
    return {"id": number, "description": "Credit", "quantity": "1.0", "rate": amount, "amount": amount, **timestamp}


def _charged_rows(contract: Contract, bill: ContractBill, now_us: int) -> Iterator[Row]:
    ended_us = _ended_us(contract, now_us)
    hours = to_s(ended_us - contract.created_us) / _S_PER_HOUR
    for name, cost in _meters(bill):
        if cost:
            yield {
                "id": contract.contract_id,
                "instance_id": contract.contract_id,
                "description": f"Instance {contract.contract_id} {name} charge",
                "quantity": f"{hours:.3f}",
                "rate": f"{usd(cost) / hours:.6f}" if hours else "0",
                "amount": f"{usd(cost):.6f}",
                "timestamp": to_s(ended_us),
                "type": "charge",
            }


def _when(payment: Payment) -> int:
    """Whole seconds, as a client that asks up to now cuts off the fraction too."""
    return int(to_s(payment.at_us))
