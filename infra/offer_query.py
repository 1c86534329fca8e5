"""The shape of Vast's offer query, checked before anything is deployed: `gpu_name=RTX_4090 num_gpus>=1 geolocation in [SE,NO]`.

A text that begins with `{` is the same in JSON, as the API and its SDK take it: `{"num_gpus": {"gte": 1}}`.

The marketplace ignores a filter that it does not understand, which rents the wrong machine instead of failing. So the text must
read as a sequence of `field operator value` and nothing else, and a field that is nearly the name of an offer's column is taken
for a typing error. Fields that resemble none are passed on: the marketplace may have learned new ones.

Source of the grammar: `parse_query` of the `vastai` command line, 1.9.1; of the columns: its `search offers --help`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

TERMS_MAX: Final = 64

_TERM: Final = re.compile(
    r"""\s*(?P<field>[A-Za-z0-9_]+)
    \s*(?P<op>[=><!]+|\s(?:not\s+in|notin|nin|in|not\s+eq|noteq|neq|eq|gte|gt|lte|lt)(?=[\s\[]))
    \s*(?P<value>\[[^\]]*\]|"[^"]*"|[^\s]+)""",
    re.VERBOSE,
)
_EQUAL: Final = frozenset({"=", "==", "eq"})
_LISTS: Final = frozenset({"in", "nin", "notin", "not in"})
_OPERATORS: Final = _EQUAL | _LISTS | {"!=", ">", ">=", "<", "<=", "neq", "noteq", "not eq", "gt", "gte", "lt", "lte"}
_ANY: Final = frozenset({"?", "*", "any"})
_MULTIPLIED: Final = frozenset({"cpu_ram", "gpu_ram", "gpu_total_ram", "duration"})  # scaled by the client, so a number
_NUMBER: Final = re.compile(r'"?-?\d+(\.\d+)?"?', re.ASCII)
_DRIVER_VERSION: Final = re.compile(r'"?\d+\.\d+\.\d+"?', re.ASCII)
_SIMILARITY_MIN: Final = 0.8  # of difflib: gpu_nmae is gpu_name, gpu_power is not

OFFER_FIELDS: Final = frozenset(
    """allocated_storage bw_nvlink compute_cap cpu_arch cpu_cores cpu_cores_effective cpu_ghz cpu_name cpu_ram cuda_max_good
    cuda_vers datacenter direct_port_count disk_bw disk_name disk_space display_active dlperf dlperf_per_dphtotal dlperf_usd dph
    dph_base dph_total driver_vers driver_version duration end_date expected_reliability external flops_per_dphtotal flops_usd
    geolocation gpu_arch gpu_display_active gpu_frac gpu_lanes gpu_max_power gpu_max_temp gpu_mem_bw gpu_name gpu_ram
    gpu_total_ram gpu_totalram has_avx host_id hosting_type id inet_down inet_down_cost inet_up inet_up_cost machine_id min_bid
    mobo_name num_gpus os_version pci_gen pcie_bw reliability reliability2 rentable rented score start_date static_ip
    storage_cost storage_total_cost target_reliability total_flops ubuntu_version verification verified vms_enabled
    vram_costperhour""".split()  # noqa: SIM905 - eighty quoted names would be harder to compare with the documentation
)


_JSON_OPERATORS: Final = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "in", "notin"})
_NO_FILTERS: Final[Mapping[str, str]] = {
    "order": "set 'search_order' instead",
    "type": "set 'rental_type' instead",
    "limit": "remove it",
    "allocated_storage": "set 'disk_gb' instead",
    "disable_bundling": "remove it",
}
_ORDER_TERM: Final = re.compile(r"[-+]?(?P<field>[A-Za-z0-9_]+)[-+]?")
ORDER_TERMS_MAX: Final = 8


def query_faults(text: str) -> list[str]:
    """Return what is wrong with an offer query, one clause a fault, in the order of the text; empty if nothing is."""
    if _is_json(text):
        return list(_json_faults(text))
    faults: list[str] = []
    position = 0
    for _ in range(TERMS_MAX):
        term = _TERM.match(text, position)
        if term is None:
            break
        faults.extend(_term_faults(term))
        position = term.end()
    if rest := text[position:].strip():
        faults.append(f"cannot be read from {rest!r} on: write field, operator and value, and quote a value with blanks")
    return faults


def query_fields(text: str) -> frozenset[str]:
    """Return the fields that a well-formed query filters on."""
    if _is_json(text):
        return frozenset(json.loads(text))
    return frozenset(term["field"] for term in _TERM.finditer(text))


def order_faults(text: str) -> list[str]:
    """Return what is wrong with an order of offers, one clause a fault; empty if nothing is."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) > ORDER_TERMS_MAX:
        return [f"names more than {ORDER_TERMS_MAX} columns"]
    terms = [(word, _ORDER_TERM.fullmatch(word)) for word in words]
    faults = [f"orders by {word!r}, which is no column" for word, term in terms if term is None]
    return faults + [fault for _, term in terms if term is not None for fault in _field_faults(term["field"], "orders by")]


def without(text: str, **ids: tuple[int, ...]) -> str:
    """Return a well-formed query that does not filter on these fields, with these ids of each left out."""
    left_out = {field: listed for field, listed in ids.items() if listed}
    if not left_out:
        return text
    if _is_json(text):
        return json.dumps({**json.loads(text), **{field: {"notin": list(listed)} for field, listed in left_out.items()}})
    return " ".join([text, *(f"{field} notin [{','.join(map(str, listed))}]" for field, listed in left_out.items())])


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _json_faults(text: str) -> Iterator[str]:
    try:
        query = json.loads(text)
    except (ValueError, RecursionError):
        yield "begins with '{' and is no JSON"
        return
    for field, conditions in query.items():
        if field in _NO_FILTERS:
            yield f"holds {field!r}, which is no filter: {_NO_FILTERS[field]}"
            continue
        yield from _field_faults(field)
        if not isinstance(conditions, dict):
            yield f'has no operator for {field!r}: write {{"{field}": {{"eq": …}}}}'
            continue
        for op, value in conditions.items():
            yield from _condition_faults(field, op, value)


def _condition_faults(field: str, op: str, value: Any) -> Iterator[str]:
    if op not in _JSON_OPERATORS:
        yield f"has no operator {op!r}: use one of {' '.join(sorted(_JSON_OPERATORS))}"
        return
    values = value if isinstance(value, list) else [value]
    if (op in _LISTS) is not isinstance(value, list) or any(isinstance(each, list | dict) for each in values):
        yield f"needs {'a list of values' if op in _LISTS else 'one value'} for {field!r} with {op!r}"


def _field_faults(field: str, verb: str = "filters on") -> Iterator[str]:
    if field not in OFFER_FIELDS and (near := difflib.get_close_matches(field, OFFER_FIELDS, n=1, cutoff=_SIMILARITY_MIN)):
        yield f"{verb} {field!r}, which offers do not have ({near[0]!r} is meant?)"


def _term_faults(term: re.Match[str]) -> Iterator[str]:
    field, op = term["field"], " ".join(term["op"].split())
    value = term["value"].strip(",[]")
    if op not in _OPERATORS:
        yield f"has no operator {op!r}: use one of = != > >= < <= in notin"
    yield from _field_faults(field)
    if value.strip('"') in _ANY:
        if op not in _EQUAL:
            yield f"compares {field!r} with {value!r}, which only '=' can"
        return
    for word in value.split(",") if op in _LISTS else [value]:
        yield from _value_faults(field, word.strip())


def _value_faults(field: str, word: str) -> Iterator[str]:
    if not word:
        yield f"has an empty value for {field!r}"
    elif field in _MULTIPLIED and _NUMBER.fullmatch(word) is None:
        yield f"needs a number for {field!r}, not {word!r}"
    elif field == "driver_version" and "." in word and _DRIVER_VERSION.fullmatch(word) is None:
        yield f"needs a version like 535.86.05 for {field!r}, not {word!r}"
