"""Deliberate bugs, each of a kind that was made somewhere: what a simulation is worth is which of them it notices.

A mutant is a change of the shipping code for the time of a test. `CAUGHT_BY` says by which complaint it is to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from functions.core import demand, pricing, reconcile, scaling
from functions.core import snapshot as seen_json
from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointGroup
from functions.core.plan import ConfirmGone, Destroy, move
from functions.core.schedules import InForce
from functions.ports import MarketplaceBusy
from functions.route import snapshot
from functions.scale import apply, tick, turn
from pyworker.ledger import Ledger
from tests.fakes.store import MemoryStore
from tests.simulation import hostile, mortal, timetables

Mutate = Callable[[pytest.MonkeyPatch], None]


def release_before_it_is_confirmed(patch: pytest.MonkeyPatch) -> None:
    """Write DESTROYED as soon as the destroy was asked for."""
    honest = apply._effect  # noqa: SLF001 - a mutant is made inside

    def hasty(action: Any, rental: Any, desk: Any) -> Any:
        if isinstance(action, Destroy):
            desk.write(action.worker_id, move(rental, WorkerState.DESTROYED, "asked for", now_s=desk.now_s()))
        return honest(action, rental, desk)

    patch.setattr(apply, "_effect", hasty)


def repeat_a_create_after_a_timeout(patch: pytest.MonkeyPatch) -> None:
    """Send a create again when its answer was lost, as HTTP libraries like to."""
    honest = apply.Desk.marketplace.fget  # type: ignore[attr-defined]

    class Eager:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            return getattr(self._port, name)

        def create(self, request: Any) -> Any:
            try:
                return self._port.create(request)
            except MarketplaceBusy:
                return self._port.create(request)

    patch.setattr(apply.Desk, "marketplace", property(lambda desk: Eager(honest(desk))))


def go_on_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """Neither look at the lease before an effect nor fence a write by its epoch, where processes are suspended more often."""
    patch.setattr(mortal, "PAUSE_CHANCE", 8 * mortal.PAUSE_CHANCE)
    patch.setattr(turn.Tenure, "lease", lambda tenure: tenure._lease)  # noqa: SLF001 - a mutant is made inside
    patch.setattr(MemoryStore, "_fenced", lambda store, lease: store._of(lease.endpoint))  # noqa: SLF001 - a mutant is made inside


def believe_that_what_is_not_listed_is_gone(patch: pytest.MonkeyPatch) -> None:
    """Take the list's word for an absence."""

    def credulous(action: ConfirmGone, desk: Any) -> Any:
        return apply.gone(action.worker_id, desk.workers[action.worker_id].rental, desk)

    patch.setattr(apply, "_confirm_gone", credulous)


def end_a_drain_at_once(patch: pytest.MonkeyPatch) -> None:
    """Take a worker away as soon as it is to go."""
    patch.setattr(reconcile, "is_free", lambda _worker, *, now_s: now_s > 0)


def leave_strays_alone(patch: pytest.MonkeyPatch) -> None:
    """Destroy nothing that no record accounts for."""
    patch.setattr(scaling, "strays", lambda *_args, **_options: ())


def take_unknown_demand_for_none(patch: pytest.MonkeyPatch) -> None:
    """Read an empty memory as a demand of zero, measured for ever, where the memory is lost more often."""
    patch.setattr(hostile, "MEMORY_LOST_CHANCE", 10 * hostile.MEMORY_LOST_CHANCE)
    honest = demand.observe

    def presuming(seen: Any, *, now_s: float) -> Any:
        measured = honest(seen, now_s=now_s)
        if seen.state.samples:
            return measured
        quiet = replace(measured.ahead, load_per_s=0.0)
        return replace(measured, ahead=quiet, settled=True, peaks=(), last_asked_at_s=0.0, asked_now=False)

    patch.setattr(scaling, "observe", presuming)


def record_a_part_of_what_was_seen(patch: pytest.MonkeyPatch) -> None:
    """Keep what a person would look at, without the memory."""
    honest = seen_json.to_json
    patch.setattr(tick, "to_json", lambda seen: {**honest(seen), "state": {}})


def wait_for_a_boot_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Condemn nothing that boots."""
    rules = dict(reconcile._RULES)  # noqa: SLF001 - a mutant is made inside
    rules[WorkerState.BOOTING] = lambda worker, sight: (
        step if not isinstance(step := reconcile._booting(worker, sight), Destroy) else None  # noqa: SLF001 - as above
    )
    patch.setattr(reconcile, "_RULES", rules)


def serve_whoever_asks_first(patch: pytest.MonkeyPatch) -> None:
    """Leave no room to those who came before."""
    patch.setattr(snapshot.Snapshot, "ahead_of", lambda *_args, **_options: [])


def take_a_ticket_as_often_as_it_comes(patch: pytest.MonkeyPatch) -> None:
    """Forget which tickets were used."""
    honest = Ledger.admit

    def forgetful(ledger: Ledger, ticket: Any, *, now_s: float) -> None:
        ledger._above.pop(ticket.reqnum, None)  # noqa: SLF001 - a mutant is made inside
        ledger._floor = 0  # noqa: SLF001 - a mutant is made inside
        honest(ledger, ticket, now_s=now_s)

    patch.setattr(Ledger, "admit", forgetful)


def heed_no_schedule(patch: pytest.MonkeyPatch) -> None:
    """Decide by the parameters that the group declares, whatever holds now, where every world has schedules."""
    patch.setattr(timetables, "SCHEDULED_SHARE", 1.0)

    def as_declared(group: EndpointGroup, *, now_s: float) -> InForce:
        del now_s
        return InForce(declared=group, group=replace(group, schedules={}))

    patch.setattr(scaling, "in_force", as_declared)


def rent_without_counting_what_is_intended(patch: pytest.MonkeyPatch) -> None:
    """Count a rent towards the ceilings once it is confirmed, not when it is meant."""
    honest = pricing.headroom

    def blind(group: Any, workers: Any, astray: Any) -> Any:
        return honest(group, [each for each in workers if each.rental.state is not WorkerState.RENTING], astray)

    patch.setattr(scaling, "headroom", blind)


CAUGHT_BY: Final[Mapping[Mutate, str]] = {
    release_before_it_is_confirmed: "allowed|unknown to the table|seen, and let be|not hold",
    repeat_a_create_after_a_timeout: "allowed",
    go_on_without_the_lease: "allowed|unknown to the table|Illegal|taken with|not hold",
    believe_that_what_is_not_listed_is_gone: "allowed|unknown to the table|seen, and let be|not hold",
    end_a_drain_at_once: "is taken with",
    take_unknown_demand_for_none: "before anything was known",
    record_a_part_of_what_was_seen: "replays to another plan",
    wait_for_a_boot_for_ever: "has been booting|not hold",
    serve_whoever_asks_first: "was overtaken",
    take_a_ticket_as_often_as_it_comes: "twice",
    rent_without_counting_what_is_intended: "allowed",
    heed_no_schedule: "in force",
}
