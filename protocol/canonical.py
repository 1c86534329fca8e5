"""One JSON text for one value, so that both ends of a signature sign the same bytes.

Canonical form: keys sorted, no blanks, UTF-8 without escapes beyond JSON's own, numbers as Python prints them, integral floats as
integers (JavaScript drops `.0`, so `242.0` and `242` must sign alike), no NaN or infinity. This is RFC 8785 restricted to
the values that a ticket may hold; it is not a general implementation.

`parse_object` is the strict reader for strangers' bytes: one object, no duplicate keys, no NaN, bounded size and depth.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

JSON_DEPTH_MAX: Final = 32

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class MalformedJson(ValueError):
    """The bytes are not one well-formed JSON object; the message says where, never what it contained."""


def canonical_bytes(fields: dict[str, str | float]) -> bytes:
    """Encode a flat object canonically. Raises ValueError for NaN and infinity."""
    normal = {key: _integral(value) for key, value in fields.items()}
    return _CANONICAL.encode(normal).encode()


def parse_object(body: bytes, *, size_max: int) -> dict[str, Any]:
    """Read one JSON object of at most `size_max` bytes. Raises MalformedJson."""
    if len(body) > size_max:
        raise MalformedJson(f"body is {len(body)} bytes; at most {size_max} are accepted")
    try:
        # Decoded here: given bytes, the reader would guess UTF-16 and UTF-32 as well.
        value = json.loads(body.decode(), object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise MalformedJson("body is nested too deeply") from exc
    except MalformedJson:
        raise
    except ValueError as exc:  # not UTF-8, not JSON, or a number of more digits than Python converts
        raise MalformedJson("body is not valid JSON") from exc
    if not isinstance(value, dict):
        raise MalformedJson("body must be a JSON object")
    _check_depth(value)
    return value


def _integral(value: str | float) -> str | float:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedJson("body repeats a field")
    return fields


def _refuse_constant(_text: str) -> NoReturn:
    raise MalformedJson("body holds NaN or Infinity, which JSON does not allow")


def _check_depth(value: Any, depth: int = 1) -> None:
    if depth > JSON_DEPTH_MAX:
        raise MalformedJson(f"body is nested deeper than {JSON_DEPTH_MAX} levels")
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            _check_depth(child, depth + 1)
