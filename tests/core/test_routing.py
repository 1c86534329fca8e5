"""Routing decisions: backlog, ceiling, order of service, choice."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, Settlement, WaitingRequest, Worker
from functions.core.routing import (
    PLACED_AHEAD_MAX,
    WAITING_FORGOTTEN_AFTER_S,
    WORKER_SILENT_AFTER_S,
    Candidate,
    Leaning,
    admit,
    ahead_of,
    assigned_load_max,
    backlog,
    candidates,
    choose,
    completion_s,
    fits,
    is_routable,
    patience_s,
    reserve,
    settlement,
    still_waiting,
    to_avoid,
    with_assignments,
)
from protocol.report import Phase
from tests.core.builders import NOW_S, a_condition, a_group, a_request, a_worker, worker_id

CEILING = 3_000.0  # 30 s of 100 load/s


def rng() -> random.Random:
    """Return a source of ties that repeats."""
    return random.Random(1)


def given_load(assigned: float = 0.0, *, finished: float = 0.0, number: int = 1, expires_in_s: float = 60.0, **said: Any) -> Worker:
    """Return a ready worker with these totals; its newest ticket expires that much later."""
    totals = Assignments(assigned_load=assigned, reqnum=1, ticket_expires_at_s=NOW_S + expires_in_s)
    return replace(a_worker(number), condition=a_condition(finished_load=finished, **said), assignments=totals)


def candidate(load: float = 0.0, *, number: int = 1, perf: float = 100.0) -> Candidate:
    """Return a candidate with this backlog."""
    [made] = candidates([given_load(load, number=number, perf=perf)], group=a_group(), now_s=NOW_S)
    return made


# Backlog


def test_backlog_is_what_was_assigned_and_is_neither_finished_nor_written_off() -> None:
    assert backlog(given_load(100.0, finished=30.0, written_off_load=20.0)) == 50.0


def test_once_every_ticket_has_expired_only_what_the_worker_holds_is_left() -> None:
    worker = given_load(100.0, finished=30.0, received_load=35.0, expires_in_s=-33.0)

    assert backlog(worker) == 5.0


def test_a_ticket_that_may_still_arrive_by_a_slow_clock_counts() -> None:
    worker = given_load(100.0, finished=30.0, received_load=35.0, expires_in_s=-31.0)

    assert backlog(worker) == 70.0


def test_what_is_unaccounted_for_when_nothing_is_on_its_way_is_settled() -> None:
    lost_some = given_load(100.0, finished=30.0, received_load=35.0, expires_in_s=-33.0)

    assert settlement(lost_some) == Settlement(settled_load=95.0, settled_finished_load=30.0)


def test_there_is_nothing_to_settle_while_a_ticket_may_arrive() -> None:
    assert settlement(given_load(100.0, finished=30.0, received_load=35.0, expires_in_s=-31.0)) is None


def test_there_is_nothing_to_settle_when_the_totals_agree() -> None:
    assert settlement(given_load(100.0, finished=80.0, written_off_load=20.0, expires_in_s=-33.0)) is None


def test_a_worker_that_counts_from_zero_again_has_only_what_it_was_given_since() -> None:
    started_again = given_load(5_000.0, expires_in_s=-33.0)
    noted = settlement(started_again)

    assert noted == Settlement(settled_load=5_000.0, settled_finished_load=0.0)
    totals = Assignments(assigned_load=5_040.0, reqnum=2, ticket_expires_at_s=NOW_S + 60, **asdict(noted))
    assert backlog(replace(started_again, assignments=totals)) == 40.0


def test_what_was_finished_since_the_settlement_counts() -> None:
    totals = Assignments(assigned_load=150.0, ticket_expires_at_s=NOW_S, settled_load=100.0, settled_finished_load=30.0)
    worker = replace(a_worker(), condition=a_condition(finished_load=45.0), assignments=totals)

    assert backlog(worker) == 35.0


def test_what_was_written_off_in_the_meantime_is_not_counted_twice() -> None:
    totals = Assignments(assigned_load=150.0, ticket_expires_at_s=NOW_S, settled_load=100.0, settled_finished_load=30.0)
    worker = replace(a_worker(), condition=a_condition(finished_load=45.0, written_off_load=80.0), assignments=totals)

    assert backlog(worker) == 25.0


amounts = st.floats(min_value=0, max_value=1e6)


@given(amounts, amounts, amounts, amounts, st.floats(min_value=-100, max_value=100))
def test_backlog_is_never_negative(assigned: float, finished: float, received: float, lost: float, expires_in_s: float) -> None:
    worker = given_load(assigned, finished=finished, received_load=received, written_off_load=lost, expires_in_s=expires_in_s)

    assert backlog(worker) >= 0


# Who may be routed to


def test_a_ready_worker_that_reported_lately_is_routable() -> None:
    assert is_routable(a_worker(), now_s=NOW_S)


@pytest.mark.parametrize("state", [state for state in WorkerState if state is not WorkerState.READY])
def test_the_scaler_must_want_it_used(state: WorkerState) -> None:
    assert not is_routable(replace(a_worker(1, state), condition=a_condition()), now_s=NOW_S)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.READY])
def test_it_must_call_itself_ready(phase: Phase) -> None:
    assert not is_routable(replace(a_worker(), condition=a_condition(phase=phase)), now_s=NOW_S)


def test_a_worker_without_an_address_is_not_routable() -> None:
    assert not is_routable(replace(a_worker(), condition=a_condition(url="")), now_s=NOW_S)


def test_a_worker_that_was_not_measured_is_not_routable() -> None:
    assert not is_routable(replace(a_worker(), condition=a_condition(perf=0.0)), now_s=NOW_S)


@pytest.mark.parametrize(("silent_s", "routable"), [(WORKER_SILENT_AFTER_S, True), (WORKER_SILENT_AFTER_S + 0.1, False)])
def test_a_worker_that_fell_silent_is_not_routable(silent_s: float, routable: bool) -> None:  # noqa: FBT001 - a table's column
    worker = replace(a_worker(), condition=a_condition(reported_at_s=NOW_S - silent_s))

    assert is_routable(worker, now_s=NOW_S) is routable


# Room


@pytest.mark.parametrize(
    ("load", "cost", "fitting"),
    [
        (0.0, 10.0, True),
        (0.0, CEILING + 1, True),  # or it could never be served
        (1.0, CEILING - 1, True),
        (1.0, CEILING, False),
        (CEILING, 0.0, True),
        (CEILING + 1, 0.0, False),
    ],
)
def test_a_request_fits_under_the_ceiling_or_on_an_idle_worker(load: float, cost: float, fitting: bool) -> None:  # noqa: FBT001 - a table's column
    assert fits(candidate(load), cost) is fitting


def test_the_ceiling_is_seconds_of_measured_performance() -> None:
    [made] = candidates([given_load(perf=7.0)], group=a_group(max_queue_time=12.0), now_s=NOW_S)

    assert made.ceiling == 84.0


def test_what_the_slots_serve_side_by_side_is_no_queue() -> None:
    condition = a_condition(perf=1_000.0, slots=64)
    worker = replace(a_worker(1), condition=condition, assignments=Assignments(assigned_load=80_000.0, reqnum=10))
    (made,) = candidates([worker], group=a_group(max_queue_time=30.0), now_s=NOW_S)

    assert made.ceiling == 63 * 8_000 / 2 + 30 * 1_000


def test_a_server_of_one_slot_has_its_queue_alone() -> None:
    condition = a_condition(perf=10.0, slots=1)
    worker = replace(a_worker(1), condition=condition, assignments=Assignments(assigned_load=800.0, reqnum=10))
    (made,) = candidates([worker], group=a_group(max_queue_time=30.0), now_s=NOW_S)

    assert made.ceiling == 300


def test_the_write_may_pass_as_long_as_the_ceiling_holds() -> None:
    made = replace(candidate(100.0), worker=given_load(900.0), ceiling=300.0)

    assert assigned_load_max(made, 50.0) == pytest.approx(1_050.0)


def test_the_write_on_an_idle_worker_passes_only_if_nobody_was_faster() -> None:
    made = candidate(0.0)

    assert assigned_load_max(made, CEILING + 500) == pytest.approx(0.0, abs=1e-6)


@given(st.floats(min_value=0, max_value=1e15))
def test_the_slack_of_a_write_is_nothing_that_a_request_could_slip_through(assigned: float) -> None:
    made = replace(candidate(0.0), worker=given_load(assigned))

    assert 0 < assigned_load_max(made, CEILING + 1) - assigned <= assigned * 1e-14 + 1e-14


# Choice


def test_the_worker_that_is_done_first_is_chosen() -> None:
    slow_idle, fast_busy = candidate(0.0, number=1, perf=1.0), candidate(500.0, number=2, perf=100.0)

    assert choose([slow_idle, fast_busy], cost=50.0, avoid=(), rng=rng()) is fast_busy


def test_ties_are_broken_at_random() -> None:
    pair = [candidate(number=1), candidate(number=2)]
    source = rng()
    chosen = {made.worker.worker_id for _ in range(50) if (made := choose(pair, cost=1.0, avoid=(), rng=source))}

    assert chosen == {worker_id(1), worker_id(2)}


def test_what_a_snapshot_is_too_old_to_tell_apart_is_chosen_from_at_random() -> None:
    idle, half_a_second_behind, two_behind = candidate(0.0, number=1), candidate(50.0, number=2), candidate(200.0, number=3)
    source = rng()
    among = [idle, half_a_second_behind, two_behind]
    chosen = {
        made.worker.worker_id
        for _ in range(50)
        if (made := choose(among, cost=1.0, avoid=(), rng=source, leaning=Leaning(age_s=1.0)))
    }

    assert chosen == {worker_id(1), worker_id(2)}


def test_a_fresh_snapshot_is_believed() -> None:
    idle, little_behind = candidate(0.0, number=1), candidate(1.0, number=2)

    assert choose([idle, little_behind], cost=1.0, avoid=(), rng=rng()) is idle


def test_a_worker_to_avoid_is_not_chosen() -> None:
    assert choose([candidate()], cost=1.0, avoid={worker_id(1)}, rng=rng()) is None


def test_nobody_is_chosen_when_all_are_full() -> None:
    assert choose([candidate(CEILING)], cost=1.0, avoid=(), rng=rng()) is None


def test_the_workers_that_failed_a_request_are_avoided_while_there_are_others() -> None:
    request = replace(a_request(), avoid=(worker_id(1),))

    assert to_avoid(request, [candidate(number=1), candidate(number=2)], just_failed=False) == {worker_id(1)}


def test_when_there_are_no_others_they_are_allowed_after_a_pause() -> None:
    request = replace(a_request(), avoid=(worker_id(1),))

    assert to_avoid(request, [candidate(number=1)], just_failed=False) == frozenset()


def test_but_never_in_answer_to_the_failure_itself() -> None:
    request = replace(a_request(), avoid=(worker_id(1),))

    assert to_avoid(request, [candidate(number=1)], just_failed=True) == {worker_id(1)}


# Order


def test_those_who_wait_stand_in_order_of_arrival() -> None:
    late, early = a_request(1, age_s=2.0), a_request(2, age_s=5.0)

    assert still_waiting([late, early], now_s=NOW_S) == [early, late]


def test_who_has_not_asked_for_a_while_is_forgotten() -> None:
    request = replace(a_request(), polled_at_s=NOW_S - WAITING_FORGOTTEN_AFTER_S - 0.1)

    assert still_waiting([request], now_s=NOW_S) == []


def test_who_was_assigned_does_not_wait() -> None:
    assert still_waiting([replace(a_request(), worker_id=worker_id(1))], now_s=NOW_S) == []


def test_a_newcomer_is_last() -> None:
    waiting = [a_request(1), a_request(2)]

    assert ahead_of(replace(a_request(0), arrived_at_s=0.0), waiting) == waiting


def test_nobody_is_ahead_of_the_first_and_nobody_ahead_of_himself() -> None:
    waiting = [a_request(1, age_s=5.0), a_request(2)]

    assert [len(ahead_of(each, waiting)) for each in waiting] == [0, 1]


def admitted(request: WaitingRequest, among: list[Candidate], *, ahead: list[WaitingRequest]) -> str | None:
    """Return whom the request may go to."""
    made = admit(among, request, ahead=ahead, avoid=(), rng=rng())
    return None if made is None else made.worker.worker_id


def test_a_request_may_use_only_the_room_that_those_ahead_leave() -> None:
    ahead = [a_request(1, cost=2_000.0)]

    assert admitted(a_request(2, cost=1_000.0), [candidate()], ahead=ahead) == worker_id(1)
    assert admitted(a_request(2, cost=1_001.0), [candidate()], ahead=ahead) is None


def test_a_dear_request_that_fits_nowhere_closes_the_worker_that_would_serve_it_soonest() -> None:
    nearly_done, busy = candidate(500.0, number=1), candidate(900.0, number=2)
    dear = a_request(1, cost=CEILING)

    assert admitted(a_request(2, cost=1.0), [nearly_done, busy], ahead=[dear]) == worker_id(2)
    assert admitted(a_request(2, cost=1.0), [nearly_done], ahead=[dear]) is None


def test_a_request_that_costs_nothing_still_keeps_its_worker_from_being_idle() -> None:
    assert admitted(a_request(2, cost=CEILING + 1), [candidate()], ahead=[a_request(1, cost=0.0)]) is None


def test_the_write_of_an_admitted_request_leaves_the_room_of_those_ahead() -> None:
    made = admit([candidate()], a_request(2, cost=500.0), ahead=[a_request(1, cost=2_000.0)], avoid=(), rng=rng())

    assert made is not None
    assert assigned_load_max(made, 500.0) == pytest.approx(CEILING - 2_000.0 - 500.0)


def test_the_room_of_those_ahead_is_no_load_once_the_write_has_told_the_totals() -> None:
    made = admit([candidate()], a_request(2, cost=500.0), ahead=[a_request(1, cost=2_000.0)], avoid=(), rng=rng())

    assert made is not None
    told = Assignments(assigned_load=500.0, reqnum=2, ticket_expires_at_s=NOW_S + 60)
    assert with_assignments(made, told).backlog == 500.0


def test_with_a_very_long_line_ahead_the_answer_is_to_wait() -> None:
    ahead = [a_request(number, cost=0.0) for number in range(1, PLACED_AHEAD_MAX + 2)]

    assert admitted(a_request(9_999, cost=1.0), [candidate()], ahead=ahead) is None


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Candidate], list[WaitingRequest]]:
    """Draw some workers, and a line of requests of which the last is looked at."""
    loads = draw(st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from([20.0, 100.0])), min_size=1, max_size=5))
    costs = draw(st.lists(st.integers(0, 4_000), min_size=2, max_size=8))
    workers = [candidate(float(load), number=number, perf=perf) for number, (load, perf) in enumerate(loads, start=1)]
    return workers, [a_request(number, cost=float(cost)) for number, cost in enumerate(costs, start=1)]


@given(queues())
def test_nobody_behind_takes_the_chance_of_the_first_in_line(drawn: tuple[list[Candidate], list[WaitingRequest]]) -> None:
    workers, line = drawn
    could_go = admit(workers, line[0], ahead=[], avoid=(), rng=rng()) is not None
    taken = admit(workers, line[-1], ahead=line[:-1], avoid=(), rng=rng())
    if taken is None or not could_go:
        return

    after = [_loaded(each, line[-1].cost) if each.worker.worker_id == taken.worker.worker_id else each for each in workers]
    assert admit(after, line[0], ahead=[], avoid=(), rng=rng()) is not None


@given(queues())
def test_nobody_behind_feeds_the_worker_that_the_first_in_line_waits_for(
    drawn: tuple[list[Candidate], list[WaitingRequest]],
) -> None:
    workers, line = drawn
    if admit(workers, line[0], ahead=[], avoid=(), rng=rng()) is not None:
        return
    soonest_s = min(completion_s(each, line[0].cost) for each in workers)
    taken = admit(workers, line[-1], ahead=line[:-1], avoid=(), rng=rng())

    if taken is not None:
        [as_it_is] = [each for each in workers if each.worker.worker_id == taken.worker.worker_id]
        assert completion_s(as_it_is, line[0].cost) >= soonest_s
        others = [each for each in workers if each is not as_it_is]
        assert soonest_s in [completion_s(each, line[0].cost) for each in others]


@given(queues())
def test_all_who_could_be_placed_fit_together_under_the_ceilings(drawn: tuple[list[Candidate], list[WaitingRequest]]) -> None:
    workers, line = drawn
    taken = admit(workers, line[-1], ahead=line[:-1], avoid=(), rng=rng())
    if taken is None:
        return

    [reserved] = [each for each in reserve(workers, line[:-1]) if each.worker.worker_id == taken.worker.worker_id]
    idle = reserved.backlog == 0 and not reserved.taken
    assert idle or reserved.backlog + line[-1].cost <= reserved.ceiling


def _loaded(made: Candidate, cost: float) -> Candidate:
    return replace(made, backlog=made.backlog + cost, taken=True)


# Patience


def impatient(cost: float, replay_timeout_s: float | None) -> WaitingRequest:
    """Return a request whose client gives up on a worker after that many seconds."""
    return replace(a_request(1, cost=cost), replay_timeout_s=replay_timeout_s)


@pytest.mark.parametrize(("load", "waits"), [(0.0, False), (1_900.0, False), (1_901.0, True)])
def test_a_request_is_not_queued_for_longer_than_its_client_waits_for_a_worker(load: float, *, waits: bool) -> None:
    request = impatient(100.0, 20.0)

    assert (admit([candidate(load)], request, ahead=[], avoid=(), rng=rng()) is None) is waits


def test_patience_never_lifts_the_ceiling() -> None:
    assert admit([candidate(CEILING)], impatient(1.0, 1e6), ahead=[], avoid=(), rng=rng()) is None


def test_an_idle_worker_takes_a_request_that_lasts_longer_than_its_clients_patience() -> None:
    assert admit([candidate()], impatient(CEILING, 20.0), ahead=[], avoid=(), rng=rng()) is not None


def test_patience_of_less_than_ten_seconds_counts_as_ten() -> None:
    assert [patience_s(impatient(1.0, given)) for given in (None, 0.5, 60.0)] == [math.inf, 10.0, 60.0]


def test_the_write_of_an_impatient_request_is_refused_where_its_queue_would_be_too_long() -> None:
    assert assigned_load_max(candidate(500.0), 100.0, patience_s=20.0) == pytest.approx(500.0 + 2_000 - 500 - 100)


def test_who_is_behind_an_impatient_request_may_not_fill_the_worker_that_it_waits_for() -> None:
    ahead = [impatient(100.0, 10.0)]

    assert admit([candidate(1_500.0)], a_request(2, cost=1_450.0), ahead=ahead, avoid=(), rng=rng()) is None
