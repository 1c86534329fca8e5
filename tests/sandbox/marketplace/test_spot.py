"""Interruptible rentals: who holds a GPU, who loses it, who gets it back, and for how long at a time."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sandbox.marketplace.errors import Refused
from sandbox.marketplace.faults import Fate
from sandbox.marketplace.instance import Contract, Moment
from sandbox.marketplace.lifecycle import GPU_BILLED, HOLDS_GPUS, Phase
from sandbox.marketplace.machine import Machine
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.order import read_order
from sandbox.marketplace.quantiles import Quantiles
from sandbox.marketplace.spot import GAP_HOURS, RUN_HOURS
from sandbox.marketplace.world import World, WorldOptions
from tests.sandbox.marketplace.shop import CREATE, QUIET, START_S, Shop

HOUR_US = 3_600_000_000
LONELY = MarketOptions(machines=60, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0)
# Rivals come only to bid: those who rent at the full price come by once in a thousand years.
BIDDING = MarketOptions(machines=400, rivals_per_machine_hour=1e-7, reprices_per_machine_hour=0.0)


def _world(market: MarketOptions, *, seed: int = 3) -> World:
    return World(WorldOptions(market=market, boot_speed=1e6, credit_usd=1e9), rng=random.Random(seed), now_s=START_S)


def _bid(world: World, times_lowest: float, *, nth: int = 0) -> Contract:
    """Rent the nth machine of one GPU that has months to go, for so many times its lowest bid."""
    query = {
        "num_gpus": {"eq": 1},
        "disk_space": {"gte": 16},
        "duration": {"gt": 60 * 86_400},
        "order": [["id", "asc"]],
        "limit": 999,
    }
    _, offers = world.search(query, world.now_us / 1e6)
    offer = offers[nth]
    price = times_lowest * offer.min_bid_micro_usd_per_hour / 1e6
    return world.create(offer.ask_id, read_order({**CREATE, "price": price, "cancel_unavail": False}), world.now_us / 1e6)


def _take_all(world: World, contract: Contract, *, bid: int | None) -> None:
    """Let a rival rent everything that is free on the contract's machine, for long."""
    machine = contract.machine
    if machine.free:
        world._rivals.take(machine, tuple(machine.free), world.now_us, bid=bid, stay_us=90 * 24 * HOUR_US)  # noqa: SLF001


def _runs_and_gaps(history: list[Moment]) -> tuple[list[float], list[float]]:
    """Return the hours of the finished stretches in which a contract held its GPUs, and in which it did not."""
    stretches: list[tuple[bool, int]] = []
    for moment in history:
        held = moment.phase in HOLDS_GPUS
        if not stretches or stretches[-1][0] is not held:
            stretches.append((held, moment.at_us))
    hours = [(held, (end_us - start_us) / HOUR_US) for (held, start_us), (_, end_us) in pairwise(stretches)]
    return [each for held, each in hours if held], [each for held, each in hours if not held]


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


def _months_of_bidding(times_lowest: float) -> tuple[list[float], list[float]]:
    world = _world(BIDDING)
    contracts = [_bid(world, times_lowest) for _ in range(40)]
    world.advance(START_S + 20 * 86_400)
    both = [_runs_and_gaps(contract.history) for contract in contracts]
    return [each for runs, _ in both for each in runs], [each for _, gaps in both for each in gaps]


@pytest.mark.parametrize(("at", "share"), [(2, 0.25), (3, 0.50), (4, 0.75)])
def test_the_lowest_bid_is_interrupted_as_often_as_real_spot_instances(at: int, share: float) -> None:
    runs, gaps = _months_of_bidding(1.0)

    assert len(runs) > 500
    for made, known in ((runs, RUN_HOURS), (gaps, GAP_HOURS)):
        assert _quantile(made, share) == pytest.approx(Quantiles(*known)[at], rel=0.35)


def test_a_higher_bid_is_interrupted_less_often() -> None:
    lowest, higher = (len(_months_of_bidding(times)[0]) for times in (1.0, 1.5))

    assert higher < lowest / 3


def test_nobody_outbids_where_nobody_else_rents() -> None:
    world = _world(LONELY)
    contract = _bid(world, 1.0)

    world.advance(START_S + 30 * 86_400)

    assert contract.phase is Phase.RUNNING


def test_an_outbid_contract_costs_its_disk_alone_and_resumes_by_itself() -> None:
    world = _world(BIDDING)
    contract = _bid(world, 1.0)
    world.advance(START_S + 20 * 86_400)

    paused = [moment for moment in contract.history if moment.phase is Phase.STOPPED]
    resumed = [later.phase for earlier, later in pairwise(contract.history) if earlier.phase is Phase.STOPPED]
    assert paused
    assert set(resumed) == {Phase.STARTING}
    assert Phase.STOPPED not in GPU_BILLED


def test_a_pause_shows_as_stopped_in_every_field() -> None:
    shop = Shop(WorldOptions(market=QUIET))
    contract_id = shop.rent_running({"price": 3.0})
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": Fate.OUTBID})

    row = shop.row(contract_id)

    assert (row["cur_state"], row["next_state"], row["intended_status"]) == ("stopped", "stopped", "stopped")


def test_a_raise_above_the_rivals_bid_wins_the_gpus_back() -> None:
    world = _world(LONELY)
    contract = _bid(world, 1.0)
    world.strike(contract.contract_id, Fate.OUTBID, START_S + 60)
    (hold,) = contract.machine.holds.values()
    assert contract.phase is Phase.STOPPED

    world.change_bid(contract.contract_id, 1 + (hold.bid_micro_usd_per_gpu_hour or 0), START_S + 61)

    assert contract.phase in HOLDS_GPUS
    assert not contract.machine.holds


def test_a_raise_that_stays_below_the_rivals_bid_does_not() -> None:
    world = _world(LONELY)
    contract = _bid(world, 1.0)
    world.strike(contract.contract_id, Fate.OUTBID, START_S + 60)
    (hold,) = contract.machine.holds.values()

    world.change_bid(contract.contract_id, hold.bid_micro_usd_per_gpu_hour or 0, START_S + 61)

    assert contract.phase is Phase.STOPPED


def test_a_bid_that_is_lowered_below_the_hosts_lowest_loses_its_gpus() -> None:
    world = _world(LONELY)
    contract = _bid(world, 2.0)

    world.change_bid(contract.contract_id, contract.machine.bid_micro_usd_per_hour - 1, START_S + 60)

    assert contract.phase is Phase.STOPPED
    assert contract.machine.free


def test_a_bid_below_the_hosts_lowest_begins_when_the_host_asks_for_less() -> None:
    world = _world(LONELY)
    contract = _bid(world, 0.9)
    assert contract.phase is Phase.STOPPED

    contract.machine.bid_micro_usd_per_hour //= 2
    world.contracts.freed(contract.machine, world.now_us)

    assert contract.phase in HOLDS_GPUS


def test_a_start_of_a_bid_that_is_too_low_is_refused_and_waits() -> None:
    world = _world(LONELY)
    contract = _bid(world, 0.9)

    with pytest.raises(Refused, match="resources_unavailable"):
        world.start(contract.contract_id, START_S + 60)

    assert contract.outbid


def test_the_full_price_beats_a_rivals_bid() -> None:
    world = _world(LONELY)
    _, offers = world.search({"num_gpus": {"eq": 1}, "disk_space": {"gte": 16}}, START_S)
    contract = world.create(offers[0].ask_id, read_order(CREATE), START_S)
    world.advance(START_S + 60)
    world.stop(contract.contract_id, START_S + 60)
    world.advance(START_S + 120)
    _take_all(world, contract, bid=10_000_000)

    world.start(contract.contract_id, START_S + 180)

    assert contract.phase in HOLDS_GPUS


def test_a_rival_who_pays_the_full_price_cannot_be_outbid() -> None:
    world = _world(LONELY)
    contract = _bid(world, 1.0)
    world.strike(contract.contract_id, Fate.OUTBID, START_S + 60)
    contract.machine.end_hold(contract.machine.last_hold)
    _take_all(world, contract, bid=None)

    world.change_bid(contract.contract_id, 100_000_000, START_S + 61)

    assert contract.phase is Phase.STOPPED


def test_who_pays_the_full_price_takes_a_bidders_gpus_when_nothing_is_free() -> None:
    market = MarketOptions(machines=60, rivals_per_machine_hour=1.0, rival_hours=1e-9, bidder_share=0.0)
    world = _world(market)
    contract = _bid(world, 40.0)

    world.advance(START_S + 86_400)

    assert Phase.STOPPED in {moment.phase for moment in contract.history}


def test_what_its_owner_stopped_does_not_resume_by_itself() -> None:
    world = _world(LONELY)
    contract = _bid(world, 1.0)
    world.advance(START_S + 60)
    world.stop(contract.contract_id, START_S + 60)

    world.strike(contract.contract_id, Fate.OUTBID, START_S + 60.5)
    world.advance(START_S + 30 * 86_400)

    assert contract.phase is Phase.STOPPED


def test_of_two_paused_bids_the_higher_one_resumes() -> None:
    world = _world(LONELY)
    low, high = _two_on_one_machine(world)
    for contract in (low, high):
        world._spot.take_over(contract, world.now_us, bid=None, stay_us=90 * 24 * HOUR_US)  # noqa: SLF001 - a rival by hand
    machine = low.machine

    machine.end_hold(machine.last_hold)
    world.contracts.freed(machine, world.now_us)

    assert (high.phase in HOLDS_GPUS, low.phase) == (True, Phase.STOPPED)


def _two_on_one_machine(world: World) -> tuple[Contract, Contract]:
    """Rent both GPUs of one machine, one each, the first for a lower bid than the second."""
    machine = next(each for each in world.machines.values() if len(each.free) == 2 and each.hardware.unit == 1)
    low, high = (_bid_on(world, machine, times) for times in (1.5, 2.0))
    return low, high


def _bid_on(world: World, machine: Machine, times_lowest: float) -> Contract:
    order = read_order({**CREATE, "disk": 8, "price": times_lowest * machine.bid_micro_usd_per_hour / 1e6})
    return world.create(world.book.of_machine(machine.hardware.machine_id)[0].ask_id, order, START_S)
