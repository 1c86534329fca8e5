"""The offer query language of Vast's command line (`gpu_name=RTX_4090 num_gpus>=2 geolocation in [DE,NL]`), read and re-checked.

`parse_query` turns the text into the flat filter that the search API takes, as the official client does (vastai 1.9.1
`api/query.py parse_query`): tokens `field op value`, aliases, multipliers, `_` for a blank, `any` to drop a filter; numbers
without a multiplier stay strings. `matches` checks a row against the filter on our side, because the server has been seen to
ignore some. Rows and filters are plain JSON values; columns that a row does not have are not judged.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

Filter = Mapping[str, Mapping[str, Any]]

QUERY_LENGTH_MAX: Final = 4096
_ALIASES: Final = MappingProxyType(
    {
        "cuda_vers": "cuda_max_good",
        "display_active": "gpu_display_active",
        "dlperf_usd": "dlperf_per_dphtotal",
        "dph": "dph_total",
        "flops_usd": "flops_per_dphtotal",
    }
)
_OPERATORS: Final = MappingProxyType(
    {
        **dict.fromkeys(("=", "==", "eq"), "eq"),
        **dict.fromkeys(("!=", "neq", "noteq", "not eq"), "neq"),
        **dict.fromkeys((">", "gt"), "gt"),
        **dict.fromkeys((">=", "gte"), "gte"),
        **dict.fromkeys(("<", "lt"), "lt"),
        **dict.fromkeys(("<=", "lte"), "lte"),
        "in": "in",
        **dict.fromkeys(("nin", "notin", "not in"), "notin"),
    }
)
_MULTIPLIERS: Final = MappingProxyType({"cpu_ram": 1000.0, "gpu_ram": 1000.0, "gpu_total_ram": 1000.0, "duration": 86_400.0})
_LITERALS: Final[Mapping[str, Any]] = MappingProxyType(
    {"true": True, "True": True, "false": False, "False": False, "None": None, "null": None}
)
_ANY: Final = frozenset({"?", "*", "any"})
_TERM: Final = re.compile(
    r"""\s*(?P<field>[a-zA-Z0-9_]+)
        \s*(?P<op>[=><!]+|\s(?:not\s+in|notin|nin|in|not\s+eq|noteq|neq|eq|gte|gt|lte|lt)(?=[\s\[]))
        \s*(?P<value>\[[^\]]*\]|"[^"]*"|[^\s]+)\s*""",
    re.VERBOSE,
)
# What the official client asks for unless told otherwise.
DEFAULTS: Final[Filter] = MappingProxyType({"verified": {"eq": True}, "external": {"eq": False}, "rentable": {"eq": True}})
_LISTS: Final = frozenset({"in", "notin"})
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


class MalformedQuery(ValueError):
    """The text is not a query; the message says where and what would be."""


def parse_query(text: str, defaults: Filter = DEFAULTS) -> dict[str, dict[str, Any]]:
    """Return the flat filter of a query text, over these defaults. Raises MalformedQuery."""
    if len(text) > QUERY_LENGTH_MAX:
        raise MalformedQuery(f"the query is longer than {QUERY_LENGTH_MAX} characters")
    filters: dict[str, dict[str, Any]] = {field: dict(conditions) for field, conditions in defaults.items()}
    position = 0
    while text[position:].strip():
        term = _TERM.match(text, position)
        if term is None:
            raise MalformedQuery(f"`{text[position:].strip()[:40]}` is not `field operator value`; quote a value that holds blanks")
        _add(filters, term)
        position = term.end()
    return filters


def matches(row: Mapping[str, Any], filters: Filter) -> bool:
    """Tell whether an offer's row satisfies every condition that it can be judged by."""
    return all(
        _holds(_column(row, field), name, wanted)
        for field, conditions in filters.items()
        if _is_judgeable(row, field)
        for name, wanted in conditions.items()
    )


def _add(filters: dict[str, dict[str, Any]], term: re.Match[str]) -> None:
    field = _ALIASES.get(term["field"], term["field"])
    name = _OPERATORS.get(" ".join(term["op"].split()))
    if name is None:
        raise MalformedQuery(f"unknown operator {term['op'].strip()} after {field}")
    text = term["value"].strip(",[]")
    if text.strip('"') in _ANY:
        _drop(filters, field, name)
        return
    filters.setdefault(field, {})[name] = _list(field, text) if name in _LISTS else _value(field, text)


def _drop(filters: dict[str, dict[str, Any]], field: str, name: str) -> None:
    if name != "eq":
        raise MalformedQuery(f"{field}: `any` goes with `=` only")
    filters.pop(field, None)


def _list(field: str, text: str) -> list[Any]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise MalformedQuery(f"{field}: a list holds no blank values")
    return [_value(field, word) for word in words]


def _value(field: str, text: str) -> Any:
    word = text.strip().strip('"').replace("_", " ")
    if field == "driver_version" and "." in word:
        return _driver_number(word)
    if field in _MULTIPLIERS:
        return _number(field, word) * _MULTIPLIERS[field]
    return _LITERALS.get(word, word)


def _number(field: str, word: str) -> float:
    try:
        return float(word)
    except ValueError as exc:
        raise MalformedQuery(f"{field}: `{word[:40]}` is not a number") from exc


def _driver_number(word: str) -> int:
    """Return 535.86.05 as 535086005, as the marketplace compares driver versions."""
    parts = word.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise MalformedQuery(f"driver_version: `{word[:40]}` is not of the form 535.86.05")
    return int("".join(part.zfill(3) for part in parts))


# Columns that the search knows under one name and the row shows under another.
_VIRTUAL: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = MappingProxyType(
    {
        "verified": ("verification", lambda shown: shown == "verified"),
        "datacenter": ("hosting_type", lambda shown: shown == 1),
        "driver_version": ("driver_vers", lambda shown: shown),
        "geolocation": ("geolocation", lambda shown: None if shown is None else str(shown).rpartition(",")[2].strip()),
    }
)


def _is_judgeable(row: Mapping[str, Any], field: str) -> bool:
    return _VIRTUAL.get(field, (field,))[0] in row


def _column(row: Mapping[str, Any], field: str) -> Any:
    if field not in _VIRTUAL:
        return row[field]
    shown, read = _VIRTUAL[field]
    return read(row[shown])


def _holds(value: Any, name: str, wanted: Any) -> bool:
    if isinstance(value, bool) or value is None:
        value = bool(value) if isinstance(wanted, bool) else value
    if name in _LISTS:
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
    except (TypeError, ValueError):
        return value, wanted
