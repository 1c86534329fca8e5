"""The load on Vast's own workers, as gauges tell it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.capacity import is_heard
from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, Worker
from functions.core.reconcile import is_free
from functions.core.routing import backlog, is_routable, settlement
from protocol.report import REPORT_VERSION
from protocol.ticket import CLOCK_SKEW_S
from tests.core.builders import NOW_S, a_condition, a_worker

EXPIRES_S = NOW_S + 60


def theirs(*, assigned: float = 0.0, reqnum: int = 0, state: WorkerState = WorkerState.READY, **said: Any) -> Worker:
    """Return a worker of version 1.1.0 that was given `assigned` in `reqnum` tickets."""
    given = Assignments(assigned_load=assigned, reqnum=reqnum, ticket_expires_at_s=EXPIRES_S if reqnum else 0.0)
    return replace(a_worker(1, state), condition=a_condition(**{"version": "1.1.0"} | said), assignments=given)


def test_what_was_assigned_since_the_report_before_the_last_counts_beside_what_is_held() -> None:
    worker = theirs(assigned=500.0, reqnum=5, in_flight_load=200.0, assigned_before_load=450.0)

    assert backlog(worker) == 250.0


def test_a_ticket_that_was_never_used_counts_no_longer_after_two_reports() -> None:
    worker = theirs(assigned=500.0, reqnum=5, in_flight_load=0.0, assigned_seen_load=500.0, assigned_before_load=500.0)

    assert backlog(worker) == 0.0


def test_before_its_first_gauge_everything_counts() -> None:
    assert backlog(theirs(assigned=30.0, reqnum=3)) == 30.0


def test_a_worker_that_tells_requests_alone_holds_their_mean_cost() -> None:
    worker = theirs(assigned=300.0, reqnum=10, in_flight=4, version="", assigned_before_load=300.0)

    assert backlog(worker) == 120.0


def test_a_worker_that_was_never_given_anything_has_nothing() -> None:
    assert backlog(theirs(in_flight=4, version="")) == 0.0


def test_once_every_ticket_has_expired_what_is_held_is_all() -> None:
    worker = theirs(assigned=500.0, reqnum=5, in_flight_load=7.0, reported_at_s=EXPIRES_S + CLOCK_SKEW_S + 1)

    assert backlog(worker) == 7.0


def test_there_is_nothing_to_settle() -> None:
    assert settlement(theirs(assigned=500.0, reqnum=5, reported_at_s=EXPIRES_S + CLOCK_SKEW_S + 1)) is None


@pytest.mark.parametrize(("version", "free"), [(REPORT_VERSION, True), ("1.1.0", False)])
def test_a_gauge_of_nothing_does_not_prove_that_every_ticket_has_arrived(version: str, *, free: bool) -> None:
    worker = theirs(
        state=WorkerState.DRAINING,
        version=version,
        assigned=100.0,
        reqnum=1,
        finished_load=100.0,
        in_flight_load=0.0,
        assigned_before_load=100.0,
    )

    assert is_free(worker, now_s=NOW_S) is free


def test_a_drain_ends_when_the_last_ticket_has_expired() -> None:
    reported_at_s = EXPIRES_S + CLOCK_SKEW_S + 1
    worker = theirs(state=WorkerState.DRAINING, assigned=100.0, reqnum=1, reported_at_s=reported_at_s)

    assert is_free(worker, now_s=reported_at_s + 1)


@pytest.mark.parametrize(("version", "heard"), [(REPORT_VERSION, False), ("1.1.0", False), ("", True)])
def test_only_a_worker_that_reports_by_chance_may_be_silent_for_minutes(version: str, *, heard: bool) -> None:
    worker = theirs(version=version, reported_at_s=NOW_S - 120)

    assert (is_heard(worker, now_s=NOW_S), is_routable(worker, now_s=NOW_S)) == (heard, heard)
