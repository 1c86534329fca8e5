"""A scaler's turn at one group: its ports, its settings, its time, and the right to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from functions.ports import Clock, Lease, LeaseLost, Marketplace, ScaleStore

LEASE_S: Final = 75.0
# One effect on the marketplace takes at most this long: the pause before it (adapters/vast_pace), and the exchange (vast_http).
CALL_S_MAX: Final = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePorts:
    """The world as the scaler sees it."""

    store: ScaleStore
    marketplace: Marketplace
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSettings:
    """How this stack scales. `secret_env` and `image_login` are keyed `<group>/<autogroup>`; secrets never show in a repr."""

    stack: str
    report_url: str
    worker_token_secret: bytes = field(repr=False)
    secret_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    image_login: Mapping[str, str] = field(default_factory=dict, repr=False)
    tick_interval_s: float = 5.0
    rent_confirm_s: float = 120.0
    credit_hours_min: float = 24.0


class Tenure:
    """The right to act on one group, renewed before it can run out under a call."""

    def __init__(self, lease: Lease, *, store: ScaleStore, clock: Clock) -> None:
        self._lease = lease
        self._store = store
        self._clock = clock

    @property
    def endpoint(self) -> str:
        """The group."""
        return self._lease.endpoint

    def lease(self) -> Lease:
        """Return a lease that outlives one call to the marketplace. Raises LeaseLost: someone else may act by now.

        The epoch fences writes to the table; it cannot fence a create at the marketplace, so a scaler that was paused must not
        go on with one.
        """
        now_s = self._clock.now_s()
        if self._lease.until_s - now_s < CALL_S_MAX:
            if self._lease.until_s <= now_s:
                raise LeaseLost(self._lease.endpoint)
            self._lease = self._store.renew_lease(self._lease, now_s=now_s, duration_s=LEASE_S)
        return self._lease

    def end(self) -> None:
        """Give the lease back."""
        self._store.release_lease(self._lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One scaler's turn at one group. After `deadline_s` no further action is begun."""

    tenure: Tenure
    ports: ScalePorts
    settings: ScaleSettings
    deadline_s: float

    @property
    def endpoint(self) -> str:
        """The group."""
        return self.tenure.endpoint

    @property
    def marketplace(self) -> Marketplace:
        """The marketplace, for one effect: reading this checks the right to act. Raises LeaseLost."""
        self.tenure.lease()
        return self.ports.marketplace

    def now_s(self) -> float:
        """Return the time now."""
        return self.ports.clock.now_s()

    def is_over(self) -> bool:
        """Tell whether the time is up."""
        return self.now_s() >= self.deadline_s
