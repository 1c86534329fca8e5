"""The shape of Vast's offer query, checked before anything is deployed: `gpu_name=RTX_4090 num_gpus>=1 geolocation in [SE,NO]`.

The marketplace ignores a filter that it does not understand, which rents the wrong machine instead of failing. So the text must
read as a sequence of `field operator value` and nothing else, and a field that is nearly the name of an offer's column is taken
for a typing error. Fields that resemble none are passed on: the marketplace may have learned new ones.

Source of the grammar: `parse_query` of the `vastai` command line, 1.9.1; of the columns: its `search offers --help`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Final

TERMS_MAX: Final = 64

_TERM: Final = re.compile(
    r"""\s*(?P<field>[A-Za-z0-9_]+)
    (?:\s*(?P<symbol>[=><!]+)\s*|\s+(?P<word>not\s?in|nin|in|not\s?eq|neq|eq|gte|gt|lte|lt)\s+)
    (?P<value>\[[^\]]*\]|"[^"]*"|[^\s]+)""",
    re.VERBOSE,
)
_SYMBOLS: Final = frozenset({"=", "==", "!=", ">", ">=", "<", "<="})
_LIST_WORDS: Final = frozenset({"in", "nin", "notin", "not in"})
_ANY: Final = frozenset({"?", "*", "any"})
_MULTIPLIED: Final = frozenset({"cpu_ram", "gpu_ram", "gpu_total_ram", "duration"})  # scaled by the client, so a number
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


def query_faults(text: str) -> list[str]:
    """Return what is wrong with an offer query, one clause a fault, in the order of the text; empty if nothing is."""
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
    return frozenset(term["field"] for term in _TERM.finditer(text))


def _term_faults(term: re.Match[str]) -> Iterator[str]:
    field, symbol, value = term["field"], term["symbol"], term["value"]
    word = " ".join((term["word"] or "").split())
    if symbol is not None and symbol not in _SYMBOLS:
        yield f"has no operator {symbol!r}: use one of {' '.join(sorted(_SYMBOLS))}, in, notin"
    if field not in OFFER_FIELDS and (near := difflib.get_close_matches(field, OFFER_FIELDS, n=1, cutoff=_SIMILARITY_MIN)):
        yield f"filters on {field!r}, which offers do not have ({near[0]!r} is meant?)"
    if word in _LIST_WORDS and not all(part.strip(' "') for part in value.strip("[]").split(",")):
        yield f"has an empty value in the list of {field!r}"
    if value in _ANY and (symbol or word) not in {"=", "==", "eq"}:
        yield f"compares {field!r} with {value!r}, which only '=' can"
    if field in _MULTIPLIED and word not in _LIST_WORDS and value not in _ANY and not _is_number(value):
        yield f"needs a number for {field!r}, not {value!r}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r'"?-?\d+(\.\d+)?"?,?', text) is not None
