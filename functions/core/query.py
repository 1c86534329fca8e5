"""The offer query language of Vast's command line (`gpu_name=RTX_4090 num_gpus>=2 geolocation in [DE,NL]`), and its other spelling.

`parse_query` turns `search_params` into the flat filter that the search API takes, as the official client does (vastai 1.9.1
`api/query.py parse_query`): tokens `field op value`, aliases, multipliers, `_` for a blank, `any` to drop a filter; numbers
without a multiplier stay strings. Text that begins with `{` is JSON: the flat filter itself, in the API's own units, as the
official SDK takes a dict. `parse_order` reads the order of a search, `-dlperf_usd,dph`. A test holds both to the official client.

Where the official client guesses, drops a word or fails on a traceback, this one refuses and names what it could not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

Filter = Mapping[str, Mapping[str, Any]]
Filters = dict[str, dict[str, Any]]

QUERY_LENGTH_MAX: Final = 4096
ORDER_TERMS_MAX: Final = 8
ALIASES: Final = MappingProxyType(
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
LISTS: Final = frozenset({"in", "notin"})
_NAMES: Final = frozenset(_OPERATORS.values())
_MULTIPLIERS: Final = MappingProxyType({"cpu_ram": 1000.0, "gpu_ram": 1000.0, "gpu_total_ram": 1000.0, "duration": 86_400.0})
_LITERALS: Final[Mapping[str, Any]] = MappingProxyType(
    {"true": True, "True": True, "false": False, "False": False, "None": None, "null": None}
)
_ANY: Final = frozenset({"?", "*", "any"})
# Keys of the search call that are no filters, and where an autogroup says them instead.
_NO_FILTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "order": "set search_order",
        "type": "set rental_type",
        "limit": "leave it out",
        "allocated_storage": "set disk_gb",
        "disable_bundling": "leave it out",
    }
)
_TERM: Final = re.compile(
    r"""\s*(?P<field>[a-zA-Z0-9_]+)
        \s*(?P<op>[=><!]+|\s(?:not\s+in|notin|nin|in|not\s+eq|noteq|neq|eq|gte|gt|lte|lt)(?=[\s\[]))
        \s*(?P<value>\[[^\]]*\]|"[^"]*"|[^\s]+)\s*""",
    re.VERBOSE,
)
_COLUMN: Final = re.compile(r"[a-zA-Z0-9_]+")
# What the official client asks for unless told otherwise.
DEFAULTS: Final[Filter] = MappingProxyType({"verified": {"eq": True}, "external": {"eq": False}, "rentable": {"eq": True}})


class MalformedQuery(ValueError):
    """The text is not a query; the message says where and what would be."""


def parse_query(text: str, defaults: Filter = DEFAULTS) -> Filters:
    """Return the flat filter of a query, over these defaults. Raises MalformedQuery."""
    if len(text) > QUERY_LENGTH_MAX:
        raise MalformedQuery(f"the query is longer than {QUERY_LENGTH_MAX} characters")
    filters: Filters = {field: dict(conditions) for field, conditions in defaults.items()}
    if text.lstrip().startswith("{"):
        return _parse_object(text, filters)
    position = 0
    while text[position:].strip():
        term = _TERM.match(text, position)
        if term is None:
            raise MalformedQuery(f"`{text[position:].strip()[:40]}` is not `field operator value`; quote a value that holds blanks")
        _add(filters, term)
        position = term.end()
    return filters


def parse_order(text: str) -> list[list[str]]:
    """Return `dph` or `-score,num_gpus` as the API's list of `[column, direction]`. Raises MalformedQuery."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) > ORDER_TERMS_MAX:
        raise MalformedQuery(f"an order has at most {ORDER_TERMS_MAX} columns")
    return [_order_term(word) for word in words]


def _order_term(word: str) -> list[str]:
    column = word.strip("+-")
    if _COLUMN.fullmatch(column) is None:
        raise MalformedQuery(f"`{word[:40]}` is no column to order by; write dph_total, -score or score-")
    descending = "-" in word and "+" not in word
    return [ALIASES.get(column, column), "desc" if descending else "asc"]


def _parse_object(text: str, filters: Filters) -> Filters:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise MalformedQuery(f"the query begins with {{ and is no JSON: {str(exc)[:80]}") from exc
    for given, conditions in asked.items():
        field = ALIASES.get(given, given)
        if given in _NO_FILTERS:
            raise MalformedQuery(f"{given} is no filter: {_NO_FILTERS[given]}")
        if not isinstance(conditions, dict):
            raise MalformedQuery(f'{given}: conditions are written as {{"{given}": {{"eq": …}}}}')
        filters[field] = {name: _json_value(field, name, wanted) for name, wanted in conditions.items()}
        if not conditions or conditions.get("eq") in _ANY:
            del filters[field]  # also a default
    return filters


def _json_value(field: str, name: str, wanted: Any) -> Any:
    if name not in _NAMES:
        raise MalformedQuery(f"{field}: unknown operator {name[:20]}; use one of {', '.join(sorted(_NAMES))}")
    values = wanted if name in LISTS and isinstance(wanted, list) else [wanted]
    if (name in LISTS) is not isinstance(wanted, list) or any(isinstance(value, list | dict) for value in values):
        raise MalformedQuery(f"{field}: {name} goes with {'a list of values' if name in LISTS else 'one value'}")
    return wanted


def _add(filters: Filters, term: re.Match[str]) -> None:
    field = ALIASES.get(term["field"], term["field"])
    name = _OPERATORS.get(" ".join(term["op"].split()))
    if name is None:
        raise MalformedQuery(f"unknown operator {term['op'].strip()} after {field}")
    text = term["value"].strip(",[]")
    if text.strip('"') in _ANY:
        _drop(filters, field, name)
        return
    value = _list(field, text) if name in LISTS else _value(field, text)
    # Inside a list the official client leaves `true` a word; whoever compares reads it as the column's type.
    filters.setdefault(field, {})[name] = _LITERALS.get(value, value) if isinstance(value, str) else value


def _drop(filters: Filters, field: str, name: str) -> None:
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
    return word


def _number(field: str, word: str) -> float:
    try:
        return float(word)
    except ValueError as exc:
        raise MalformedQuery(f"{field}: `{word[:40]}` is not a number") from exc


def _driver_number(word: str) -> int:
    number = driver_number(word)
    if number is None:
        raise MalformedQuery(f"driver_version: `{word[:40]}` is not of the form 535.86.05")
    return number


def driver_number(version: str) -> int | None:
    """Return 535.86.05 as 535086005, as the marketplace compares driver versions; None for what has not three parts."""
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return int("".join(part.zfill(3) for part in parts))
