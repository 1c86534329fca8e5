"""The account's bills over the wire: read-only, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.marketplace.api import Call
from sandbox.marketplace.billing import NEVER_TOLD, charges, history, invoices, payments
from sandbox.marketplace.errors import bad_query, bad_request
from sandbox.marketplace.ledger import usd
from sandbox.marketplace.offers import Row
from sandbox.marketplace.pages import cut, read_limit
from sandbox.marketplace.query import Kind, compile_conditions

PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 20
FETCHED_MAX: Final = 1_000
CHARGE_COLUMNS: Final[Mapping[str, Kind]] = {"id": Kind.NUMBER, "day": Kind.NUMBER, "type": Kind.TEXT}
INVOICE_COLUMNS: Final[Mapping[str, Kind]] = {"id": Kind.NUMBER, "when": Kind.NUMBER, "service": Kind.TEXT, "type": Kind.TEXT}
PAYMENT_COLUMNS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("id", "user_id", "when", "paid_on", "payment_expected", "amount_cents", "original_amount"), Kind.NUMBER),
    **dict.fromkeys(("balance_before", "balance_after"), Kind.NUMBER),
    **dict.fromkeys(("is_credit", "is_delayed", "failed", "refunded"), Kind.FLAG),
    **dict.fromkeys(("service", *NEVER_TOLD), Kind.TEXT),
}


def list_charges(call: Call) -> object:
    """`GET /charges/`: a page of what contracts cost."""
    return _page(call, charges(call.world, call.world.advance(call.now_s)), CHARGE_COLUMNS, dated="day")


def list_invoices(call: Call) -> object:
    """`GET /api/v1/invoices/`: a page of what was paid."""
    call.world.advance(call.now_s)
    return _page(call, invoices(call.world), INVOICE_COLUMNS, dated="when")


def search_invoices(call: Call) -> object:
    """`GET /invoices`: every payment that matches, as a bare list."""
    tests = compile_conditions(call.query_json("select_filters", {}), PAYMENT_COLUMNS)
    return [row for row in payments(call.world) if all(test(row) for test in tests)]


def report(call: Call) -> object:
    """`GET /users/me/invoices`: the deprecated report between `sdate` and `edate`, and what stands now."""
    now_us = call.world.advance(call.now_s)
    since_s, until_s = _moment(call, "sdate", 0.0), _moment(call, "edate", float("inf"))
    rows = history(call.world, now_us, with_charges=call.query_json("inc_charges", default=True) is not False)
    owed = usd(call.world.ledger.total_micro_usd(now_us))
    return {
        "invoices": [row for row in rows if since_s <= float(str(row["timestamp"])) <= until_s],
        "current": {
            "charges": owed,
            "service_fee": 0.0,
            "total": owed,
            "credit": usd(call.world.balance_micro_usd(call.now_s)),
        },
    }


def earnings(_call: Call) -> object:
    """`GET /users/me/machine-earnings`: the account owns no machines."""
    nothing = dict.fromkeys(("total_gpu", "total_stor", "total_bwu", "total_bwd"), 0.0)
    return {"summary": nothing, "per_machine": [], "per_day": []}


def deposit(call: Call) -> object:
    """`GET /instances/balance/{id}/`: what was prepaid for an instance, and the discount that it got."""
    contract = call.live()
    return {"balance": usd(contract.deposit_micro_usd), "discount": contract.discount}


def fetch_contracts(call: Call) -> object:
    """`POST /contracts/fetch/` `{"label", "contract_ids"}`: which of these contracts, also of destroyed ones, have that label."""
    ids, label = call.body.get("contract_ids"), call.body.get("label")
    if ids is not None and (not isinstance(ids, list) or len(ids) > FETCHED_MAX):
        raise bad_request(f"contract_ids must be a list of at most {FETCHED_MAX} numbers")
    everything = call.world.contracts.all.values()
    wanted = [each for each in everything if (ids is None or each.contract_id in ids) and (label is None or each.label == label)]
    return {"success": True, "contracts": [{"id": each.contract_id, "label": each.label} for each in wanted]}


def _page(call: Call, rows: Sequence[Row], columns: Mapping[str, Kind], *, dated: str) -> object:
    tests = compile_conditions(call.query_json("select_filters", {}), columns)
    matching = [row for row in rows if all(test(row) for test in tests)]
    latest_first = call.query_json("latest_first", default=False) is True
    page = cut(
        matching,
        [(dated, latest_first), ("id", latest_first)],
        token=call.request.query.get("after_token"),
        limit=read_limit(call.query_json("limit", PAGE_DEFAULT), most=PAGE_MAX, of_nonsense=PAGE_DEFAULT),
    )
    results = [matching[index] for index in page.indexes]
    return {"success": True, "results": results, "count": len(results), "total": page.total, "next_token": page.next_token}


def _moment(call: Call, name: str, default: float) -> float:
    value = call.query_json(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_query(f"Error in query parameters: {name} must be a time in epoch seconds")
    return value
