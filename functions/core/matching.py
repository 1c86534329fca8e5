"""Check on our side what the search was asked for: the server has been seen to ignore a filter, and says nothing when it does.

Rows and filters are plain JSON values. The search knows some columns under another name or in another unit than the row shows them
(`_VIRTUAL`; source: the official client's list of columns, vastai 1.9.1 `data/query.py`); a column that a row does not have is not
judged, and neither is `rented`, which is about the caller and not about the row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from functions.core.query import LISTS, Filter, driver_number

Row = Mapping[str, Any]

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "eq": operator.eq,
        "neq": operator.ne,
        "gt": operator.gt,
        "gte": operator.ge,
        "lt": operator.lt,
        "lte": operator.le,
    }
)
_UNJUDGED: Final = frozenset({"rented"})


def _driver(row: Row) -> Any:
    # The number is null on one row in ten, and sometimes that of an older driver: the text is what the host has.
    return driver_number(str(row.get("driver_version"))) or row.get("driver_vers")


def _country(row: Row) -> Any:
    shown = row.get("geolocation")
    return None if shown is None else str(shown).rpartition(",")[2].strip()


# What the search calls it -> (the column that a row must have, how it is read from the row).
_VIRTUAL: Final[Mapping[str, tuple[str, Callable[[Row], Any]]]] = MappingProxyType(
    {
        "verified": ("verification", lambda row: row["verification"] == "verified"),
        "datacenter": ("hosting_type", lambda row: row["hosting_type"] == 1),
        "driver_version": ("driver_vers", _driver),
        "geolocation": ("geolocation", _country),
        "reliability2": ("reliability", lambda row: row["reliability"]),
        "target_reliability": ("expected_reliability", lambda row: row["expected_reliability"]),
        "dphtotal": ("dph_total", lambda row: row["dph_total"]),
        "gpu_totalram": ("gpu_total_ram", lambda row: row["gpu_total_ram"]),
        "ubuntu_version": ("os_version", lambda row: row["os_version"]),
        "allocated_storage": ("disk_space", lambda row: row["disk_space"]),
    }
)


def matches(row: Row, filters: Filter) -> bool:
    """Tell whether an offer's row satisfies every condition that it can be judged by."""
    return all(
        _holds(_column(row, field), name, wanted)
        for field, conditions in filters.items()
        if _is_judgeable(row, field)
        for name, wanted in conditions.items()
    )


def _is_judgeable(row: Row, field: str) -> bool:
    return field not in _UNJUDGED and _VIRTUAL.get(field, (field,))[0] in row


def _column(row: Row, field: str) -> Any:
    return _VIRTUAL[field][1](row) if field in _VIRTUAL else row[field]


def _holds(value: Any, name: str, wanted: Any) -> bool:
    if isinstance(value, bool) or value is None:
        value = bool(value) if isinstance(wanted, bool) else value
    if name in LISTS:
        inside = any(_compare("eq", value, one) for one in wanted)
        return inside if name == "in" else not inside
    return _compare(name, value, wanted)


def _compare(name: str, value: Any, wanted: Any) -> bool:
    if value is None or wanted is None:
        same = value is wanted
        return {"eq": same, "neq": not same}.get(name, False)
    left, right = _alike(value, wanted)
    try:
        return _COMPARE[name](left, right)
    except TypeError:  # a word against a number: not equal, and in no order
        return name == "neq"


def _alike(value: Any, wanted: Any) -> tuple[Any, Any]:
    """Return both sides in the row's type: the filter holds strings where the row holds numbers."""
    if isinstance(value, bool):
        return value, wanted if isinstance(wanted, bool) else str(wanted).lower() in {"true", "1"}
    if isinstance(value, str):
        return value.replace("_", " ").strip(), str(wanted).replace("_", " ").strip()
    try:
        return float(value), float(wanted)
    except (TypeError, ValueError, OverflowError):
        return value, wanted
