"""The write that takes from a client's budgets: a conditional update that one item makes atomic.

DynamoDB adds, but knows no maximum. So each budget is written in one of two forms, by where it is believed to stand: as a sum, if
it lies within BURST_S before now; from that bound on, if it lies further back or was never written. The condition says the same,
so a wrong belief writes nothing, and the item that comes back with the refusal corrects it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from functions.adapters.dynamodb import ConditionFailed, DynamoTable
from functions.adapters.dynamodb_items import limit_key, number, read
from functions.core.rate_limit import BURST_S, Budgets, Price, overdrawn_s
from functions.ports import BudgetSpent

SPEND_TRIES_MAX: Final = 4
# What nobody has touched for so long is full anyway.
TTL_S: Final = 86_400

_BUDGET_OF: Final = {"requests_s": "requests_until_s", "load_s": "load_until_s"}


def spend(table: DynamoTable, label: str, asked: Price, *, now_s: float, known: Budgets) -> Budgets:
    """See `ports.RouteStore.spend`."""
    for _ in range(SPEND_TRIES_MAX):
        try:
            written = table.update(limit_key(label), returned="ALL_NEW", **_write(asked, known, now_s=now_s))
        except ConditionFailed as exc:
            known = read(Budgets, exc.found)
            if overdrawn_s(known, asked, now_s=now_s):
                raise BudgetSpent(known) from exc
        else:
            return read(Budgets, written)
    raise BudgetSpent(known)  # every try met others: the client is far over its limit


def _write(asked: Price, known: Budgets, *, now_s: float) -> dict[str, Any]:
    values = {":floor": number(now_s - BURST_S), ":ttl": number(int(now_s) + TTL_S)}
    updates, conditions = ["#ttl = :ttl"], []
    for field in fields(asked):
        taken_s, budget = getattr(asked, field.name), _BUDGET_OF[field.name]
        if not taken_s:
            continue
        if getattr(known, budget) < now_s - BURST_S:
            values[f":{budget}"] = number(now_s - BURST_S + taken_s)
            updates.append(f"{budget} = :{budget}")
            conditions.append(f"(attribute_not_exists({budget}) OR {budget} < :floor)")
        else:
            values |= {f":{budget}": number(taken_s), ":now": number(now_s)}
            updates.append(f"{budget} = {budget} + :{budget}")
            conditions.append(f"{budget} BETWEEN :floor AND :now")
    return {
        "UpdateExpression": f"SET {', '.join(updates)}",
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {"#ttl": "ttl"},
        "ExpressionAttributeValues": values,
    }
