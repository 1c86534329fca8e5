"""What `RouteStore` promises, held by the table in memory and by DynamoDB alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Scope, Settlement, WaitingRequest, Worker
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.ports import AssignmentRefused, NumberTaken
from protocol.report import Phase
from tests.contract.stores import ENDPOINT, Stores, a_key, renamed
from tests.core.builders import NOW_S, a_condition, a_group, a_request, a_state, a_worker, an_autogroup, worker_id

UNLIMITED = 1e12


@pytest.fixture
def worker(stores: Stores) -> Worker:
    """Return a stored worker that is ready."""
    stores.pulumi.put_group(a_group())
    return stores.hold(a_worker(1))


def assign(stores: Stores, worker: Worker, *, cost: float = 5.0, maximum: float = UNLIMITED) -> tuple[float, int]:
    """Assign and return the new totals."""
    totals = stores.route.assign(worker, cost=cost, assigned_load_max=maximum, expires_at_s=NOW_S + 60)
    return totals.assigned_load, totals.reqnum


def test_a_hash_that_is_no_key_is_none(stores: Stores) -> None:
    assert stores.route.api_key("00" * 32) is None


def test_a_key_comes_with_its_groups(stores: Stores) -> None:
    key = a_key("chat", "images")
    stores.pulumi.put_key(key)

    assert stores.route.api_key(key.key_sha256) == key


def test_a_key_comes_with_its_scopes_its_end_and_its_label(stores: Stores) -> None:
    key = a_key("chat", scopes=frozenset(Scope), expires_at_s=NOW_S + 0.5, label="website")
    stores.pulumi.put_key(key)

    assert stores.route.api_key(key.key_sha256) == key


def test_an_update_that_was_asked_for_is_seen_by_the_scaler(stores: Stores, worker: Worker) -> None:
    del worker
    stands = stores.route.ask_update(ENDPOINT, "a", asked_at_s=NOW_S + 0.25, settled_s=60.0)
    records = stores.scale.load(ENDPOINT)

    assert records is not None
    assert (stands, records.updates) == (NOW_S + 0.25, {"a": NOW_S + 0.25})


def test_an_update_that_was_asked_for_of_late_stands(stores: Stores) -> None:
    stores.route.ask_update(ENDPOINT, "a", asked_at_s=NOW_S, settled_s=60.0)
    repeated = stores.route.ask_update(ENDPOINT, "a", asked_at_s=NOW_S + 59, settled_s=60.0)
    anew = stores.route.ask_update(ENDPOINT, "a", asked_at_s=NOW_S + 60, settled_s=60.0)

    assert (repeated, anew) == (NOW_S, NOW_S + 60)


def test_an_update_that_is_taken_back_is_as_never_asked_for(stores: Stores, worker: Worker) -> None:
    del worker
    stores.route.cancel_update(ENDPOINT, "b")
    stores.route.ask_update(ENDPOINT, "a", asked_at_s=NOW_S, settled_s=60.0)
    stores.route.cancel_update(ENDPOINT, "a")
    records = stores.scale.load(ENDPOINT)

    assert records is not None
    assert records.updates == {}
    assert stores.route.ask_update(ENDPOINT, "a", asked_at_s=NOW_S + 1, settled_s=60.0) == NOW_S + 1


def test_the_autogroups_of_a_group_come_by_name_and_nothing_else_of_it(stores: Stores, worker: Worker) -> None:
    del worker
    both = [an_autogroup("a", env={"MODEL_ID": "m"}), an_autogroup("b", gpu_ram=24.0)]
    for each in both[::-1]:
        stores.pulumi.put_autogroup(ENDPOINT, each)

    assert stores.route.autogroups(ENDPOINT) == both


def test_the_newest_decisions_come_oldest_first(stores: Stores) -> None:
    made = [
        DecisionRecord(
            endpoint=ENDPOINT,
            decided_at_s=NOW_S + index / 4,
            epoch=index,
            sentences=(f"Sentence {index}.", "And another."),
            actions=({"kind": "Drain", "worker_id": "w"},),
            facts={"waiting": index + 0.5},
            snapshot={"workers": []},
        )
        for index in range(3)
    ]
    for record in made:
        stores.scale.put_decision(stores.lease(), record, expires_at_s=NOW_S + 60)

    assert stores.route.recent_decisions(ENDPOINT, limit=2) == made[1:]


def test_a_group_that_is_not_there_is_none(stores: Stores) -> None:
    assert stores.route.group("nobody") is None


def test_a_group_comes_with_every_parameter(stores: Stores) -> None:
    group = a_group(min_load=12.5, inactivity_timeout=-1.0, ticket_ttl_s=33)
    stores.pulumi.put_group(group)

    assert stores.route.group(ENDPOINT) == group


def test_a_worker_comes_with_everything_that_its_writers_wrote(stores: Stores, worker: Worker) -> None:
    condition = a_condition(perf=123.456, error="CUDA out of memory: тест", perf_flags=("slow", "noisy"), loadtime_s=0.1)
    stores.report.put_condition(ENDPOINT, worker.worker_id, replace(condition, seq=9))
    totals = stores.route.assign(worker, cost=0.1, assigned_load_max=UNLIMITED, expires_at_s=NOW_S + 0.25)

    expected = replace(worker, condition=replace(condition, seq=9), assignments=totals)
    assert stores.route.workers(ENDPOINT, [0]) == [expected]


@pytest.mark.parametrize("state", [state for state in WorkerState if state is not WorkerState.DESTROYED])
def test_workers_come_in_every_state_that_is_held(stores: Stores, state: WorkerState) -> None:
    stores.hold(a_worker(1, state))

    assert [each.rental.state for each in stores.route.workers(ENDPOINT, [0])] == [state]


def test_a_destroyed_worker_is_no_worker(stores: Stores) -> None:
    stores.hold(a_worker(1, WorkerState.DESTROYED))

    assert stores.route.workers(ENDPOINT, [0]) == []


def test_workers_come_from_the_shards_asked_for(stores: Stores) -> None:
    for shard in range(3):
        stores.hold(renamed(a_worker(1), f"w{shard}-{1:026d}"))

    assert {each.worker_id[:2] for each in stores.route.workers(ENDPOINT, [0, 2])} == {"w0", "w2"}


def test_an_assignment_returns_the_new_totals(stores: Stores, worker: Worker) -> None:
    assign(stores, worker, cost=5.0)

    assert assign(stores, worker, cost=2.5) == (7.5, 2)


def test_an_assignment_keeps_the_expiry_of_the_newest_ticket(stores: Stores, worker: Worker) -> None:
    totals = stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S + 77)

    assert totals.ticket_expires_at_s == NOW_S + 77


def test_a_request_that_costs_nothing_still_gets_a_number_of_its_own(stores: Stores, worker: Worker) -> None:
    assert [assign(stores, worker, cost=0.0), assign(stores, worker, cost=0.0)] == [(0.0, 1), (0.0, 2)]


def test_an_assignment_passes_at_the_very_maximum(stores: Stores, worker: Worker) -> None:
    assign(stores, worker, cost=10.0)

    assert assign(stores, worker, cost=1.0, maximum=10.0) == (11.0, 2)


def test_an_assignment_over_the_maximum_is_refused_and_changes_nothing(stores: Stores, worker: Worker) -> None:
    assign(stores, worker, cost=10.0)

    with pytest.raises(AssignmentRefused):
        assign(stores, worker, cost=1.0, maximum=9.999)
    assert assign(stores, worker, cost=0.0) == (10.0, 2)


@pytest.mark.parametrize("state", [state for state in WorkerState if state is not WorkerState.READY])
def test_a_worker_that_the_scaler_does_not_hold_ready_is_refused(stores: Stores, worker: Worker, state: WorkerState) -> None:
    stores.scale.put_rental(stores.lease(), worker.worker_id, replace(worker.rental, state=state))

    with pytest.raises(AssignmentRefused):
        assign(stores, worker)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.READY])
def test_a_worker_that_does_not_call_itself_ready_is_refused(stores: Stores, worker: Worker, phase: Phase) -> None:
    stores.report.put_condition(ENDPOINT, worker.worker_id, a_condition(seq=2, phase=phase))

    with pytest.raises(AssignmentRefused):
        assign(stores, worker)


def test_a_worker_that_is_not_there_is_refused_and_not_made(stores: Stores, worker: Worker) -> None:
    gone = renamed(worker, worker_id(99))

    with pytest.raises(AssignmentRefused):
        assign(stores, gone)
    assert stores.stored(gone.worker_id) is None


def test_sums_of_odd_fractions_are_read_back_within_the_maximum_that_they_make(stores: Stores, worker: Worker) -> None:
    total = 0.0
    for _ in range(10):
        total, _ = assign(stores, worker, cost=0.1, maximum=total + 1e-9)

    assert total == pytest.approx(1.0)


def test_a_settlement_is_noted_and_stays(stores: Stores, worker: Worker) -> None:
    noted = Settlement(settled_load=90.0, settled_finished_load=12.5)
    settled = stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S, settlement=noted)
    later = stores.route.assign(replace(worker, assignments=settled), cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S)

    assert (settled.settled_load, settled.settled_finished_load) == (90.0, 12.5)
    assert (later.settled_load, later.settled_finished_load) == (90.0, 12.5)


def test_a_settlement_is_read_with_the_worker(stores: Stores, worker: Worker) -> None:
    noted = Settlement(settled_load=90.0, settled_finished_load=12.5)
    settled = stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S, settlement=noted)

    assert stores.route.workers(ENDPOINT, [0]) == [replace(worker, assignments=settled)]


def test_a_settlement_is_refused_when_somebody_was_assigned_meanwhile(stores: Stores, worker: Worker) -> None:
    assign(stores, worker, cost=1.0)
    noted = Settlement(settled_load=90.0, settled_finished_load=12.5)

    with pytest.raises(AssignmentRefused):
        stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S, settlement=noted)
    assert assign(stores, worker, cost=0.0) == (1.0, 2)


def test_what_the_caller_knows_of_a_settlement_is_returned(stores: Stores, worker: Worker) -> None:
    noted = Settlement(settled_load=90.0, settled_finished_load=12.5)
    stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S, settlement=noted)
    by_a_stale_view = stores.route.assign(worker, cost=1.0, assigned_load_max=UNLIMITED, expires_at_s=NOW_S)

    assert (by_a_stale_view.settled_load, by_a_stale_view.assigned_load) == (0.0, 2.0)


def test_a_request_without_a_record_is_none(stores: Stores) -> None:
    assert stores.route.request(ENDPOINT, 17) is None


@pytest.mark.parametrize("worker_id", [None, worker_id(1)])
def test_a_record_is_read_back_whole(stores: Stores, worker_id: str | None) -> None:
    request = WaitingRequest(
        request_idx=2**52 - 1,
        cost=0.25,
        arrived_at_s=NOW_S + 0.125,
        polled_at_s=NOW_S + 3,
        worker_id=worker_id,
        attempts=3,
        avoid=("w0-a", "w0-b"),
        replay_timeout_s=12.5,
    )
    stores.route.put_request(ENDPOINT, request, expires_at_s=NOW_S + 60)

    assert stores.route.request(ENDPOINT, request.request_idx) == request


def test_a_number_that_another_request_waits_under_is_taken_and_its_record_stays(stores: Stores) -> None:
    first = a_request(1, cost=3.0)
    stores.route.add_request(ENDPOINT, first, expires_at_s=NOW_S + 60)

    with pytest.raises(NumberTaken):
        stores.route.add_request(ENDPOINT, a_request(1, cost=4.0), expires_at_s=NOW_S + 60)
    assert stores.route.request(ENDPOINT, 1) == first


def test_a_request_that_was_added_may_ask_again(stores: Stores) -> None:
    request = a_request(1)
    stores.route.add_request(ENDPOINT, request, expires_at_s=NOW_S + 60)
    again = replace(request, polled_at_s=NOW_S + 5)
    stores.route.put_request(ENDPOINT, again, expires_at_s=NOW_S + 60)

    assert stores.route.waiting(ENDPOINT, limit=10) == [again]


def test_those_who_wait_come_in_order_of_arrival(stores: Stores) -> None:
    for number, age_s in ((1, 3.0), (2, 9.0), (3, 6.0)):
        stores.route.put_request(ENDPOINT, a_request(number, age_s=age_s), expires_at_s=NOW_S + 60)

    assert [each.request_idx for each in stores.route.waiting(ENDPOINT, limit=10)] == [2, 3, 1]


def test_no_more_wait_than_were_asked_for_the_oldest_numbers_first(stores: Stores) -> None:
    for number in (5, 40, 300):
        stores.route.put_request(ENDPOINT, a_request(number), expires_at_s=NOW_S + 60)

    assert [each.request_idx for each in stores.route.waiting(ENDPOINT, limit=2)] == [5, 40]


def test_a_request_that_is_assigned_waits_no_longer(stores: Stores) -> None:
    stores.route.put_request(ENDPOINT, a_request(1), expires_at_s=NOW_S + 60)
    stores.route.put_request(ENDPOINT, replace(a_request(1), worker_id="w0-x"), expires_at_s=NOW_S + 60)

    assert stores.route.waiting(ENDPOINT, limit=10) == []


def test_a_request_that_came_back_waits_again(stores: Stores) -> None:
    again = replace(a_request(1), avoid=("w0-x",))
    stores.route.put_request(ENDPOINT, replace(a_request(1), worker_id="w0-x"), expires_at_s=NOW_S + 60)
    stores.route.put_request(ENDPOINT, again, expires_at_s=NOW_S + 60)

    assert (stores.route.waiting(ENDPOINT, limit=10), stores.route.request(ENDPOINT, 1)) == ([again], again)


def test_forgotten_requests_are_gone(stores: Stores) -> None:
    for number in (1, 2, 3):
        stores.route.put_request(ENDPOINT, a_request(number), expires_at_s=NOW_S + 60)
    stores.route.forget_requests(ENDPOINT, [1, 3, 99])

    assert [each.request_idx for each in stores.route.waiting(ENDPOINT, limit=10)] == [2]


def test_forgetting_nobody_is_no_error(stores: Stores) -> None:
    stores.route.forget_requests(ENDPOINT, [])

    assert stores.route.waiting(ENDPOINT, limit=10) == []


def test_an_assigned_request_is_not_forgotten_with_those_who_wait(stores: Stores) -> None:
    assigned = replace(a_request(1), worker_id="w0-x")
    stores.route.put_request(ENDPOINT, assigned, expires_at_s=NOW_S + 60)
    stores.route.forget_requests(ENDPOINT, [1])

    assert stores.route.request(ENDPOINT, 1) == assigned


def test_a_scaler_that_never_ran_remembers_nothing(stores: Stores) -> None:
    assert stores.route.scaler_state(ENDPOINT) == ScalerState()


def test_the_router_reads_what_the_scaler_remembers(stores: Stores) -> None:
    state = a_state(halted_until_s=NOW_S + 9, halted_reason="missing_billing")
    stores.pulumi.put_autogroup(ENDPOINT, an_autogroup())
    stores.scale.put_state(stores.lease(), state)

    assert stores.route.scaler_state(ENDPOINT) == state
