"""Whatever callers and the world do: no GPU is in two hands, every offer can be had, a bill is the integral of what was shown."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.marketplace.errors import Refused
from sandbox.marketplace.faults import PRESETS, Fate, FaultOptions, Span, Trust
from sandbox.marketplace.instance import Contract, to_us
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.order import read_order
from sandbox.marketplace.world import World, WorldOptions
from tests.sandbox.marketplace.shop import START_S

HOUR_US = 3_600_000_000
IMAGE_BYTES = 8 * 10**9
HOSTILE = FaultOptions(
    failure_share=dict.fromkeys(Trust, 0.6),
    fate_weights=dict.fromkeys(Fate, 1.0),
    strikes_after=Span(least_s=1.0, most_s=4_000.0),
    outage=Span(least_s=1.0, most_s=2_000.0),
    silence=Span(least_s=1.0, most_s=2_000.0),
    short_term=Span(least_s=1_000.0, most_s=20_000.0),
    list_lag_share=0.5,
)


class Customer:
    """Does things at random, and remembers when it looked."""

    def __init__(self, seed: int, market: MarketOptions, *, credit_usd: float = 1_000.0) -> None:
        self.rng = random.Random(seed)
        options = WorldOptions(market=market, faults=HOSTILE, credit_usd=credit_usd)
        self.world = World(options, rng=random.Random(seed), now_s=START_S)
        self.now_s = START_S
        self.bids: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.up_bytes: Counter[int] = Counter()
        self.down_bytes: Counter[int] = Counter()

    def step(self) -> None:
        """Wait a while and do one thing; a refusal is an answer like any other."""
        self.now_s += self.rng.choice([0.0, 0.5, 20.0, 300.0, 3_000.0])
        try:
            self._act()
        except Refused:
            return

    def _act(self) -> None:
        known = list(self.world.contracts.all)
        action = self.rng.choice(
            ["rent", "rent", "start", "stop", "destroy", "reboot", "recycle", "snatch", "exit", "bid", "traffic", "increase"]
        )
        if action in {"rent", "snatch"} or not known:
            self._take_offer(rent=action != "snatch")
            return
        contract_id = self.rng.choice(known)
        match action:
            case "exit":
                self.world.process_exited(contract_id, self.now_s)
            case "bid":
                bid = self.rng.randint(1_000, 2_000_000)
                self.world.change_bid(contract_id, bid, self.now_s)
                self.bids[contract_id].append((to_us(self.now_s), bid))
            case "traffic":
                self._transfer(contract_id)
            case "increase":
                self._accept_increase()
            case _:
                getattr(self.world, action)(contract_id, self.now_s)

    def _transfer(self, contract_id: int) -> None:
        up_bytes, down_bytes = self.rng.randint(0, 10**11), self.rng.randint(0, 10**11)
        self.world.transfer(contract_id, self.now_s, up_bytes=up_bytes, down_bytes=down_bytes)
        self.up_bytes[contract_id] += up_bytes
        self.down_bytes[contract_id] += down_bytes

    def _accept_increase(self) -> None:
        """Accept what a host asks for; from the contract's old end on it costs that."""
        now_us = self.world.advance(self.now_s)
        for increase in self.world.increases.pending(now_us)[:1]:
            old_end_us = to_us(increase.contract.term_ends_s)
            self.world.increases.accept(increase.increase_id, now_us)
            self.bids[increase.contract.contract_id].append((old_end_us, increase.tariff.gpu_micro_usd_per_hour))

    def _take_offer(self, *, rent: bool) -> None:
        _, offers = self.world.search({"limit": 500}, self.now_s)
        if not offers:
            return
        ask_id = self.rng.choice(offers).ask_id
        if not rent:
            self.world.snatch(ask_id, self.now_s)
            return
        body = {"image": self.rng.choice("ab"), "disk": 8, "env": {"-p 3000:3000": "1"}, "cancel_unavail": self.rng.random() < 0.5}
        price = self.rng.choice([None, None, 0.01, 100.0])
        contract = self.world.create(ask_id, read_order({**body, "price": price}), self.now_s)
        self.bids[contract.contract_id].append((contract.created_us, contract.tariff.gpu_micro_usd_per_hour))


def _hands(world: World) -> dict[int, list[int]]:
    """Return, by machine, the GPUs that are free, that rivals and that contracts hold, each as often as it occurs."""
    hands = {machine_id: list(machine.free) for machine_id, machine in world.machines.items()}
    for machine_id, machine in world.machines.items():
        hands[machine_id] += (gpu_id for hold in machine.holds.values() for gpu_id in hold.gpu_ids)
    for contract in world.contracts.live.values():
        hands[contract.machine.hardware.machine_id] += contract.gpu_ids
    return hands


def _integral(contract: Contract, bids: list[tuple[int, int]], end_us: int) -> Fraction:
    """Return what a contract owes, from nothing but the statuses that it showed, the bids that were made, and when."""
    tariff, total = contract.tariff, Fraction(0)
    moments = [*((each.at_us, each.status, each.phase) for each in contract.history), (end_us, None, "destroyed")]
    for (start_us, status, phase), (stop_us, _, _) in pairwise(moments):
        if status == "running" or (status == "unknown" and phase in {"running", "stopping"}):
            total += _gpu(bids, start_us, stop_us)
        if status != "offline" and phase != "destroyed":
            storage = Fraction(tariff.storage_micro_usd_per_gb_month * tariff.disk_mb, 1_000 * 720)
            total += storage * Fraction(stop_us - start_us, HOUR_US)
    return total


def _gpu(bids: list[tuple[int, int]], start_us: int, stop_us: int) -> Fraction:
    total = Fraction(0)
    for (from_us, price), (until_us, _) in pairwise([*bids, (stop_us, 0)]):
        total += price * Fraction(max(0, min(until_us, stop_us) - max(from_us, start_us)), HOUR_US)
    return total


def _traffic(customer: Customer, contract: Contract, *, images: int) -> int:
    """Return what a contract's traffic costs, both ways, with or without the image that was pulled for it."""
    contract_id, tariff = contract.contract_id, contract.tariff
    down_bytes = customer.down_bytes[contract_id] + images * IMAGE_BYTES
    cost = tariff.up_micro_usd_per_gb * customer.up_bytes[contract_id] + tariff.down_micro_usd_per_gb * down_bytes
    return _rounded(Fraction(cost, 10**9))


def _rounded(amount: Fraction) -> int:
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_every_gpu_is_in_one_hand_and_every_offer_is_free(seed: int) -> None:
    customer = Customer(seed, MarketOptions(machines=8, rivals_per_machine_hour=0.5, rival_hours=0.5))

    for _ in range(80):
        customer.step()
        world = customer.world
        for machine_id, gpu_ids in _hands(world).items():
            assert sorted(gpu_ids) == sorted(world.machines[machine_id].hardware.gpu_ids)
        for offer in world.book:
            assert set(offer.gpu_ids) <= set(offer.machine.free)


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_every_gpu_comes_back_when_everything_is_destroyed(seed: int) -> None:
    customer = Customer(seed, MarketOptions(machines=6, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0))
    for _ in range(60):
        customer.step()

    for contract_id in tuple(customer.world.contracts.live):
        customer.world.destroy(contract_id, customer.now_s)
    customer.world.advance(customer.now_s + 400 * 86_400)

    for machine in customer.world.machines.values():
        assert machine.free == list(machine.hardware.gpu_ids)


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_every_bill_is_the_integral_of_the_states_that_were_shown(seed: int) -> None:
    customer = Customer(seed, MarketOptions(machines=8, rivals_per_machine_hour=0.5))
    for _ in range(80):
        customer.step()
    end_us = customer.world.advance(customer.now_s)

    for contract in customer.world.contracts.all.values():
        bill = customer.world.ledger.contract_bill(contract.contract_id, end_us)
        integral = _integral(contract, customer.bids[contract.contract_id], end_us)
        assert abs(bill.gpu_micro_usd + bill.storage_micro_usd - _rounded(integral)) <= 1
        assert bill.bandwidth_micro_usd in {_traffic(customer, contract, images=images) for images in (0, 1)}


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_without_credit_nothing_goes_on_running(seed: int) -> None:
    customer = Customer(seed, MarketOptions(machines=8), credit_usd=0.05)
    for _ in range(60):
        customer.step()

    customer.world.advance(customer.now_s + 3_600)

    if customer.world.balance_micro_usd(customer.now_s) <= 0:
        for contract in customer.world.contracts.live.values():
            assert contract.phase not in {"running", "loading", "starting", "queued"}


@settings(max_examples=6)
@given(st.integers(0, 2**32))
def test_looking_more_often_changes_nothing(seed: int) -> None:
    market = MarketOptions(machines=8, rivals_per_machine_hour=0.5)
    calm, restless = Customer(seed, market), Customer(seed, market)
    for _ in range(40):
        calm.step()
        restless.step()
        restless.world.advance(restless.now_s)
        due_s = restless.world.next_event_s()
        assert due_s is not None

    late_s = calm.now_s + 86_400
    while (due_s := restless.world.next_event_s()) is not None and due_s <= late_s:
        restless.world.advance(due_s)

    assert calm.world.bill(late_s) == restless.world.bill(late_s)


def test_time_never_runs_backwards() -> None:
    world = World(WorldOptions(), rng=random.Random(1), now_s=START_S)
    world.advance(START_S + 100)

    assert world.advance(START_S) == to_us(START_S + 100)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_week_of_a_fleet_is_a_matter_of_events_not_of_seconds(preset: str) -> None:
    world = World(WorldOptions(faults=PRESETS[preset], credit_usd=1e6), rng=random.Random(5), now_s=START_S)
    for _ in range(30):
        _, offers = world.search({"num_gpus": {"eq": 1}, "disk_space": {"gte": 8}}, START_S)
        world.create(offers[0].ask_id, read_order({"image": "x"}), START_S)

    world.advance(START_S + 7 * 86_400)

    assert len(world.listed(START_S + 7 * 86_400)) == 30
    assert world.bill(START_S + 7 * 86_400).total_micro_usd > 0
