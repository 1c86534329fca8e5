"""When a serving worker falls silent: two witnesses condemn it soon, one alone does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.plan import Destroy
from functions.core.scaling import decide
from tests.core.builders import NOW_S, a_condition, a_snapshot, a_worker, an_instance


def a_silent_worker(number: int, *, silent_s: float, in_flight: int) -> Worker:
    """Return a READY worker that last reported `silent_s` ago."""
    said = a_condition(reported_at_s=NOW_S - silent_s, in_flight=in_flight)
    return replace(a_worker(number), condition=said)


@pytest.mark.parametrize(
    ("silent_s", "in_flight", "listed_as", "condemned"),
    [
        (10, 3, "offline", True),
        (10, 3, "exited", True),
        (10, 3, "running", False),
        (10, 0, "offline", False),
        (5, 3, "offline", False),
        (42, 0, "offline", True),
    ],
)
def test_a_worker_that_misses_its_reports_and_is_listed_as_down_is_replaced(
    silent_s: float, in_flight: int, listed_as: str, *, condemned: bool
) -> None:
    silent, other = a_silent_worker(1, silent_s=silent_s, in_flight=in_flight), a_worker(2)
    listing = (
        an_instance(1, status=listed_as, running=listed_as == "running", failed=listed_as == "offline"),
        an_instance(2),
    )

    plan = decide(a_snapshot(silent, other, listing=listing), now_s=NOW_S)

    destroyed = {action.worker_id for action in plan.actions if isinstance(action, Destroy)}
    assert (silent.worker_id in destroyed) is condemned
    assert other.worker_id not in destroyed


def test_a_draining_worker_whose_host_went_away_is_not_waited_for() -> None:
    busy = a_condition(reported_at_s=NOW_S - 10, in_flight=3)
    gone = replace(a_worker(1, WorkerState.DRAINING, drain_to=WorkerState.STOPPING), condition=busy)
    listing = (an_instance(1, status="offline", running=False, failed=True), an_instance(2))

    plan = decide(a_snapshot(gone, a_worker(2), listing=listing), now_s=NOW_S)

    assert [type(action) for action in plan.actions] == [Destroy]
