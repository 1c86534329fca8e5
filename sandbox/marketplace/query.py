"""Read a search as the marketplace does: JSON conditions whose values are mostly strings.

A query is an object of conditions `{column: {operator: value}}` beside a few keys that are no filters (`order`, `type`, `limit`,
`allocated_storage`). The official client sends `"1"`, `"0.9"` and `true` as it finds them, so *the server coerces by the column's
type*. Virtual columns and aliases: `verified`, `datacenter`, two-letter `geolocation`, `duration`, `*_GB`, and the old spellings in
`ALIASES`. Unknown columns and operators are refused with 400 instead of being ignored, because a filter that silently does nothing
rents the wrong machine.

Null compares as in SQL: it satisfies only `eq null` and `neq` something, except that a null flag (`external`) counts as false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final

from sandbox.marketplace.errors import bad_query
from sandbox.marketplace.offers import Offer, Pricing, Row

LIMIT_DEFAULT: Final = 64
LIMIT_MAX: Final = 3_000
CONDITIONS_MAX: Final = 128
# More names than a market has, so that each is made plain once.
NAMES_MAX: Final = 4_096


class Kind(Enum):
    """How a column's values are read."""

    NUMBER = auto()
    FLAG = auto()
    TEXT = auto()
    # Written `RTX 4090` and `RTX_4090`: underscores are blanks.
    NAME = auto()


Test = Callable[[Row], bool]
Read = Callable[[Row], Any]
Compare = Callable[[Any, Any], bool]

_FLAGS: Final = frozenset(
    {"rentable", "rented", "external", "static_ip", "is_bid", "gpu_display_active", "vms_enabled", "is_vm_deverified", "verified"}
    | {"datacenter"},
)
_NAMES: Final = frozenset(
    {"gpu_name", "cpu_name", "cpu_arch", "gpu_arch", "mobo_name", "os_version", "disk_name", "driver_version", "geolocation"}
    | {"verification", "hostname", "logo", "webpage", "public_ipaddr", "resource_type", "time_remaining", "time_remaining_isbid"},
)
_NUMBERS: Final = frozenset(
    {
        *(
            "id",
            "ask_contract_id",
            "bundle_id",
            "machine_id",
            "host_id",
            "vericode",
            "hosting_type",
            "geolocode",
            "rn",
            "cluster_id",
        ),
        *("start_date", "end_date", "duration", "reliability", "reliability2", "reliability_mult", "expected_reliability"),
        *("target_reliability", "credit_discount_max", "discount_rate", "num_gpus", "gpu_ram", "gpu_total_ram", "gpu_frac"),
        *("gpu_lanes", "gpu_mem_bw", "gpu_max_power", "gpu_max_temp", "compute_cap", "cuda_max_good", "driver_vers", "bw_nvlink"),
        *("dlperf", "total_flops", "cpu_cores", "cpu_cores_effective", "cpu_ghz", "cpu_ram", "has_avx", "pci_gen", "pcie_bw"),
        *("disk_bw", "disk_space", "nw_disk_min_bw", "nw_disk_max_bw", "nw_disk_avg_bw", "avail_vol_ask_id", "avail_vol_dph"),
        *("avail_vol_size", "inet_up", "inet_down", "inet_up_cost", "inet_down_cost", "internet_up_cost_per_tb"),
        *("internet_down_cost_per_tb", "direct_port_count", "dph_base", "dph_total", "dph_total_adj", "min_bid", "storage_cost"),
        *("storage_total_cost", "discounted_hourly", "discounted_dph_total", "vram_costperhour", "dlperf_per_dphtotal"),
        *("flops_per_dphtotal", "score", "platform_fee", "bundled_results"),
        *("sla_broker_rate", "sla_r_claim", "sla_sigma_x"),
    },
)
OFFER_COLUMNS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_NUMBERS, Kind.NUMBER),
    **dict.fromkeys(_FLAGS, Kind.FLAG),
    **dict.fromkeys(_NAMES, Kind.NAME),
}
ALIASES: Final = {
    "dphtotal": "dph_total",
    "dph": "dph_total",
    "gpu_totalram": "gpu_total_ram",
    "dlperf_usd": "dlperf_per_dphtotal",
    "flops_usd": "flops_per_dphtotal",
    "cuda_vers": "cuda_max_good",
    "display_active": "gpu_display_active",
    "ubuntu_version": "os_version",
}
_MB_PER_GB: Final = 1_000
# What is no filter. The last four are sent by third parties and mean nothing here.
_SETTINGS: Final = frozenset(
    {
        "order",
        "type",
        "limit",
        "allocated_storage",
        "disable_bundling",
        "chunked",
        "georegion",
        "client_id",
        "api_key",
        "select_cols",
    },
)
_BID_TYPES: Final = frozenset({"bid", "interruptible"})
_OTHER_TYPES: Final = frozenset({"on-demand", "ondemand", "reserved"})
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})

_COMPARE: Final[Mapping[str, Compare]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_LISTS: Final = frozenset({"in", "notin", "nin"})


def _country(row: Row) -> str:
    """The two letters at the end of `City, CC`."""
    return str(row["geolocation"] or "").rsplit(",", maxsplit=1)[-1].strip()


def _gb(column: str) -> Read:
    return lambda row: row[column] / _MB_PER_GB  # type: ignore[operator]


_VIRTUAL: Final[Mapping[str, tuple[Kind, Read]]] = {
    "verified": (Kind.FLAG, lambda row: row["verification"] == "verified"),
    "datacenter": (Kind.FLAG, lambda row: row["hosting_type"] == 1),
    "geolocation": (Kind.TEXT, _country),
    "driver_version": (Kind.NUMBER, lambda row: row["driver_vers"]),
    "gpu_ram_GB": (Kind.NUMBER, _gb("gpu_ram")),
    "gpu_total_ram_GB": (Kind.NUMBER, _gb("gpu_total_ram")),
    "gpu_totalram_GB": (Kind.NUMBER, _gb("gpu_total_ram")),
    "cpu_ram_GB": (Kind.NUMBER, _gb("cpu_ram")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search, compiled: `tests` must all hold, `order` is applied from the last to the first."""

    tests: tuple[Test, ...]
    order: tuple[tuple[str, bool], ...]
    pricing: Pricing
    limit: int

    def matches(self, row: Row) -> bool:
        """Whether the row satisfies every condition."""
        for test in self.tests:  # noqa: SIM110 - a search runs this on every offer: half the time of all() over a generator
            if not test(row):
                return False
        return True

    def ranked(self, offers: Iterable[Offer]) -> list[Offer]:
        """Return the offers whose rows match, in order, at most `limit`; nulls come last."""
        found = [(offer, row) for offer in offers if self.matches(row := offer.row(self.pricing))]
        for column, descending in reversed(self.order):
            found.sort(key=lambda pair, column=column: sortable(pair[1].get(column)), reverse=descending)  # type: ignore[misc]
            found.sort(key=lambda pair, column=column: pair[1].get(column) is None)  # type: ignore[misc]
        return [offer for offer, _ in found[: self.limit]]


def compile_query(asked: object, *, now_s: float, own_machines: frozenset[int] = frozenset()) -> Query:
    """Compile a flat query. Raises Refused (400) for anything that is not one."""
    if not isinstance(asked, dict) or len(asked) > CONDITIONS_MAX:
        raise bad_query("Invalid query: must be dict of conditions")
    storage_gb = _storage_gb(asked.get("allocated_storage", 5.0))
    tests = [_column_test(name, asked[name], now_s=now_s, own_machines=own_machines) for name in asked if name not in _SETTINGS]
    return Query(
        tests=(*(test for group in tests for test in group), lambda row: row["disk_space"] >= storage_gb),  # type: ignore[operator]
        order=_order(asked.get("order")),
        pricing=Pricing(allocated_gb=storage_gb, bid=_is_bid(asked.get("type"))),
        limit=_limit(asked.get("limit")),
    )


def compile_conditions(asked: object, columns: Mapping[str, Kind]) -> tuple[Test, ...]:
    """Compile filters over named columns only (the instance list). Raises Refused (400) for other columns."""
    if not isinstance(asked, dict) or len(asked) > CONDITIONS_MAX:
        raise bad_query("Invalid query: must be dict of conditions")
    return tuple(test for name, conditions in asked.items() for test in _tests(name, conditions, columns))


def _column_test(name: str, conditions: object, *, now_s: float, own_machines: frozenset[int]) -> list[Test]:
    if name == "rented":
        return _virtual(conditions, Kind.FLAG, lambda row: row["machine_id"] in own_machines)
    if name == "duration":
        return _virtual(conditions, Kind.NUMBER, lambda row: row["end_date"] - now_s)  # type: ignore[operator]
    if name in _VIRTUAL:
        kind, read = _VIRTUAL[name]
        return _virtual(_as_numbers(conditions) if name == "driver_version" else conditions, kind, read)
    return list(_tests(ALIASES.get(name, name), conditions, OFFER_COLUMNS))


def _tests(name: str, conditions: object, columns: Mapping[str, Kind]) -> Iterable[Test]:
    kind = columns.get(name)
    if kind is None:
        raise bad_query(f"Error in query parameters: {name[:64]} is not a valid search key")
    return _virtual(conditions, kind, lambda row: row.get(name))


def _virtual(conditions: object, kind: Kind, read: Read) -> list[Test]:
    if not isinstance(conditions, dict):
        raise bad_query("Invalid query: must be dict of conditions")
    return [_test(operation, value, kind, read) for operation, value in conditions.items()]


def _test(operation: str, value: object, kind: Kind, read: Read) -> Test:
    value_of = _typed(kind, read)
    if operation in _LISTS:
        wanted = frozenset(_coerce(item, kind) for item in _items(value))
        inside = operation == "in"
        return lambda row: (value_of(row) in wanted) is inside
    compare = _COMPARE.get(operation)
    if compare is None:
        raise bad_query(f"Error in query parameters: {str(operation)[:32]} is not a valid operator")
    operand = _coerce(value, kind)
    if operand is None:
        return _is_null(operation, value_of)
    unlike_null = operation == "neq"
    return lambda row: unlike_null if (present := value_of(row)) is None else compare(present, operand)


def _is_null(operation: str, value_of: Read) -> Test:
    """Compare with null: only `eq` and `neq` can hold."""
    match operation:
        case "eq":
            return lambda row: value_of(row) is None
        case "neq":
            return lambda row: value_of(row) is not None
        case _:
            return lambda _row: False


def _typed(kind: Kind, read: Read) -> Read:
    """Return a reader whose values compare with coerced operands of the same kind."""
    match kind:
        case Kind.NUMBER:
            return read
        case Kind.FLAG:
            return lambda row: bool(read(row))
        case Kind.TEXT:
            return read
        case Kind.NAME:
            return lambda row: None if (value := read(row)) is None else _plain(value)


def _coerce(value: object, kind: Kind) -> object:
    match kind:
        case Kind.NUMBER:
            return _number(value)
        case Kind.FLAG:
            return _flag(value)
        case Kind.TEXT:
            return None if value is None else str(value)
        case Kind.NAME:
            return None if value is None else _plain(str(value))


@lru_cache(maxsize=NAMES_MAX)
def _plain(text: str) -> str:
    return text.replace("_", " ").strip()


def _number(value: object) -> float | None:
    if value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise bad_query(f"Error in query parameters: {str(value)[:64]!r} is not a number") from exc


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise bad_query(f"Error in query parameters: {word[:64]!r} is neither true nor false")
    return word in _TRUE


def _items(value: object) -> Sequence[object]:
    if isinstance(value, str):
        return [item.strip() for item in value.strip("[]").split(",")]
    if not isinstance(value, list):
        raise bad_query("Error in query parameters: in and notin need a list")
    return value


def _as_numbers(conditions: object) -> object:
    """Driver versions are compared as numbers: 535.86.05 becomes 535086005, what is a number already stays."""
    if not isinstance(conditions, dict):
        return conditions
    return {operation: _driver_number(value) for operation, value in conditions.items()}


def _driver_number(value: object) -> object:
    if isinstance(value, list):
        return [_driver_number(item) for item in value]
    parts = str(value).split(".")
    return int("".join(part.zfill(3) for part in parts)) if len(parts) == 3 and all(map(str.isdigit, parts)) else value


def sortable(value: object) -> tuple[int, object]:
    """Order values of any one column; nulls have a place of their own."""
    if value is None:
        return (0, 0)
    return (1, value if isinstance(value, (int, float, str)) else str(value))


def _order(asked: object) -> tuple[tuple[str, bool], ...]:
    if asked is None:
        return (("score", True),)
    if not isinstance(asked, list):
        raise bad_query("Error in query parameters: order must be a list of [field, direction]")
    return tuple(_order_term(term) for term in asked[:CONDITIONS_MAX])


def _order_term(term: object) -> tuple[str, bool]:
    if not isinstance(term, list) or len(term) != 2 or not isinstance(term[0], str):
        raise bad_query("Error in query parameters: order must be a list of [field, direction]")
    column = ALIASES.get(term[0], term[0])
    # A common "now" is subtracted from every end date, so both order alike.
    column = {"duration": "end_date", "verified": "verification", "datacenter": "hosting_type"}.get(column, column)
    if column not in OFFER_COLUMNS:
        raise bad_query(f"Error in query parameters: {column[:64]} is not a valid search key")
    return column, term[1] == "desc"


def _is_bid(asked: object) -> bool:
    word = "on-demand" if asked is None else str(asked)
    if word not in _BID_TYPES | _OTHER_TYPES:
        raise bad_query(f"Error in query parameters: {word[:32]!r} is not a valid type")
    return word in _BID_TYPES


def _storage_gb(asked: object) -> float:
    """Read the disk size, whether given plainly or as a condition on the virtual column."""
    value = next(iter(asked.values()), 5.0) if isinstance(asked, dict) else asked
    gb = _number(value)
    if gb is None or not 0 <= gb <= 1_000_000:
        raise bad_query("Error in query parameters: allocated_storage must be a number of GiB")
    return gb


def _limit(asked: object) -> int:
    if asked is None:
        return LIMIT_DEFAULT
    limit = _number(asked)
    if limit is None or not limit >= 1:
        raise bad_query("Error in query parameters: limit must be a positive number")
    return int(min(limit, LIMIT_MAX))
