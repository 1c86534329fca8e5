"""What `ReportStore` promises, held by the table in memory and by DynamoDB alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.ports import StaleReport, WorkerGone
from protocol.report import Phase
from protocol.vast_report import VastReport
from tests.contract.stores import ENDPOINT, Stores
from tests.core.builders import NOW_S, a_condition, a_group, a_request, a_worker, worker_id


@pytest.fixture
def worker(stores: Stores) -> Worker:
    """Return a stored worker that reported once, as number 1 of run `r`."""
    stores.pulumi.put_group(a_group())
    return stores.hold(a_worker(1))


def test_a_report_replaces_what_was_said_and_nothing_else(stores: Stores, worker: Worker) -> None:
    totals = stores.route.assign(worker, cost=4.0, assigned_load_max=1e9, expires_at_s=NOW_S)
    said = a_condition(seq=2, finished_load=3.5, url="https://203.0.113.7:1")

    answer = stores.report.put_condition(ENDPOINT, worker.worker_id, said)

    assert answer == replace(worker, condition=said, assignments=totals)


def test_the_first_report_of_a_worker_is_taken(stores: Stores) -> None:
    booting = stores.hold(a_worker(1, WorkerState.BOOTING))

    assert stores.report.put_condition(ENDPOINT, booting.worker_id, a_condition(seq=0)).condition == a_condition(seq=0)


@pytest.mark.parametrize("seq", [0, 1])
def test_a_report_that_is_not_newer_is_stale_and_tells_what_is_stored(stores: Stores, worker: Worker, seq: int) -> None:
    with pytest.raises(StaleReport) as raised:
        stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=seq, perf=1.0))

    assert raised.value.stored == worker


def test_a_stale_report_changes_nothing(stores: Stores, worker: Worker) -> None:
    with pytest.raises(StaleReport):
        stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=1, perf=1.0))

    assert stores.stored(worker.worker_id) == worker


def test_a_new_run_counts_from_zero(stores: Stores, worker: Worker) -> None:
    fresh = a_condition(run_id="second", seq=0)

    assert stores.report.put_condition(ENDPOINT, worker.worker_id, fresh).condition == fresh


@pytest.mark.usefixtures("worker")
def test_a_report_of_a_worker_that_never_was_makes_none(stores: Stores) -> None:
    with pytest.raises(WorkerGone):
        stores.report.put_condition(ENDPOINT, worker_id(99), a_condition(seq=2))

    assert stores.stored(worker_id(99)) is None


def test_a_report_of_a_destroyed_worker_changes_nothing(stores: Stores, worker: Worker) -> None:
    stores.scale.put_rental(stores.lease(), worker.worker_id, replace(worker.rental, state=WorkerState.DESTROYED))

    with pytest.raises(WorkerGone):
        stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=2, perf=1.0))
    stored = stores.stored(worker.worker_id)
    assert stored is not None
    assert stored.condition == worker.condition


def test_the_records_of_served_requests_are_forgotten(stores: Stores, worker: Worker) -> None:
    for number in (1, 2, 3):
        stores.route.put_request(ENDPOINT, replace(a_request(number), worker_id=worker.worker_id), expires_at_s=NOW_S)

    assert stores.report.delete_requests(ENDPOINT, [1, 2], worker_id=worker.worker_id) == 2
    assert [stores.route.request(ENDPOINT, number) is None for number in (1, 2, 3)] == [True, True, False]


def test_repeats_and_unknown_requests_are_not_counted(stores: Stores, worker: Worker) -> None:
    stores.route.put_request(ENDPOINT, replace(a_request(1), worker_id=worker.worker_id), expires_at_s=NOW_S)

    assert stores.report.delete_requests(ENDPOINT, [1, 1, 77], worker_id=worker.worker_id) == 1


@pytest.mark.parametrize("holder", [None, "w0-other"])
def test_a_worker_cannot_make_the_requests_of_others_forgotten(stores: Stores, worker: Worker, holder: str | None) -> None:
    request = replace(a_request(1), worker_id=holder)
    stores.route.put_request(ENDPOINT, request, expires_at_s=NOW_S)

    assert stores.report.delete_requests(ENDPOINT, [1], worker_id=worker.worker_id) == 0
    assert stores.route.request(ENDPOINT, 1) == request


def test_what_a_newer_report_no_longer_knows_is_forgotten(stores: Stores, worker: Worker) -> None:
    stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=2, queue_depth=3, cache_use=0.5))

    after = stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=3))

    assert (after.condition.queue_depth, after.condition.cache_use) == (None, None)


# What Vast's workers say is merged


SAID = VastReport(
    version="1.1.0", phase=Phase.READY, url="http://203.0.113.7:1", perf=50.0, in_flight=2, in_flight_load=8.0, error=""
)


def test_what_a_vast_worker_says_is_taken_over(stores: Stores, worker: Worker) -> None:
    merged = stores.report.merge_condition(ENDPOINT, worker.worker_id, SAID, now_s=NOW_S + 1)

    expected = replace(
        worker.condition,
        version="1.1.0",
        url="http://203.0.113.7:1",
        perf=50.0,
        in_flight=2,
        in_flight_load=8.0,
        reported_at_s=NOW_S + 1,
    )
    assert merged.condition == expected
    assert stores.stored(worker.worker_id) == merged


def test_what_it_does_not_say_stays(stores: Stores, worker: Worker) -> None:
    before = stores.report.merge_condition(ENDPOINT, worker.worker_id, SAID, now_s=NOW_S + 1)

    after = stores.report.merge_condition(ENDPOINT, worker.worker_id, VastReport(version="1.1.0"), now_s=NOW_S + 2)

    assert after.condition == replace(before.condition, reported_at_s=NOW_S + 2)


def test_what_was_assigned_is_noted_report_by_report(stores: Stores, worker: Worker) -> None:
    seen = []
    for cost in (4.0, 6.0, 1.0):
        stores.route.assign(worker, cost=cost, assigned_load_max=1e9, expires_at_s=NOW_S)
        said = stores.report.merge_condition(ENDPOINT, worker.worker_id, SAID, now_s=NOW_S).condition
        seen.append((said.assigned_seen_load, said.assigned_before_load))

    assert seen == [(4.0, 0.0), (10.0, 4.0), (11.0, 10.0)]


def test_a_part_without_a_gauge_notes_nothing_of_what_was_assigned(stores: Stores, worker: Worker) -> None:
    stores.route.assign(worker, cost=4.0, assigned_load_max=1e9, expires_at_s=NOW_S)

    said = stores.report.merge_condition(ENDPOINT, worker.worker_id, VastReport(version=""), now_s=NOW_S).condition

    assert (said.assigned_seen_load, said.assigned_before_load) == (0.0, 0.0)


@pytest.mark.parametrize("number", [1, 99])
def test_what_a_worker_says_that_is_gone_changes_nothing(stores: Stores, worker: Worker, number: int) -> None:
    stores.scale.put_rental(stores.lease(), worker.worker_id, replace(worker.rental, state=WorkerState.DESTROYED))

    with pytest.raises(WorkerGone):
        stores.report.merge_condition(ENDPOINT, worker_id(number), SAID, now_s=NOW_S)
