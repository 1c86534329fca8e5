"""How machines are rented: by a bid, from a private registry, and only what was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import RentalType
from functions.ports import RentRequest
from sandbox.marketplace.faults import AnswerFault, Fate, Operation
from tests.scale.stage import ENDPOINT, Stage

_S = WorkerState
BOOT_S: Final = 150.0


def _bidding(stage: Stage) -> None:
    bidding = {"rental_type": RentalType.INTERRUPTIBLE, "bid_factor": 1.2, "max_bid_micro_usd": 5_000_000}
    (autogroup,) = stage.store.load(ENDPOINT).autogroups  # type: ignore[union-attr]
    stage.store.put_autogroup(ENDPOINT, replace(autogroup, **bidding))


def test_a_machine_that_was_rented_by_a_bid_costs_the_bid_and_serves(stage: Stage) -> None:
    _bidding(stage)
    stage.somebody_waits()
    stage.run(BOOT_S)
    (contract,) = stage.contracts()
    (rental,) = [worker.rental for worker in stage.workers()]

    assert rental.state is _S.READY
    assert contract.order.bid_micro_usd_per_hour == rental.bid_micro_usd_per_hour
    assert rental.running_micro_usd_per_hour == (rental.bid_micro_usd_per_hour or 0) + rental.stopped_micro_usd_per_hour


@pytest.mark.parametrize(("fault", "bids"), [(AnswerFault.WRONG_MACHINE, False), (AnswerFault.BID_IGNORED, True)])
def test_what_was_not_asked_for_is_destroyed_before_it_serves(stage: Stage, fault: AnswerFault, *, bids: bool) -> None:
    if bids:
        _bidding(stage)
    stage.meets(Operation.CREATE, fault)
    stage.somebody_waits()
    stage.ticks()
    (wrong,) = stage.contracts()
    done = stage.run(BOOT_S)
    states = [
        worker.rental.state for tick in done for worker in tick.snapshot.workers if worker.rental.instance_id == wrong.contract_id
    ]

    assert not wrong.alive
    assert _S.READY not in states
    assert any("as offered" in told or "a bid was asked" in told for tick in done for told in tick.plan.sentences)


def test_whoever_is_outbid_is_replaced_while_somebody_waits(stage: Stage) -> None:
    _bidding(stage)
    stage.somebody_waits()
    stage.run(BOOT_S)
    (outbid,) = stage.contracts()
    stage.world.strike(outbid.contract_id, Fate.OUTBID, stage.clock.now_s())
    for _ in range(20):
        stage.somebody_waits()
        stage.run(BOOT_S / 10)

    assert _S.READY in [worker.rental.state for worker in stage.workers()]


def test_where_no_bid_is_low_enough_a_machine_is_rented_on_demand_if_that_is_allowed(stage: Stage) -> None:
    def rented(*, fallback: bool) -> list[int | None]:
        (autogroup,) = stage.store.load(ENDPOINT).autogroups  # type: ignore[union-attr]
        hopeless = {"rental_type": RentalType.INTERRUPTIBLE, "max_bid_micro_usd": 1, "on_demand_fallback": fallback}
        stage.store.put_autogroup(ENDPOINT, replace(autogroup, **hopeless))
        stage.somebody_waits()
        stage.run(BOOT_S)
        return [contract.order.bid_micro_usd_per_hour for contract in stage.contracts()]

    assert (rented(fallback=False), rented(fallback=True)) == ([], [None])


def test_a_machine_on_demand_serves_in_place_of_a_bid_and_is_what_was_asked_for(stage: Stage) -> None:
    (autogroup,) = stage.store.load(ENDPOINT).autogroups  # type: ignore[union-attr]
    hopeless = {"rental_type": RentalType.INTERRUPTIBLE, "max_bid_micro_usd": 1, "on_demand_fallback": True}
    stage.store.put_autogroup(ENDPOINT, replace(autogroup, **hopeless))
    stage.somebody_waits()
    stage.run(BOOT_S)
    stage.somebody_waits()
    stage.run(30.0)

    assert [worker.rental.state for worker in stage.workers()] == [_S.READY]


def test_the_login_of_a_private_image_comes_from_the_secrets_and_is_nowhere_in_the_table(stage: Stage) -> None:
    stage.settings = replace(stage.settings, image_login={"chat/a": "-u me -p very-secret registry.test"})
    asked: list[RentRequest] = []
    create = stage.marketplace.create

    def watched(request: RentRequest) -> int:
        asked.append(request)
        return create(request)

    stage.marketplace.create = watched  # type: ignore[method-assign] # the port's own way to see what it is asked
    stage.somebody_waits()
    stage.ticks()

    assert [request.image_login for request in asked] == ["-u me -p very-secret registry.test"]
    assert "very-secret" not in f"{stage.workers()} {stage.store.load(ENDPOINT)} {asked} {stage.settings}"
