"""Routing a request: what is answered, and what is written for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nacl.exceptions import BadSignatureError

from functions.core.model import EndpointState
from functions.core.scaler_state import ScalerState
from functions.ports import StoreUnavailable, UnreadableItem
from functions.route.call import RouteCall, Waiting
from functions.route.service import route
from protocol.problem import RequestRefused
from protocol.request_idx import hinted_worker, is_recorded, worker_hint
from protocol.ticket import parse_ticket
from tests.core.builders import NOW_S, a_group, a_worker, worker_id
from tests.fakes.store import MemoryStore
from tests.functions.router import KEY, OWNER, VERIFY_KEY, Router, ready


@pytest.fixture
def router() -> Router:
    """Return a router of a group with two ready, idle workers."""
    router = Router()
    router.holds(*ready(1, 2))
    return router


@pytest.fixture
def empty() -> Router:
    """Return a router of a group without workers."""
    router = Router()
    router.holds()
    return router


@pytest.fixture
def full() -> Router:
    """Return a router of a group whose only worker is full: 3,000 of 3,000."""
    router = Router()
    router.holds(*ready(1))
    router.ticket(cost=3_000)
    return router


# Assigned at once


def test_a_ticket_says_who_may_do_what_where_and_until_when(router: Router) -> None:
    ticket = router.ticket(cost=25.0)
    worker = router.store.worker("chat", ticket.worker_id)

    assert (ticket.url, ticket.endpoint, ticket.cost) == (worker.condition.url, "chat", 25.0)
    assert (ticket.issued_at, ticket.expires_at, ticket.key_id) == (NOW_S, NOW_S + 60, "k1")
    assert (ticket.reqnum, ticket.assigned_load) == (1, 25.0)


def test_a_ticket_is_signed_whole(router: Router) -> None:
    answer = router.ask()

    ticket, signature = parse_ticket(answer.wire())
    VERIFY_KEY.verify(ticket.signed_bytes(), signature)
    with pytest.raises(BadSignatureError):
        VERIFY_KEY.verify(replace(ticket, cost=1.0).signed_bytes(), signature)


def test_the_number_of_a_request_that_was_assigned_at_once_names_its_worker(router: Router) -> None:
    ticket = router.ticket()

    assert hinted_worker(ticket.request_idx) == worker_hint(ticket.worker_id)


def test_two_requests_go_to_the_two_idle_workers(router: Router) -> None:
    assert {router.ticket().worker_id, router.ticket().worker_id} == {worker_id(1), worker_id(2)}


def test_a_warm_route_is_one_write_and_no_read(router: Router) -> None:
    router.ticket()
    router.store.calls.clear()
    router.ticket()

    assert list(router.store.calls) == ["assign"]


def test_a_busy_router_learns_the_load_of_its_own_writes_without_reading(router: Router) -> None:
    given = [router.ticket(cost=100.0).worker_id for _ in range(10)]

    assert given.count(worker_id(1)) == 5


def test_a_group_that_is_suspended_still_serves(router: Router) -> None:
    router.store.put_group(a_group(endpoint_state=EndpointState.SUSPENDED))
    router.refresh()

    assert router.ticket().reqnum == 1


def test_of_many_shards_two_are_read() -> None:
    router = Router()
    workers = [replace(a_worker(1), worker_id=f"w{shard}-{1:026d}") for shard in range(10)]
    router.holds(*workers, group=a_group(max_workers=640))
    router.ticket()
    [snapshot] = [router.caches.snapshots.get("chat", now_s=NOW_S)]

    assert snapshot is not None
    assert len(snapshot.workers) == 2


@pytest.mark.parametrize("seed", range(8))
def test_the_only_worker_of_a_large_group_is_found_at_once(seed: int) -> None:
    router = Router(seed=seed)
    router.holds(replace(a_worker(1), worker_id=f"w7-{1:026d}"), group=a_group(max_workers=640))
    lease = router.store.acquire_lease("chat", owner=OWNER, now_s=NOW_S, duration_s=1e9)
    assert lease is not None
    router.store.put_state(lease, ScalerState(shards=(7,)))

    assert router.ticket().worker_id[:2] == "w7"


def test_of_a_large_group_those_shards_are_read_that_hold_workers(router: Router) -> None:
    workers = [replace(a_worker(1), worker_id=f"w{shard}-{1:026d}") for shard in (2, 5, 9)]
    router.holds(*workers, group=a_group(max_workers=640))
    lease = router.store.acquire_lease("chat", owner=OWNER, now_s=NOW_S, duration_s=1e9)
    assert lease is not None
    router.store.put_state(lease, ScalerState(shards=(2, 5, 9)))
    found = set()
    for _ in range(30):
        router.refresh()
        found.add(router.ticket().worker_id[:2])

    assert found == {"w2", "w5", "w9"}


def test_a_small_group_needs_no_word_of_the_scaler(router: Router) -> None:
    router.ticket()

    assert "scaler_state" not in router.store.calls


# Refused


def test_a_group_that_is_not_there_is_unknown(router: Router) -> None:
    with pytest.raises(RequestRefused) as raised:
        router.ask(endpoint="images")

    assert (raised.value.problem.status, raised.value.problem.code) == (404, "unknown_endpoint")


def test_a_group_that_the_key_does_not_cover_is_just_as_unknown(router: Router) -> None:
    router.store.put_group(a_group(endpoint="secret"))

    with pytest.raises(RequestRefused) as raised:
        router.ask(endpoint="secret")
    assert raised.value.problem.code == "unknown_endpoint"


def test_without_a_signing_key_nothing_is_assigned(router: Router) -> None:
    def no_key() -> None:
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        route(RouteCall(endpoint="chat"), key=KEY, ports=router.ports(signing=no_key), caches=router.caches)
    assert "assign" not in router.store.calls


# Waiting


def test_a_request_that_finds_nobody_waits_with_a_number_to_ask_again_with(empty: Router) -> None:
    waiting = empty.waits(cost=7.0)

    assert is_recorded(waiting.request_idx)
    assert [request.cost for request in empty.store.requests("chat")] == [7.0]


def test_two_that_draw_one_number_in_the_same_millisecond_wait_under_two(empty: Router) -> None:
    twin = Router(store=empty.store, clock=empty.clock)  # of the same random numbers
    numbers = [router.waits(cost=cost).request_idx for router, cost in ((empty, 7.0), (twin, 8.0))]

    assert {request.request_idx: request.cost for request in empty.store.requests("chat")} == dict(
        zip(numbers, (7.0, 8.0), strict=True)
    )


def test_a_generator_that_repeats_itself_is_no_endless_loop(empty: Router) -> None:
    empty.waits()
    stuck = Router(store=empty.store, clock=empty.clock)
    stuck.rng.getrandbits = lambda _bits: 0  # type: ignore[method-assign]
    stuck.waits()

    with pytest.raises(StoreUnavailable):
        stuck.ask()


def test_demand_is_recorded_once_however_often_it_asks(empty: Router) -> None:
    idx = empty.waits().request_idx
    for _ in range(5):
        empty.clock.advance(2.0)
        assert empty.waits(request_idx=idx).request_idx == idx

    assert len(empty.store.requests("chat")) == 1


def test_asking_again_is_written_down(empty: Router) -> None:
    idx = empty.waits().request_idx
    empty.clock.advance(2.0)
    empty.waits(request_idx=idx)
    [request] = empty.store.requests("chat")

    assert (request.arrived_at_s, request.polled_at_s) == (NOW_S, NOW_S + 2.0)


def test_the_first_cost_counts(empty: Router) -> None:
    idx = empty.waits(cost=7.0).request_idx
    empty.waits(cost=0.0, request_idx=idx)

    assert [request.cost for request in empty.store.requests("chat")] == [7.0]


def test_the_scaler_is_woken_at_once(empty: Router) -> None:
    empty.waits()

    assert empty.waker.woken == ["chat"]


def test_a_crowd_wakes_the_scaler_once_in_two_seconds(empty: Router) -> None:
    for _ in range(4):
        empty.waits()
        empty.clock.advance(1.0)

    assert empty.waker.woken == ["chat", "chat"]


def test_an_endpoint_that_is_stopped_says_so_in_the_words_of_vast(router: Router) -> None:
    router.store.put_group(a_group(endpoint_state=EndpointState.STOPPED))

    assert router.waits().status == "endpoint stopped"


def test_to_ask_a_stopped_endpoint_is_no_demand(router: Router) -> None:
    router.store.put_group(a_group(endpoint_state=EndpointState.STOPPED))
    waiting = router.waits()

    assert waiting.request_idx > 0
    assert (router.store.requests("chat"), router.waker.woken) == ([], [])


def test_a_suspended_endpoint_wakes_nobody(empty: Router) -> None:
    empty.store.put_group(a_group(endpoint_state=EndpointState.SUSPENDED))
    empty.refresh()
    empty.waits()

    assert empty.waker.woken == []


def test_a_waiting_answer_never_has_a_url(empty: Router) -> None:
    assert "url" not in empty.waits().wire()


def test_a_waiting_request_is_served_when_there_is_room(full: Router) -> None:
    idx = full.waits(cost=10.0).request_idx
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)

    assert full.ticket(request_idx=idx).request_idx == idx


def test_the_record_of_a_waiting_request_says_who_got_it(full: Router) -> None:
    idx = full.waits(cost=10.0).request_idx
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)
    full.ticket(request_idx=idx)
    [request] = full.store.requests("chat")

    assert (request.worker_id, request.attempts) == (worker_id(1), 1)


def test_a_newcomer_does_not_overtake_who_waits(full: Router) -> None:
    first = full.waits(cost=3_000)
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)
    newcomer = full.waits(cost=10.0)

    assert newcomer.waiting_ahead == 1
    assert full.ticket(request_idx=first.request_idx).worker_id == worker_id(1)


def test_who_waits_is_not_overtaken_at_another_router_either(full: Router) -> None:
    first = full.waits(cost=3_000)
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)
    elsewhere = Router(store=full.store, clock=full.clock)

    assert elsewhere.waits(cost=10.0).waiting_ahead == 1
    assert elsewhere.ticket(request_idx=first.request_idx).worker_id == worker_id(1)


def test_what_those_ahead_leave_may_be_used(full: Router) -> None:
    full.waits(cost=1_000)
    full.clock.advance(2.0)
    full.reports(worker_id(1), finished_load=3_000)

    assert full.ticket(cost=2_000).worker_id == worker_id(1)


def test_who_stops_asking_loses_its_place(full: Router) -> None:
    first = full.waits(cost=3_000)
    full.clock.advance(16.0)
    full.reports(worker_id(1), finished_load=3_000)

    assert full.ticket(cost=10.0).worker_id == worker_id(1)
    assert full.waits(request_idx=first.request_idx).request_idx == first.request_idx


def test_who_comes_back_after_that_is_last_in_line(full: Router) -> None:
    gone = full.waits(cost=10.0)
    full.clock.advance(10.0)
    patient = full.waits(cost=10.0)
    full.clock.advance(10.0)

    assert full.waits(request_idx=gone.request_idx).waiting_ahead == 1
    assert full.waits(request_idx=patient.request_idx).waiting_ahead == 0


def test_records_of_those_who_left_long_ago_are_swept(full: Router) -> None:
    full.waits()
    full.clock.advance(80.0)
    full.refresh()
    full.waits()

    assert len(full.store.requests("chat")) == 1


def test_a_number_that_nobody_remembers_is_a_new_request(empty: Router) -> None:
    assert empty.waits(request_idx=12_345).request_idx != 12_345


def test_a_memory_that_cannot_be_read_costs_the_reason_and_not_the_answer() -> None:
    class Unreadable(MemoryStore):
        def scaler_state(self, endpoint: str) -> ScalerState:
            raise UnreadableItem(endpoint)

    router = Router(store=Unreadable())
    router.holds()

    assert isinstance(router.ask(), Waiting)
