"""Routing a request that is back from a worker that failed it, and routing by a snapshot that is out of date."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.route.call import Waiting
from functions.route.service import ATTEMPTS_MAX
from protocol.problem import RequestRefused
from protocol.report import Phase
from tests.core.builders import NOW_S, a_worker, worker_id
from tests.functions.router import Router, ready


@pytest.fixture
def router() -> Router:
    """Return a router of a group with two ready, idle workers."""
    router = Router()
    router.holds(*ready(1, 2))
    return router


@pytest.fixture
def full() -> Router:
    """Return a router of a group whose only worker is full: 3,000 of 3,000."""
    router = Router()
    router.holds(*ready(1))
    router.ticket(cost=3_000)
    return router


# Failed, and back


def test_a_request_that_comes_back_goes_to_another_worker(router: Router) -> None:
    first = router.ticket()
    second = router.ticket(request_idx=first.request_idx)

    assert second.worker_id != first.worker_id


def test_a_request_that_comes_back_keeps_its_number_and_gets_a_new_reqnum(router: Router) -> None:
    first = router.ticket()
    for _ in range(3):
        router.ticket()
    second = router.ticket(request_idx=first.request_idx)

    assert (second.request_idx, second.reqnum) == (first.request_idx, 3)


def test_a_request_that_waited_and_comes_back_goes_to_another_worker(full: Router) -> None:
    idx = full.waits().request_idx
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)
    first = full.ticket(request_idx=idx)
    full.holds(a_worker(2))
    full.clock.advance(2.0)
    second = full.ticket(request_idx=idx)

    assert (first.worker_id, second.worker_id) == (worker_id(1), worker_id(2))


def test_a_request_that_has_no_other_worker_pauses_before_it_goes_back_to_the_one_that_failed_it() -> None:
    router = Router()
    router.holds(*ready(1))
    first = router.ticket()

    assert router.waits(request_idx=first.request_idx).request_idx == first.request_idx
    assert router.ticket(request_idx=first.request_idx).worker_id == worker_id(1)


def test_a_request_that_fails_everywhere_is_given_up() -> None:
    router = Router()
    router.holds(*ready(*range(1, 10)))
    idx = router.ticket().request_idx
    for _ in range(ATTEMPTS_MAX - 1):
        router.ticket(request_idx=idx)

    with pytest.raises(RequestRefused) as raised:
        router.ticket(request_idx=idx)
    assert (raised.value.problem.status, raised.value.problem.code) == (502, "too_many_attempts")


def test_a_request_is_not_sent_twice_to_a_worker_that_failed_it_while_there_is_another() -> None:
    router = Router()
    router.holds(*ready(*range(1, ATTEMPTS_MAX + 1)))
    idx = router.ticket().request_idx
    for _ in range(ATTEMPTS_MAX - 1):
        router.ticket(request_idx=idx)

    [request] = router.store.requests("chat")
    assert len({*request.avoid, request.worker_id}) == ATTEMPTS_MAX


def test_a_request_that_comes_back_and_must_wait_keeps_its_place(full: Router) -> None:
    first = full.waits()
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)
    full.ticket(request_idx=first.request_idx)
    full.reports(worker_id(1), phase=Phase.ERROR)
    full.clock.advance(2.0)
    full.waits()

    assert full.waits(request_idx=first.request_idx).waiting_ahead == 0


# A snapshot that is out of date


def test_load_that_another_router_gave_meanwhile_is_found_out_by_the_write(router: Router) -> None:
    elsewhere = Router(store=router.store, clock=router.clock)
    for each in (router, elsewhere):
        each.ticket(cost=1.0)
    elsewhere.ticket(cost=2_999)
    elsewhere.ticket(cost=2_999)
    router.clock.advance(0.5)

    assert isinstance(router.ask(cost=2_999), Waiting)


def test_a_worker_that_stopped_being_ready_is_passed_over(router: Router) -> None:
    router.ticket()
    for each in (1, 2):
        router.reports(worker_id(each), phase=Phase.DRAINING)
    router.reports(worker_id(2))
    router.clock.advance(0.5)

    assert {router.ticket().worker_id for _ in range(3)} == {worker_id(2)}


def test_a_refusal_by_a_fresh_snapshot_tries_the_next_worker(router: Router) -> None:
    router.ticket()
    router.ticket()
    router.reports(worker_id(1), phase=Phase.DRAINING)

    assert {router.ticket().worker_id for _ in range(3)} == {worker_id(2)}


def test_room_that_appeared_is_seen_by_the_second_look(full: Router) -> None:
    full.clock.advance(0.5)
    full.reports(worker_id(1), finished_load=3_000)
    full.clock.advance(0.6)

    assert full.ticket(cost=3_000).worker_id == worker_id(1)


def test_a_worker_that_was_released_is_not_routed_to(router: Router) -> None:
    lease = router.store.acquire_lease("chat", owner="scaler", now_s=NOW_S, duration_s=60)
    assert lease is not None
    router.store.put_rental(lease, worker_id(1), replace(a_worker(1).rental, state=WorkerState.DESTROYING))

    assert {router.ticket().worker_id for _ in range(3)} == {worker_id(2)}


def test_a_worker_that_fell_silent_is_not_routed_to(router: Router) -> None:
    router.clock.advance(44.0)
    router.reports(worker_id(2))
    router.clock.advance(2.0)

    assert {router.ticket().worker_id for _ in range(3)} == {worker_id(2)}
