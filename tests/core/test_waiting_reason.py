"""The sentence that a waiting client reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointState, Worker
from functions.core.routing import candidates
from functions.core.scaler_state import Halt, ScalerState
from functions.core.scaling import decide
from functions.core.waiting_reason import Place, explain, halt_reason
from protocol.report import Phase
from tests.core.builders import NOW_S, a_condition, a_group, a_request, a_snapshot, a_state, a_worker, an_offer


def reason(*workers: Worker, ahead: int = 0, avoid: Sequence[str] = (), state: ScalerState | None = None, **group: Any) -> str:
    """Return the reason that these workers give."""
    place = Place(waiting_ahead=ahead, avoid=avoid)
    found = candidates(workers, group=a_group(), now_s=NOW_S)
    memory = state or ScalerState()
    return explain(a_group(**group), workers=workers, candidates=found, place=place, state=memory, now_s=NOW_S)


def booting(phase: Phase, *, age_s: float = 40.0, number: int = 1) -> Worker:
    """Return a worker that boots and has said so."""
    return replace(a_worker(number, WorkerState.BOOTING, age_s=age_s), condition=a_condition(phase=phase))


def test_with_nobody_there_one_has_been_asked_for() -> None:
    assert reason() == "no worker ready yet; one has been asked for"


def test_a_worker_that_is_being_rented_is_told_with_its_age() -> None:
    assert reason(a_worker(1, WorkerState.RENTING, age_s=8.0)) == "no worker ready yet; 1 being rented since 8 s"


@pytest.mark.parametrize(
    ("phase", "stage"),
    [
        (Phase.STARTING, "booting"),
        (Phase.LOADING, "loading"),
        (Phase.MEASURING, "being measured"),
        (Phase.ERROR, "failing to start"),
    ],
)
def test_a_worker_that_boots_is_told_by_what_it_says_itself(phase: Phase, stage: str) -> None:
    assert reason(booting(phase)) == f"no worker ready yet; 1 {stage} since 40 s"


def test_what_was_said_before_this_boot_began_is_not_repeated() -> None:
    said_long_ago = a_condition(phase=Phase.ERROR, reported_at_s=NOW_S - 500)
    worker = replace(a_worker(1, WorkerState.BOOTING, age_s=40.0), condition=said_long_ago)

    assert reason(worker) == "no worker ready yet; 1 booting since 40 s"


def test_several_in_one_stage_are_told_with_the_oldest_of_them() -> None:
    workers = (booting(Phase.LOADING, age_s=10.0), booting(Phase.LOADING, age_s=70.0, number=2))

    assert reason(*workers) == "no worker ready yet; 2 loading since 70 s"


def test_full_workers_are_told_with_the_line_before_them() -> None:
    assert reason(a_worker(1), a_worker(2), ahead=12).startswith("2 ready workers full, 12 ahead of you")


def test_the_first_in_line_is_told_so() -> None:
    assert reason(a_worker(1)).startswith("1 ready worker full, you are next")


def test_workers_that_fell_silent_are_told() -> None:
    silent = replace(a_worker(1), condition=a_condition(reported_at_s=NOW_S - 100))

    assert reason(silent).startswith("1 worker not answering for the moment")


def test_the_ceiling_of_workers_is_told_when_it_is_reached() -> None:
    assert reason(a_worker(1), max_workers=1) == "1 ready worker full, you are next; the ceiling of 1 worker is reached"


def test_the_budget_is_told_when_it_leaves_no_room_for_another() -> None:
    told = reason(a_worker(1), a_worker(2), max_hourly_cost_micro_usd=1_100_000)

    assert told.endswith("; the budget of $1.10 per hour leaves no room for another")


def test_a_worker_that_is_stopped_costs_its_storage_only() -> None:
    told = reason(a_worker(1), a_worker(2, WorkerState.STOPPED), max_hourly_cost_micro_usd=810_000)

    assert told.endswith("one has been asked for")


def test_a_marketplace_that_refuses_is_told() -> None:
    state = ScalerState(halted_until_s=NOW_S + 1, halted_reason="the credit is used up")

    assert reason(state=state) == "no worker ready yet; none can be rented: the credit is used up"


def decided(**changes: Any) -> ScalerState:
    """Return what the scaler remembers after it decided about a request that waits, with nobody there."""
    seen = a_snapshot(group=a_group(), state=a_state(), waiting=(a_request(1),), **changes)
    return decide(seen, now_s=NOW_S).state


def test_that_no_offer_matches_is_told() -> None:
    told = reason(state=decided(offers={"a": ()}))

    assert told == "no worker ready yet; none can be rented: autogroup a: no machine on offer matches"


def test_that_every_offer_is_too_dear_is_told() -> None:
    dear = an_offer(running_micro_usd_per_hour=11_000_000)

    assert reason(state=decided(offers={"a": (dear,)})).endswith(
        "autogroup a: every machine on offer is avoided or over the budget"
    )


def test_what_is_not_on_offer_is_of_no_interest_while_a_worker_comes() -> None:
    assert reason(booting(Phase.LOADING), state=decided(offers={"a": ()})) == "no worker ready yet; 1 loading since 40 s"


def test_a_request_that_was_failed_by_the_only_worker_is_told_that_and_not_that_it_is_full() -> None:
    told = reason(a_worker(1), avoid=[a_worker(1).worker_id])

    assert told.startswith("no ready worker but 1 worker that failed this request")


def test_workers_that_failed_the_request_are_not_counted_as_full() -> None:
    assert reason(a_worker(1), a_worker(2), avoid=[a_worker(2).worker_id]).startswith("1 ready worker full, you are next")


def test_a_halt_that_is_over_is_not_told() -> None:
    assert halt_reason(ScalerState(halted_until_s=NOW_S, halted_reason="x"), now_s=NOW_S) == ""


def test_a_halt_of_one_autogroup_names_it() -> None:
    halts = {"a": Halt(until_s=NOW_S + 1, reason="its image never starts"), "b": Halt(until_s=NOW_S - 1, reason="over")}

    assert halt_reason(ScalerState(halted_autogroups=halts), now_s=NOW_S) == "a: its image never starts"


def test_a_stopped_endpoint_is_told_in_the_words_of_vast() -> None:
    assert reason(a_worker(1), endpoint_state=EndpointState.STOPPED) == "endpoint stopped"


def test_a_suspended_endpoint_is_told() -> None:
    told = reason(endpoint_state=EndpointState.SUSPENDED)

    assert told == "no worker ready yet; the endpoint is suspended, so its fleet is held as it is"
