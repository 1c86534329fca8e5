"""What a person is told: a figure for each alarm, and a sentence that does not change from tick to tick."""

from __future__ import annotations

import pytest

from functions.core.attention import RELEASE_OVERDUE_S, attention
from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.scaler_state import CreditReading, Halt, ScalerState
from functions.core.scaling import decide
from tests.core.builders import NOW_S, a_group, a_request, a_snapshot, a_state, a_worker, an_autogroup, an_offer

LOW = ScalerState(credit=(CreditReading(at_s=NOW_S, micro_usd=1_000_000),), credit_asked_at_s=NOW_S)


def of(*workers: Worker, state: ScalerState = ScalerState(), hours: float = 24.0) -> tuple[dict[str, float], tuple[str, ...]]:  # noqa: B008
    told = attention(state, workers, credit_hours_min=hours, now_s=NOW_S)
    return dict(told.facts), told.sentences


def test_a_release_that_is_overdue_is_named_by_its_instance() -> None:
    worker = a_worker(1, WorkerState.DESTROYING, age_s=RELEASE_OVERDUE_S + 1.0)
    facts, sentences = of(worker)

    assert facts["releases_unconfirmed"] == 1.0
    assert sentences == (
        f"The marketplace does not confirm that instance {worker.rental.instance_id} ({worker.worker_id}) is gone: it may bill.",
    )


def test_a_release_that_has_just_been_asked_for_is_no_trouble() -> None:
    assert of(a_worker(1, WorkerState.DESTROYING, age_s=60.0)) == ({"halted_autogroups": 0.0, "releases_unconfirmed": 0.0}, ())


def test_autogroups_that_are_halted_now_are_counted() -> None:
    halts = {"a": Halt(until_s=NOW_S + 1.0, reason="r"), "b": Halt(until_s=NOW_S, reason="r")}

    assert of(state=ScalerState(halted_autogroups=halts))[0]["halted_autogroups"] == 1.0


def test_credit_that_is_low_is_said_in_whole_hours() -> None:
    facts, sentences = of(a_worker(1), state=LOW)

    assert facts["credit_hours"] == pytest.approx(2.5)
    assert sentences == ("The account's credit lasts for less than 3 h at what is spent now.",)


def test_credit_that_lasts_is_a_figure_alone() -> None:
    assert of(a_worker(1), state=LOW, hours=2.0)[1] == ()


def test_a_decision_says_it_and_holds_the_figures() -> None:
    plan = decide(a_snapshot(a_worker(1), state=a_state(credit=LOW.credit, credit_asked_at_s=NOW_S)), now_s=NOW_S)

    assert plan.sentences[-1] == "The account's credit lasts for less than 3 h at what is spent now."
    assert plan.facts["credit_hours"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"group": a_group(max_workers=1)}, "budget_reached"),
        ({"group": a_group(max_hourly_cost_micro_usd=700_000)}, "budget_reached"),
        ({"offers": {"a": ()}}, "no_offers"),
        ({"offers": {}}, "no_offers"),
    ],
    ids=["workers", "dollars", "none matches", "none known"],
)
def test_what_keeps_a_missing_worker_away_is_a_fact(changes: dict[str, object], fact: str) -> None:
    asked: dict[str, object] = {
        "waiting": (a_request(cost=50_000.0),),
        "offers": {"a": (an_offer(7),)},
        "autogroups": (an_autogroup(),),
    }
    plan = decide(a_snapshot(a_worker(1), state=a_state(), **(asked | changes)), now_s=NOW_S)

    assert {name for name in plan.facts if name in {"budget_reached", "no_offers"}} == {fact}


def test_a_fleet_that_can_grow_knows_neither() -> None:
    asked = a_snapshot(a_worker(1), waiting=(a_request(cost=50_000.0),), offers={"a": (an_offer(7),)})
    plan = decide(asked, now_s=NOW_S)

    assert plan.facts.keys().isdisjoint({"budget_reached", "no_offers"})


def test_a_reserve_that_the_ceiling_leaves_no_room_for_is_no_trouble() -> None:
    plan = decide(a_snapshot(a_worker(1), state=a_state(), group=a_group(max_workers=1, min_cold_load=500.0)), now_s=NOW_S)

    assert "budget_reached" not in plan.facts
