"""What service shows: who cannot be reached, who fails what it is given, and how fast real requests are served."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from functions.core.capacity import outlook
from functions.core.lifecycle import WorkerState
from functions.core.memory import BREAKER_FAILURES
from functions.core.model import Assignments, WaitingRequest, Worker
from functions.core.plan import Drain, Fault
from functions.core.scaler_state import LearnedPerf, ObservedPerf, ScalerState
from functions.core.scaling import decide
from functions.core.watching import OBSERVED_MAX, WATCHED_MAX, WINDOW_S, WINDOW_S_MAX, Watched, watch
from protocol.report import Phase
from tests.core.builders import NOW_S, a_condition, a_group, a_request, a_snapshot, a_state, a_worker, worker_id
from tests.core.rolling import V2, proving

LATER_S = NOW_S + 200.0
NOTHING = ScalerState()


# What every worker had been given and had served before it was watched: only what comes then counts.
PAST_REQUESTS = 40
PAST_LOAD = 4_000.0
PAST_FAILED = 2


def _worker(number: int, *, reqnum: int = 0, at_s: float = NOW_S, **said: Any) -> Worker:
    served = {
        "received_load": PAST_LOAD,
        "finished_load": PAST_LOAD,
        "finished_requests": PAST_REQUESTS,
        "failed_requests": PAST_FAILED,
    }
    totals = {name: past + said.pop(name, 0) for name, past in served.items()}
    condition = a_condition(reported_at_s=at_s - 2, slots=4, **totals, **said)
    return replace(a_worker(number), condition=condition, assignments=_given(reqnum))


def _given(reqnum: int) -> Assignments:
    return Assignments(assigned_load=PAST_LOAD + 100.0 * reqnum, reqnum=PAST_REQUESTS + reqnum)


def _later(
    *workers: Worker, before: tuple[Worker, ...], waiting: tuple[WaitingRequest, ...] = (), state: ScalerState = NOTHING
) -> Watched:
    """Watch from NOW_S on, look when the later ones have been given their requests, and once more when these should be there."""
    state = watch(state, before, (), now_s=NOW_S).state
    soon = tuple(replace(one, condition=replace(one.condition, reported_at_s=NOW_S + 100)) for one in workers)
    first = watch(state, soon, waiting, now_s=NOW_S + 101)
    last = watch(first.state, workers, waiting, now_s=LATER_S)
    return replace(last, drains=(*first.drains, *last.drains))


def _back(number: int, *failed_it: int) -> WaitingRequest:
    return replace(a_request(number), avoid=tuple(map(worker_id, failed_it)))


DEAF = _worker(1, reqnum=9, at_s=LATER_S)
HEARS = _worker(2, reqnum=9, received_load=900.0, at_s=LATER_S)
FRESH = (_worker(1), _worker(2))


def test_a_worker_that_no_request_reaches_while_others_are_reached_leaves_service() -> None:
    (drain,) = _later(DEAF, HEARS, before=FRESH).drains

    assert (drain.worker_id, drain.to, drain.fault) == (worker_id(1), WorkerState.DESTROYING, Fault.UNREACHABLE)
    assert drain.reason == "unreachable: it reports well, and of 9 requests that were sent to it none has arrived"


def test_where_nobody_is_reached_it_may_be_the_clients() -> None:
    assert _later(DEAF, replace(DEAF, worker_id=worker_id(2)), before=FRESH).drains == ()


@pytest.mark.parametrize(("back", "drained"), [(0, 0), (1, 0), (2, 1)])
def test_alone_it_is_known_by_the_clients_that_come_back(back: int, drained: int) -> None:
    waiting = tuple(_back(number, 1) for number in range(1, back + 1))

    assert len(_later(DEAF, before=FRESH[:1], waiting=waiting).drains) == drained


def test_four_unused_tickets_are_no_sign() -> None:
    assert _later(replace(DEAF, assignments=_given(4)), HEARS, before=FRESH).drains == ()


def test_requests_of_this_moment_may_still_be_on_their_way() -> None:
    state = watch(ScalerState(), FRESH, (), now_s=NOW_S).state

    assert watch(state, (DEAF, HEARS), (), now_s=LATER_S).drains == ()


def test_one_arrival_begins_the_count_anew() -> None:
    reached = replace(DEAF, condition=replace(DEAF.condition, received_load=PAST_LOAD + 1.0))

    assert _later(reached, HEARS, before=FRESH).drains == ()


def test_a_worker_that_began_anew_is_watched_anew() -> None:
    restarted = replace(DEAF, condition=replace(DEAF.condition, run_id="other"))

    assert _later(restarted, HEARS, before=FRESH).drains == ()


def test_one_that_is_at_work_is_reached_although_nothing_new_has_arrived() -> None:
    at_work, idle = (_worker(2, reqnum=1, in_flight=count, at_s=LATER_S) for count in (1, 0))

    assert [drain.worker_id for drain in _later(DEAF, at_work, before=FRESH).drains] == [worker_id(1)]
    assert _later(DEAF, idle, before=FRESH).drains == ()


@pytest.mark.parametrize(
    "other",
    [
        replace(_worker(1), rental=replace(_worker(1).rental, state=WorkerState.DRAINING)),
        replace(_worker(1), condition=replace(_worker(1).condition, phase=Phase.LOADING)),
        replace(_worker(1), condition=replace(_worker(1).condition, version="1.1.0")),
    ],
    ids=["draining", "loading", "of Vast, which tells no totals"],
)
def test_who_is_not_in_service_or_tells_no_totals_is_not_watched(other: Worker) -> None:
    assert watch(NOTHING, (other, _worker(2)), (), now_s=NOW_S).state.watched.keys() == {worker_id(2)}


@pytest.mark.parametrize(
    ("after_s", "arrived", "anew"),
    [
        (WINDOW_S - 1, True, False),
        (WINDOW_S, True, True),
        (WINDOW_S, False, False),
        (WINDOW_S_MAX - 1, False, False),
        (WINDOW_S_MAX, False, True),
    ],
)
def test_a_watch_begins_anew_when_its_window_is_over_and_something_has_arrived_or_for_good(
    after_s: float, *, arrived: bool, anew: bool
) -> None:
    state = watch(NOTHING, (_worker(1),), (), now_s=NOW_S).state
    later = _worker(1, received_load=float(arrived), at_s=NOW_S + after_s)
    begun_s = watch(state, (later,), (), now_s=NOW_S + after_s).state.watched[worker_id(1)].at_s

    assert begun_s == (later if anew else _worker(1)).condition.reported_at_s


def _failing(number: int, failed: int) -> Worker:
    return _worker(
        number, reqnum=30, received_load=3_000.0, finished_load=3_000.0, finished_requests=30, failed_requests=failed, at_s=LATER_S
    )


def test_a_worker_that_fails_what_others_serve_leaves_service() -> None:
    (drain,) = _later(_failing(1, 20), _failing(2, 1), before=FRESH).drains

    assert (drain.worker_id, drain.fault) == (worker_id(1), Fault.SERVICE)
    assert drain.reason == "its inference server failed 20 of 30 requests, where the others fail few"


def test_where_all_fail_it_is_no_machine_s_fault() -> None:
    assert _later(_failing(1, 20), _failing(2, 20), before=FRESH).drains == ()


@pytest.mark.parametrize(("failed", "drained"), [(9, False), (10, False), (15, False), (16, True)])
def test_who_fails_few_or_less_than_half_stays(failed: int, *, drained: bool) -> None:
    assert bool(_later(_failing(1, failed), _failing(2, 1), before=FRESH).drains) is drained


def test_a_handful_that_all_failed_is_no_sign_yet() -> None:
    nine = _worker(1, reqnum=9, received_load=900.0, finished_load=900.0, finished_requests=9, failed_requests=9, at_s=LATER_S)

    assert _later(nine, _failing(2, 1), before=FRESH).drains == ()


def test_alone_nobody_is_compared() -> None:
    assert _later(_failing(1, 20), before=FRESH[:1]).drains == ()


# Real use


def _busy(number: int, finished: int, *, at_s: float, in_flight: int = 6) -> Worker:
    load = 50.0 * finished
    return _worker(
        number,
        reqnum=finished + in_flight,
        in_flight=in_flight,
        received_load=load + 50.0 * in_flight,
        finished_load=load,
        finished_requests=finished,
        at_s=at_s,
    )


def test_a_server_that_never_stood_idle_shows_what_it_can_do() -> None:
    state = _later(_busy(1, 200, at_s=LATER_S), before=(_busy(1, 0, at_s=NOW_S),)).state
    observed = state.observed[worker_id(1)]

    assert (observed.perf, observed.requests) == (50.0, 200)
    # The test said 100; 200 real requests at 50 load/s count for more.
    assert 50.0 < (outlook(state).of_worker(_busy(1, 200, at_s=LATER_S)) or 0.0) < 65.0


def test_one_that_had_a_free_slot_shows_what_it_was_asked_for() -> None:
    idle = _busy(1, 200, at_s=LATER_S, in_flight=4)

    assert _later(idle, before=(_busy(1, 0, at_s=NOW_S),)).state.observed == {}


@pytest.mark.parametrize(("finished", "failed"), [(19, 0), (200, 21)])
def test_a_window_of_few_requests_or_of_failures_shows_nothing(finished: int, failed: int) -> None:
    shown = _busy(1, finished, at_s=LATER_S)
    shown = replace(shown, condition=replace(shown.condition, failed_requests=PAST_FAILED + failed))

    assert _later(shown, before=(_busy(1, 0, at_s=NOW_S),)).state.observed == {}


def test_what_was_seen_earlier_counts_for_half_of_its_requests() -> None:
    before = ScalerState(observed={worker_id(1): ObservedPerf(perf=200.0, requests=400, at_s=NOW_S - 900)})
    observed = _later(_busy(1, 200, at_s=LATER_S), before=(_busy(1, 0, at_s=NOW_S),), state=before).state.observed[worker_id(1)]

    assert observed.perf == pytest.approx(math.sqrt(200.0 * 50.0))
    assert observed.requests == 400


def test_what_a_worker_showed_is_forgotten_with_it() -> None:
    seen = ObservedPerf(perf=50.0, requests=200, at_s=NOW_S)
    before = ScalerState(observed=dict.fromkeys((worker_id(1), worker_id(2), worker_id(3)), seen))
    fleet = (_worker(1), a_worker(2, WorkerState.DESTROYED))

    assert watch(before, fleet, (), now_s=NOW_S).state.observed.keys() == {worker_id(1)}


def test_a_worker_on_probation_teaches_its_model_nothing() -> None:
    learned = {"a|RTX 4090|1": LearnedPerf(perf=100.0, samples=4, dlperf=100.0, measured_at_s=NOW_S - 9_000)}
    tried = ScalerState(learned=learned, rollouts={"a": proving()})
    new = [
        replace(each, rental=replace(each.rental, autogroup_version=V2))
        for each in (_busy(1, 200, at_s=LATER_S), _busy(1, 0, at_s=NOW_S))
    ]

    assert _later(new[0], before=(new[1],), state=tried).state.learned == learned


def test_real_use_is_taught_to_the_model_once_an_hour() -> None:
    learned = {"a|RTX 4090|1": LearnedPerf(perf=100.0, samples=4, dlperf=100.0, measured_at_s=NOW_S - 9_000)}
    state = _later(_busy(1, 200, at_s=LATER_S), before=(_busy(1, 0, at_s=NOW_S),), state=ScalerState(learned=learned)).state
    again = watch(state, (_busy(1, 200, at_s=LATER_S),), (), now_s=LATER_S).state

    assert (state.learned["a|RTX 4090|1"].samples, again.learned["a|RTX 4090|1"].samples) == (5, 5)
    assert state.learned["a|RTX 4090|1"].perf < 100.0


def test_what_is_remembered_of_a_large_fleet_is_bounded_and_the_watch_goes_round() -> None:
    fleet = tuple(_worker(number) for number in range(1, 3 * WATCHED_MAX + 1))
    state = ScalerState()
    watched: set[str] = set()
    for step in range(3):
        at_s = NOW_S + 200.0 * step
        moved = tuple(
            replace(one, condition=replace(one.condition, reported_at_s=at_s, received_load=PAST_LOAD + 1.0 + step))
            for one in fleet
        )
        state = watch(state, moved, (), now_s=at_s).state
        watched |= state.watched.keys()

    assert len(state.watched) == WATCHED_MAX
    assert len(watched) == 3 * WATCHED_MAX
    assert len(state.observed) <= OBSERVED_MAX


# In a decision


def test_the_machine_is_avoided_and_no_shortage_takes_it_back() -> None:
    state = watch(a_state(load_per_s=150.0), FRESH, (), now_s=NOW_S).state
    soon = tuple(replace(one, condition=replace(one.condition, reported_at_s=NOW_S + 100)) for one in (DEAF, HEARS))
    state = watch(state, soon, (), now_s=NOW_S + 100).state
    plan = decide(a_snapshot(DEAF, HEARS, state=state), now_s=LATER_S)
    (avoided,) = plan.state.avoided

    assert [action.worker_id for action in plan.actions if isinstance(action, Drain)] == [worker_id(1)]
    assert (avoided.machine_id, avoided.fault) == (1001, "unreachable")
    assert plan.facts["running_load_per_s"] == 100.0


def test_an_image_that_nobody_can_reach_anywhere_stops_being_rented() -> None:
    """Each worker becomes ready, which ends a row of failed boots, and not this one."""
    state = ScalerState(unreached={"a": BREAKER_FAILURES - 1})
    state = watch(state, FRESH, (), now_s=NOW_S).state
    soon = tuple(replace(one, condition=replace(one.condition, reported_at_s=NOW_S + 100)) for one in (DEAF,))
    waiting = (_back(1, 1), _back(2, 1))
    state = watch(state, soon, waiting, now_s=NOW_S + 100).state
    plan = decide(a_snapshot(DEAF, group=a_group(), state=state, waiting=waiting), now_s=LATER_S)

    assert "a" in plan.state.halted_autogroups
    assert "unreachable" in plan.state.halted_autogroups["a"].reason


def test_one_worker_that_is_reached_ends_the_row() -> None:
    state = _later(HEARS, before=FRESH[1:], state=ScalerState(unreached={"a": 3, "b": 1})).state

    assert state.unreached == {"b": 1}
