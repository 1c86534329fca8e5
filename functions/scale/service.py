"""The use case: keep one group's fleet right, for as long as this invocation lasts and the group needs it.

Only the holder of the group's lease looks or acts. While something is under way it ticks every few seconds; once all is quiet
it gives the lease back and ends, and the schedule or a waiting request starts the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from functions.core.plan import Cadence
from functions.ports import Lease, LeaseLost, StoreUnavailable
from functions.scale.tick import Tick, tick
from functions.scale.turn import LEASE_S, ScalePorts, ScaleSettings, Tenure, Turn

LEASE_LOOK_S: Final = 3.0
TICKS_MAX: Final = 10_000  # an invocation lasts 15 minutes at most


def keep_scaled(
    endpoint: str, *, owner: str, ports: ScalePorts, settings: ScaleSettings, deadline_s: float, patient: bool = False
) -> Iterator[Tick]:
    """Yield each tick, as long as the group is busy and the time suffices; none if another scaler holds the group.

    A `patient` one waits for its turn, until its own deadline: so the scheduled scaler relieves one that was woken between two
    schedule events, and a busy group is never left alone until the next. `owner` names this invocation.

    Raises StoreUnavailable and UnreadableItem; losing the lease ends it quietly, since another
    scaler has taken over.
    """
    until_s = deadline_s if patient else ports.clock.now_s()
    lease = _await_lease(endpoint, owner=owner, ports=ports, until_s=until_s)
    if lease is None:
        return
    with _turn(lease, ports=ports, settings=settings, deadline_s=deadline_s) as turn:
        for _ in range(TICKS_MAX):
            done = tick(turn)
            if done is None:
                return
            yield done
            soon_s = ports.clock.now_s() + settings.tick_interval_s
            if done.plan.cadence is Cadence.IDLE or soon_s >= deadline_s:
                return
            ports.clock.wait_s(settings.tick_interval_s)


def _await_lease(endpoint: str, *, owner: str, ports: ScalePorts, until_s: float) -> Lease | None:
    """Take the lease, waiting until then for a scaler that is at work: it gives it back, or it runs out. None if not."""
    while True:
        now_s = ports.clock.now_s()
        lease = ports.store.acquire_lease(endpoint, owner=owner, now_s=now_s, duration_s=LEASE_S)
        if lease is not None or now_s + LEASE_LOOK_S > until_s:
            return lease
        ports.clock.wait_s(LEASE_LOOK_S)


@contextmanager
def _turn(lease: Lease, *, ports: ScalePorts, settings: ScaleSettings, deadline_s: float) -> Iterator[Turn]:
    """Hold the group for the body. Swallows LeaseLost: the body just ends."""
    tenure = Tenure(lease, store=ports.store, clock=ports.clock)
    with suppress(LeaseLost):
        try:
            yield Turn(tenure=tenure, ports=ports, settings=settings, deadline_s=deadline_s)
        finally:
            # A lease that cannot be given back runs out by itself.
            with suppress(StoreUnavailable):
                tenure.end()
