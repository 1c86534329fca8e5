"""What one execution environment of the router remembers between calls, so that a warm route reads nothing.

Every cache is bounded in time and in entries, and holds nothing that may not be lost: an environment is used by one call at a time
and forgotten without notice. How stale each may be:

* API keys, and hashes that are no key: KEY_TTL_S, so a revoked key works that long at most
* a group's parameters: GROUP_TTL_S after a `pulumi up`, or after a schedule has changed them
* workers and waiting requests: SNAPSHOT_TTL_S (see `snapshot`)
* when the scaler was woken last: WAKE_EVERY_S
* what is left of a client's limit: SHARE_LIFE_S (see `core.rate_limit`); what was learned of its rate, ALLOWANCE_TTL_S
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from functions.core.model import ApiKey
from functions.core.scaler_state import ScalerState
from functions.core.schedules import InForce
from functions.route.allowance import Allowance
from functions.route.snapshot import SNAPSHOT_TTL_S, Snapshot

KEY_TTL_S: Final = 5.0
GROUP_TTL_S: Final = 5.0
STATE_TTL_S: Final = 5.0
WAKE_EVERY_S: Final = 2.0
ALLOWANCE_TTL_S: Final = 300.0
ENTRIES_MAX: Final = 1_024

_V = TypeVar("_V")


class TtlCache(Generic[_V]):
    """Values by name, each for `ttl_s` seconds, at most `entries_max` of them: the oldest goes first."""

    def __init__(self, *, ttl_s: float, entries_max: int = ENTRIES_MAX) -> None:
        self._ttl_s = ttl_s
        self._entries_max = entries_max
        self._held: dict[str, tuple[_V, float]] = {}

    def get(self, name: str, *, now_s: float) -> _V | None:
        """Return the value, None if there is none that is young enough."""
        value, until_s = self._held.get(name, (None, 0.0))
        return value if now_s < until_s else None

    def put(self, name: str, value: _V, *, now_s: float) -> _V:
        """Keep a value from now on and return it."""
        self._held.pop(name, None)
        if len(self._held) >= self._entries_max:
            del self._held[next(iter(self._held))]
        self._held[name] = (value, now_s + self._ttl_s)
        return value

    def drop(self, name: str) -> None:
        """Forget a value, so that it is read again."""
        self._held.pop(name, None)

    def get_or_read(self, name: str, read: Callable[[], _V], *, now_s: float) -> _V:
        """Return the value, reading it if there is none that is young enough."""
        held = self.get(name, now_s=now_s)
        return self.put(name, read(), now_s=now_s) if held is None else held


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[_V]):
    """The answer of a read, so that "there is none" can be remembered as well."""

    value: _V | None


@dataclass(frozen=True, slots=True)
class RouteCaches:
    """The caches of one execution environment. Unknown keys have their own, so that guessing evicts no real key."""

    keys: TtlCache[Found[ApiKey]] = field(default_factory=lambda: TtlCache(ttl_s=KEY_TTL_S))
    unknown_keys: TtlCache[Found[ApiKey]] = field(default_factory=lambda: TtlCache(ttl_s=KEY_TTL_S))
    groups: TtlCache[Found[InForce]] = field(default_factory=lambda: TtlCache(ttl_s=GROUP_TTL_S))
    states: TtlCache[ScalerState] = field(default_factory=lambda: TtlCache(ttl_s=STATE_TTL_S))
    snapshots: TtlCache[Snapshot] = field(default_factory=lambda: TtlCache(ttl_s=SNAPSHOT_TTL_S))
    allowances: TtlCache[Allowance] = field(default_factory=lambda: TtlCache(ttl_s=ALLOWANCE_TTL_S))
    woken: TtlCache[float] = field(default_factory=lambda: TtlCache(ttl_s=WAKE_EVERY_S))
