"""Giving a group up: everything goes, every single one confirmed, and nothing is rented anew meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from functions.core.labels import instance_label
from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup
from functions.ports import LeaseLost, Marketplace, MarketplaceBusy, RentRequest
from functions.scale.events import Asked, MalformedEvent, parse_event
from functions.scale.release import ReleaseIncomplete, release_group
from functions.scale.service import keep_scaled
from functions.scale.turn import CALL_S_MAX, LEASE_S, ScalePorts
from sandbox.marketplace.faults import AnswerFault, Chance, FaultOptions, Operation, Span
from sandbox.marketplace.order import read_order
from tests.fakes.store import MemoryStore
from tests.scale.stage import ENDPOINT, STACK, Stage


def _ports(stage: Stage) -> ScalePorts:
    return ScalePorts(store=stage.store, marketplace=stage.marketplace, clock=stage.clock)


def _release(stage: Stage, *, within_s: float = 280.0, owner: str = "pulumi") -> int:
    deadline_s = stage.clock.now_s() + within_s
    return release_group(ENDPOINT, owner=owner, ports=_ports(stage), settings=stage.settings, deadline_s=deadline_s)


class OnItsWay:
    """A marketplace that a create reaches only after `travels_s`; its sender has no answer yet."""

    def __init__(self, stage: Stage, *, travels_s: float) -> None:
        self._stage = stage
        self._travels_s = travels_s

    def __getattr__(self, name: str) -> Any:
        """Return what is asked for without delay."""
        return getattr(self._stage.marketplace, name)

    def create(self, request: RentRequest) -> int:
        """Send it."""

        def arrives() -> None:
            self._stage.marketplace.create(request)

        self._stage.clock.after(self._travels_s, arrives)
        raise MarketplaceBusy("on its way")


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


def test_a_scaler_at_work_is_not_waited_for(stage: Stage) -> None:
    stage.store.acquire_lease(ENDPOINT, owner="at work", now_s=stage.clock.now_s(), duration_s=400.0)

    assert _release(stage, within_s=15.0) == 0


def test_a_scaler_that_is_overtaken_ends_and_rents_nothing_more(stage: Stage) -> None:
    stage.somebody_waits()
    deadline_s = stage.clock.now_s() + 300.0
    at_work = keep_scaled(ENDPOINT, owner="at work", ports=_ports(stage), settings=stage.settings, deadline_s=deadline_s)
    next(at_work)
    _release(stage)
    stage.somebody_waits()

    assert list(at_work) == []
    assert stage.contracts() == []


def test_a_create_of_an_overtaken_scaler_that_is_still_on_its_way_is_found_and_destroyed(stage: Stage) -> None:
    stage.settings = replace(stage.settings, rent_confirm_s=10.0)
    stage.somebody_waits()
    slow = cast("Marketplace", OnItsWay(stage, travels_s=CALL_S_MAX))
    stage.ticks(wrap=lambda port: slow if port is stage.marketplace else port)
    stage.store.acquire_lease(ENDPOINT, owner="at work", now_s=stage.clock.now_s(), duration_s=LEASE_S)
    released = _release(stage)
    stage.clock.wait_s(LEASE_S)

    assert (released, stage.contracts()) == (1, [])


def test_a_release_that_is_repeated_does_not_wait_for_the_one_before(stage: Stage) -> None:
    _with_a_fleet(stage)
    _release(stage)

    assert _release(stage, owner="pulumi, again", within_s=15.0) == 0


def test_of_two_releases_at_once_the_later_one_goes_on(stage: Stage) -> None:
    _with_a_fleet(stage)
    fleet = len(stage.contracts())
    released: list[int] = []
    stage.clock.after(1.0, lambda: released.append(_release(stage, owner="pulumi, again")))
    with pytest.raises(LeaseLost):
        _release(stage)

    assert (released, stage.contracts()) == ([fleet], [])


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
