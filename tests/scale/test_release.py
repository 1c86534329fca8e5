"""Giving a group up: everything goes, every single one confirmed, and nothing is rented anew meanwhile."""

from __future__ import annotations

import pytest

from functions.core.labels import instance_label
from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup
from functions.scale.events import Asked, MalformedEvent, parse_event
from functions.scale.release import ReleaseIncomplete, release_group
from functions.scale.turn import ScalePorts
from sandbox.marketplace.faults import AnswerFault, Chance, FaultOptions, Operation, Span
from sandbox.marketplace.order import read_order
from tests.fakes.store import MemoryStore
from tests.scale.stage import ENDPOINT, STACK, Stage


def _release(stage: Stage, *, within_s: float = 280.0) -> int:
    ports = ScalePorts(store=stage.store, marketplace=stage.marketplace, clock=stage.clock)
    deadline_s = stage.clock.now_s() + within_s
    return release_group(ENDPOINT, owner="pulumi", ports=ports, settings=stage.settings, deadline_s=deadline_s)


def _with_a_fleet(stage: Stage) -> None:
    stage.configure(cold_workers=2)
    stage.somebody_waits(cost=1_000.0)
    stage.run(200)


def test_everything_is_destroyed_and_confirmed(stage: Stage) -> None:
    _with_a_fleet(stage)
    fleet = len(stage.contracts())

    assert _release(stage) == fleet > 0
    assert stage.contracts() == []
    assert {worker.rental.state for worker in stage.workers()} == {WorkerState.DESTROYED}


def test_a_group_without_instances_is_released_at_once(stage: Stage) -> None:
    assert _release(stage, within_s=30.0) == 0


def test_a_create_whose_answer_was_lost_is_found_and_destroyed(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.DROPPED_AFTER)
    stage.ticks()

    assert _release(stage) == 1
    assert stage.contracts() == []


def test_a_rent_that_never_happened_is_waited_for_and_given_up(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.DROPPED_BEFORE)
    stage.ticks()

    assert _release(stage) == 0
    assert {worker.rental.state for worker in stage.workers()} == {WorkerState.DESTROYED}


def test_what_bears_the_label_is_destroyed_even_when_the_table_knows_nothing_of_the_group(stage: Stage) -> None:
    _with_a_fleet(stage)
    stage.store = MemoryStore()

    assert _release(stage) > 0
    assert stage.contracts() == []


def test_lists_that_lag_and_come_back_empty_hide_nothing(stage: Stage) -> None:
    _with_a_fleet(stage)
    empty = Chance(operation=Operation.LIST, fault=AnswerFault.EMPTY_LIST, probability=0.3)
    stage.world.plan.put(FaultOptions(chances=(empty,), list_lag_share=1.0, list_lag=Span(least_s=5.0, most_s=8.0)))
    _release(stage)

    assert stage.contracts() == []


def test_answers_that_get_lost_only_delay_it(stage: Stage) -> None:
    _with_a_fleet(stage)
    lost = tuple(
        Chance(operation=operation, fault=AnswerFault.SERVER_ERROR_AFTER, probability=0.4)
        for operation in (Operation.DESTROY, Operation.LIST, Operation.SHOW)
    )
    stage.world.plan.put(FaultOptions(chances=lost))
    _release(stage)

    assert stage.contracts() == []


def test_when_time_runs_out_the_instances_that_are_left_are_named(stage: Stage) -> None:
    _with_a_fleet(stage)
    down = Chance(operation=Operation.DESTROY, fault=AnswerFault.SERVER_ERROR_BEFORE, probability=1.0)
    stage.world.plan.put(FaultOptions(chances=(down,)))
    with pytest.raises(ReleaseIncomplete) as told:
        _release(stage, within_s=60.0)

    assert set(told.value.instances) == {contract.contract_id for contract in stage.contracts()}
    assert str(stage.contracts()[0].contract_id) in str(told.value)


def test_no_scaler_rents_anew_right_after_the_release(stage: Stage) -> None:
    _with_a_fleet(stage)
    _release(stage)
    stage.somebody_waits()

    assert stage.ticks(5, owner="schedule") == []
    assert stage.contracts() == []


def test_a_scaler_at_work_is_waited_for(stage: Stage) -> None:
    stage.store.acquire_lease(ENDPOINT, owner="at work", now_s=stage.clock.now_s(), duration_s=40.0)

    assert _release(stage) == 0


def test_a_lease_that_does_not_end_in_time_is_reported(stage: Stage) -> None:
    stage.store.acquire_lease(ENDPOINT, owner="at work", now_s=stage.clock.now_s(), duration_s=400.0)
    with pytest.raises(ReleaseIncomplete, match="another scaler"):
        _release(stage, within_s=30.0)


def test_requests_in_flight_do_not_keep_a_group_that_is_removed(stage: Stage) -> None:
    _with_a_fleet(stage)
    stage.everyone_reports(in_flight=3)
    _release(stage)

    assert stage.contracts() == []


def test_the_label_that_is_released_is_this_stack_s_and_group_s_alone(stage: Stage) -> None:
    autogroup = Autogroup(name="b", search_params="verified=any", image="tgi")
    offer = stage.marketplace.search(autogroup)[0]
    order = read_order({"image": "tgi", "disk": 20.0, "label": instance_label(STACK, "another", "w0-x"), "env": {}})
    foreign = stage.world.create(offer.offer_id, order, stage.clock.now_s())
    _release(stage)

    assert foreign.contract_id in stage.world.contracts.live


@pytest.mark.parametrize(
    ("event", "asked"),
    [
        ({"endpoint": "chat"}, Asked.SCALE),
        ({"endpoint": "chat", "reason": "waiting"}, Asked.SCALE),
        ({"endpoint": "chat", "tf": {"action": "delete", "prev_input": None}}, Asked.RELEASE),
        ({"endpoint": "chat", "tf": {"action": "create"}}, Asked.NOTHING),
        ({"endpoint": "chat", "tf": {"action": "update"}}, Asked.NOTHING),
    ],
)
def test_an_event_says_what_is_asked(event: dict[str, object], asked: Asked) -> None:
    assert parse_event(event).asked is asked


@pytest.mark.parametrize("event", [{}, {"endpoint": ""}, {"endpoint": 7}, {"endpoint": "chat", "tf": {"action": "erase"}}])
def test_an_event_that_makes_no_sense_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(MalformedEvent):
        parse_event(event)
