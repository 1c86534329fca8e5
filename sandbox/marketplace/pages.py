"""Pages of a list: order, tokens and limits, as every paged list of the API has them.

A token is the base64 of the last row's values in the columns of the order, opaque to clients. A page holds the rows that come
after those values, so rows that appear or vanish between two pages shift nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sandbox.marketplace.errors import bad_query
from sandbox.marketplace.offers import Row
from sandbox.marketplace.query import sortable

Order = Sequence[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Page:
    """The indexes of a page's rows among all that match, how many match, and the token of the next page (None: the last)."""

    indexes: tuple[int, ...]
    total: int
    next_token: str | None


def cut(rows: Sequence[Row], order: Order, *, token: str | None, limit: int) -> Page:
    """Sort, and return the page after `token`. Every column of the order must be in every row. Raises Refused (400)."""
    ranked = list(range(len(rows)))
    for column, descending in reversed(order):
        ranked.sort(key=lambda index, column=column: sortable(rows[index][column]), reverse=descending)  # type: ignore[misc]
    values = _token_values(token, order)
    rest = [index for index in ranked if values is None or _is_after(rows[index], values, order)]
    more = len(rest) > limit
    return Page(tuple(rest[:limit]), len(rows), _token(rows[rest[limit - 1]], order) if more else None)


def read_order(asked: object, columns: Collection[str]) -> Order:
    """Read `order_by`; anything but `desc` is ascending, and the id always comes last, so that every order is total."""
    terms = asked if isinstance(asked, list) else []
    order: list[tuple[str, bool]] = []
    for term in terms:
        column = term.get("col") if isinstance(term, dict) else None
        if column not in columns:
            raise bad_query(f"Error in query parameters: {str(column)[:64]} is not a valid search key")
        order.append((str(column), term.get("dir") == "desc"))
    return order if any(column == "id" for column, _ in order) else [*order, ("id", False)]


def read_limit(asked: object, *, most: int, of_nonsense: int) -> int:
    """Read `limit`: at most `most`, and `of_nonsense` for what is not positive. Raises Refused (400)."""
    try:
        limit = int(str(asked))
    except ValueError as exc:
        raise bad_query("Error in query parameters: limit must be a number") from exc
    return min(limit, most) if limit > 0 else of_nonsense


def _token(row: Row, order: Order) -> str:
    return base64.b64encode(json.dumps({"values": {column: row[column] for column, _ in order}}).encode()).decode()


def _token_values(token: str | None, order: Order) -> Mapping[str, object] | None:
    if not token:
        return None
    try:
        values = json.loads(base64.b64decode(token, validate=True))["values"]
        return {column: values[column] for column, _ in order}
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise bad_query("Error in query parameters: invalid after_token") from exc


def _is_after(row: Row, token: Mapping[str, object], order: Order) -> bool:
    for column, descending in order:
        here, there = sortable(row[column]), sortable(token[column])
        if here != there:
            return _less(there, here) is not descending
    return False


def _less(left: tuple[int, object], right: tuple[int, object]) -> bool:
    try:
        return left < right
    except TypeError as exc:
        raise bad_query("Error in query parameters: invalid after_token") from exc
