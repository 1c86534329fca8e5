"""The integers by which Vast's clients speak of what we know by name.

An id is derived from the name alone, so it needs no counter, survives a new deployment, and is the same at every router: 31 bits of
SHA-256. Should two names have the same id (of a hundred names, in one stack of 400,000), it means neither: `named` says so, and
the names still work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

ID_MAX: Final = 2**31 - 1

_T = TypeVar("_T")


class AmbiguousId(Exception):
    """Two names have this id: ask by name."""


def endpoint_id(endpoint: str) -> int:
    """Return the id of an endpoint group, 1 to ID_MAX."""
    return _id_of(endpoint)


def autogroup_id(endpoint: str, autogroup: str) -> int:
    """Return the id of an autogroup, 1 to ID_MAX."""
    return _id_of(f"{endpoint}/{autogroup}")


def named(wanted: int, things: Iterable[_T], id_of: Callable[[_T], int]) -> _T | None:
    """Return the thing with the id, None if there is none. Raises AmbiguousId."""
    found = [each for each in things if id_of(each) == wanted]
    if len(found) > 1:
        raise AmbiguousId(wanted)
    return found[0] if found else None


def _id_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % ID_MAX + 1
