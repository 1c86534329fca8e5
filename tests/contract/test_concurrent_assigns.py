"""Sixteen routers at once on one worker: no load is lost, no number given twice, no ceiling broken."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.core.model import Assignments, Worker
from functions.ports import AssignmentRefused
from tests.contract.stores import Stores
from tests.core.builders import NOW_S, a_group, a_worker

THREADS = 16
CALLS_EACH = 12
COST = 2.5
CEILING = 300.0  # 120 of the 192 calls fit


@pytest.fixture
def worker(stores: Stores) -> Worker:
    """Return a stored worker that is ready."""
    stores.pulumi.put_group(a_group())
    return stores.hold(a_worker(1))


@pytest.fixture
def given(stores: Stores, worker: Worker) -> list[Assignments]:
    """Return what all the threads were given, each starting from one stale view: an idle worker."""
    start = threading.Barrier(THREADS)

    def call_repeatedly(_: int) -> list[Assignments]:
        start.wait()
        results = []
        for _ in range(CALLS_EACH):
            try:
                results.append(stores.route.assign(worker, cost=COST, assigned_load_max=CEILING - COST, expires_at_s=NOW_S + 60))
            except AssignmentRefused:
                break
        return results

    with ThreadPoolExecutor(THREADS) as pool:
        return [totals for results in pool.map(call_repeatedly, range(THREADS)) for totals in results]


def test_the_ceiling_is_reached_and_never_broken(given: list[Assignments]) -> None:
    assert max(totals.assigned_load for totals in given) == CEILING


def test_every_number_is_given_once_and_none_is_left_out(given: list[Assignments]) -> None:
    assert sorted(totals.reqnum for totals in given) == list(range(1, len(given) + 1))


def test_no_load_is_lost(stores: Stores, worker: Worker, given: list[Assignments]) -> None:
    stored = stores.stored(worker.worker_id)

    assert stored is not None
    assert stored.assignments.assigned_load == COST * len(given)


def test_every_total_belongs_to_its_number(given: list[Assignments]) -> None:
    assert all(totals.assigned_load == COST * totals.reqnum for totals in given)
