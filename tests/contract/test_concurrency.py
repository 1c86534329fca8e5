"""The whole table under sixteen threads: what a writer was promised holds whoever else writes, in memory and in DynamoDB alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeVar

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Settlement
from functions.core.rate_limit import Budgets, Price
from functions.ports import AssignmentRefused, BudgetSpent, Lease, LeaseLost, NumberTaken, StaleReport, WorkerGone
from tests.contract.stores import ENDPOINT, Stores
from tests.core.builders import NOW_S, a_condition, a_group, a_request, a_state, a_worker, worker_id

THREADS: Final = 16
ROUNDS: Final = 6
UNLIMITED: Final = 1e12

_T = TypeVar("_T")


@pytest.fixture(autouse=True)
def _group(stores: Stores) -> None:
    stores.pulumi.put_group(a_group())


def at_once(do: Callable[[int], _T]) -> list[_T]:
    """Let every thread do it at the same moment; return what each got."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> _T:
        start.wait()
        return do(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def succeeds(do: Callable[[], object], *refusals: type[Exception]) -> bool:
    """Tell whether it was done and not refused."""
    try:
        do()
    except refusals:
        return False
    return True


def contend(stores: Stores, *, now_s: float) -> list[Lease]:
    """Let every thread ask for the lease; return those that got it."""
    asked = at_once(lambda number: stores.scale.acquire_lease(ENDPOINT, owner=f"scaler-{number}", now_s=now_s, duration_s=30.0))
    return [lease for lease in asked if lease is not None]


def test_of_sixteen_scalers_one_gets_the_lease_each_time_it_is_free_and_every_epoch_is_new(stores: Stores) -> None:
    winners = [contend(stores, now_s=NOW_S + 31.0 * number) for number in range(ROUNDS)]

    assert [len(each) for each in winners] == [1] * ROUNDS
    assert [each[0].epoch for each in winners] == list(range(1, ROUNDS + 1))


def test_scalers_that_were_overtaken_write_nothing_while_the_holder_writes_everything(stores: Stores) -> None:
    lost = [contend(stores, now_s=NOW_S + 31.0 * number)[0] for number in range(THREADS - 1)]
    held = stores.scale.acquire_lease(ENDPOINT, owner="holder", now_s=NOW_S + 10_000, duration_s=30.0)
    assert held is not None
    leases = [*lost, held]
    rental = a_worker(1).rental

    def write(number: int) -> bool:
        mine = replace(rental, reason=f"epoch {leases[number].epoch}")
        return succeeds(lambda: stores.scale.put_rental(leases[number], worker_id(number + 1), mine), LeaseLost)

    written = at_once(write)
    records = stores.scale.load(ENDPOINT)

    assert written == [False] * (THREADS - 1) + [True]
    assert records is not None
    assert [(each.worker_id, each.rental.reason) for each in records.workers] == [(worker_id(THREADS), f"epoch {held.epoch}")]


def test_whoever_takes_the_lease_sees_every_write_of_the_one_before_or_that_one_is_refused(stores: Stores) -> None:
    """A write that is under way while the lease changes hands: seen by the new holder's load, or refused; never both missing."""
    first = stores.lease("first")
    loaded: list[set[str]] = []

    def act(number: int) -> str | None:
        if number == THREADS // 2:
            taken = stores.scale.acquire_lease(ENDPOINT, owner="second", now_s=NOW_S + 31, duration_s=30.0)
            records = stores.scale.load(ENDPOINT)
            assert taken is not None
            assert records is not None
            loaded.append({worker.worker_id for worker in records.workers})
            return None
        name = worker_id(number + 1)
        return name if succeeds(lambda: stores.scale.put_rental(first, name, a_worker(1).rental), LeaseLost) else None

    written = {name for name in at_once(act) if name is not None}

    assert written <= loaded[0]


def test_three_writers_of_one_item_never_overwrite_each_other(stores: Stores) -> None:
    worker = stores.hold(a_worker(1))
    lease = stores.lease()

    def write(number: int) -> None:
        match number % 3:
            case 0:
                stores.scale.put_rental(lease, worker.worker_id, replace(worker.rental, reason=f"writer {number}"))
            case 1:
                stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S + number)
            case _:
                succeeds(
                    lambda: stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=100 + number)), StaleReport
                )

    at_once(write)
    stored = stores.stored(worker.worker_id)

    assert stored is not None
    assert stored.rental.reason.startswith("writer")
    assert (stored.assignments.assigned_load, stored.assignments.reqnum) == (5.0, 5)
    assert stored.condition.seq == 100 + 14


def test_of_reports_in_any_order_the_newest_stays(stores: Stores) -> None:
    worker = stores.hold(a_worker(1))

    def report(number: int) -> bool:
        said = a_condition(seq=2 + number, finished_load=float(number))
        return succeeds(lambda: stores.report.put_condition(ENDPOINT, worker.worker_id, said), StaleReport)

    kept = at_once(report)
    stored = stores.stored(worker.worker_id)

    assert kept[-1]
    assert stored is not None
    assert (stored.condition.seq, stored.condition.finished_load) == (1 + THREADS, float(THREADS - 1))


def test_of_sixteen_settlements_of_one_view_one_is_noted(stores: Stores) -> None:
    worker = stores.hold(a_worker(1))

    def settle(number: int) -> bool:
        noted = Settlement(settled_load=float(number), settled_finished_load=0.0)

        def assign() -> None:
            stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S, settlement=noted)

        return succeeds(assign, AssignmentRefused)

    done = at_once(settle)
    stored = stores.stored(worker.worker_id)

    assert sum(done) == 1
    assert stored is not None
    assert (stored.assignments.settled_load, stored.assignments.reqnum) == (float(done.index(True)), 1)


def test_of_sixteen_requests_that_draw_one_number_one_gets_it(stores: Stores) -> None:
    added = at_once(
        lambda number: succeeds(
            lambda: stores.route.add_request(ENDPOINT, a_request(7, cost=float(number)), expires_at_s=NOW_S + 60), NumberTaken
        )
    )
    record = stores.route.request(ENDPOINT, 7)

    assert sum(added) == 1
    assert record is not None
    assert record.cost == float(added.index(True))


def test_nobody_who_waits_is_lost_among_those_who_come_ask_again_are_served_and_leave(stores: Stores) -> None:
    def live(number: int) -> None:
        request = a_request(number + 1)
        stores.route.add_request(ENDPOINT, request, expires_at_s=NOW_S + 60)
        stores.route.put_request(ENDPOINT, replace(request, polled_at_s=NOW_S + 5), expires_at_s=NOW_S + 60)
        if number % 4 == 1:
            stores.route.put_request(ENDPOINT, replace(request, worker_id=worker_id(1)), expires_at_s=NOW_S + 60)
        if number % 4 == 2:
            stores.route.forget_requests(ENDPOINT, [request.request_idx])

    at_once(live)
    waiting = stores.route.waiting(ENDPOINT, limit=100)

    assert sorted(each.request_idx for each in waiting) == [number + 1 for number in range(THREADS) if number % 4 in {0, 3}]
    assert {each.polled_at_s for each in waiting} == {NOW_S + 5}


def test_a_request_is_forgotten_by_one_report_however_often_it_is_told(stores: Stores) -> None:
    worker = stores.hold(a_worker(1))
    stores.route.put_request(ENDPOINT, replace(a_request(1), worker_id=worker.worker_id), expires_at_s=NOW_S + 60)
    told = at_once(lambda _: stores.report.delete_requests(ENDPOINT, [1], worker_id=worker.worker_id))

    assert sum(told) == 1
    assert stores.route.request(ENDPOINT, 1) is None


def test_a_tombstone_that_is_forgotten_takes_no_late_report_and_no_load(stores: Stores) -> None:
    tombstone = stores.hold(a_worker(1, WorkerState.DESTROYED))
    lease = stores.lease()

    def act(number: int) -> bool:
        match number % 3:
            case 0:
                return not succeeds(lambda: stores.scale.forget_worker(lease, tombstone.worker_id))
            case 1:
                report = a_condition(seq=5 + number)
                return succeeds(lambda: stores.report.put_condition(ENDPOINT, tombstone.worker_id, report), WorkerGone)
            case _:
                return succeeds(
                    lambda: stores.route.assign(tombstone, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S),
                    AssignmentRefused,
                )

    assert not any(at_once(act))
    assert stores.stored(tombstone.worker_id) is None


def test_a_budget_is_spent_once_however_many_take_of_it(stores: Stores) -> None:
    def spend(_: int) -> int:
        asked = Price(requests_s=0.5)
        return sum(
            succeeds(lambda: stores.route.spend("website", asked, now_s=NOW_S, known=Budgets()), BudgetSpent) for _ in range(3)
        )

    # What two seconds allow, and the one that overdraws.
    assert sum(at_once(spend)) == 5


def test_what_the_scaler_remembers_is_one_whole_memory(stores: Stores) -> None:
    lease = stores.lease()
    states = [a_state(load_per_s=float(number)) for number in range(THREADS)]
    at_once(lambda number: stores.scale.put_state(lease, states[number]))

    assert stores.route.scaler_state(ENDPOINT) in states
