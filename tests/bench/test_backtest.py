"""The judge of the backtest is fair: nothing is lost, nothing is served twice, and the bill is the integral of the states."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.backtest.bill import Bill
from bench.backtest.figures import figures
from bench.backtest.machines import Boots, Lognormal, Machine
from bench.backtest.policies.headgate import Headgate, measured
from bench.backtest.policies.peers import Concurrency, Static
from bench.backtest.station import Station
from bench.backtest.trace import Arrival, LoadModel, Trace, UnreadableTrace, read_trace, synthetic
from bench.backtest.world import Rules, State, World
from functions.core.model import EndpointGroup

MACHINE = Machine(perf=100.0, stream_perf=20.0, slots=8)
SURE = Boots(never_ready=0.0, unavailable=0.0)


@dataclass(slots=True)
class Erratic:
    """Does anything that a policy may do, at random."""

    rng: random.Random
    name: str = "erratic"
    seen: list[tuple[float, int, State]] = field(default_factory=list)

    def look(self, world: World) -> float:
        """Do one thing to one machine, or rent."""
        if not world.units or self.rng.random() < 0.3:
            world.rent()
        unit = self.rng.choice(world.units)
        match unit.state:
            case State.READY:
                self.rng.choice((world.drain, world.stop, world.destroy))(unit)
            case State.DRAINING:
                self.rng.choice((world.undrain, world.stop, world.destroy))(unit)
            case State.STOPPED:
                self.rng.choice((world.start, world.destroy))(unit)
            case _:
                pass
        return self.rng.uniform(1, 120)


arrivals = st.lists(st.tuples(st.floats(0, 3_000), st.floats(1, 2_000)), min_size=1, max_size=60)


def a_trace(rows: list[tuple[float, float]]) -> Trace:
    """Return a trace of these arrivals and loads."""
    ordered = sorted(rows)
    return Trace(name="t", arrivals=tuple(Arrival(at_s=at_s, load=load) for at_s, load in ordered), duration_s=3_600.0)


@settings(max_examples=60, deadline=None)
@given(arrivals, st.integers(0, 2**32))
def test_every_request_is_served_or_dropped_and_never_both(rows: list[tuple[float, float]], seed: int) -> None:
    world = World(a_trace(rows), Erratic(random.Random(seed)), Rules(machine=MACHINE)).run()
    served = {index for index, at_s in enumerate(world.served.began_s) if not math.isnan(at_s)}

    assert served | world.served.dropped == set(range(len(rows)))


@settings(max_examples=60, deadline=None)
@given(arrivals, st.integers(0, 2**32))
def test_the_bill_is_the_integral_of_the_states(rows: list[tuple[float, float]], seed: int) -> None:
    world = World(a_trace(rows), Erratic(random.Random(seed)), Rules(machine=MACHINE)).run()
    by_price: dict[int, int] = {}
    for span in world.bill.spans:
        by_price[span.micro_usd_per_hour] = by_price.get(span.micro_usd_per_hour, 0) + span.until_ms - span.from_ms

    assert set(by_price) <= {MACHINE.running_micro_usd_per_hour, MACHINE.stopped_micro_usd_per_hour}
    assert world.bill.total_micro_usd() == sum(Fraction(price * held_ms, 3_600_000) for price, held_ms in by_price.items())


def test_a_machine_bills_what_it_costs_in_each_state() -> None:
    bill = Bill()
    for at_s, micro_usd_per_hour in ((0.0, 360_000), (1_800.0, 36_000), (5_400.0, 0)):
        bill.price(1, micro_usd_per_hour, now_s=at_s)

    assert bill.total_micro_usd() == 180_000 + 36_000


def test_requests_share_a_machine_and_none_is_faster_than_a_stream() -> None:
    station = Station(perf=100.0, stream_perf=60.0, slots=4)
    station.admit(1, 60.0, 0.0)
    station.admit(2, 90.0, 0.0)

    assert station.next_end_s() == pytest.approx(1.2)  # two share 100
    station.end_one(1.2)
    assert station.next_end_s() == pytest.approx(1.2 + 30 / 60)  # one alone is held to a stream's 60


def test_beyond_the_slots_requests_wait_in_order() -> None:
    station = Station(perf=100.0, stream_perf=100.0, slots=1)
    begun = [station.admit(request, 100.0, 0.0) for request in (1, 2, 3)]

    assert begun == [True, False, False]
    assert station.end_one(1.0) == (1, 2)
    assert station.backlog(1.0) == pytest.approx(200.0)


def test_a_fleet_that_is_large_enough_begins_everything_at_once() -> None:
    trace = a_trace([(600.0 + index, 20.0) for index in range(1_000)])
    boots = Boots(new=Lognormal(median_s=60.0, p95_s=70.0), never_ready=0.0)
    world = World(trace, Static(workers=3), Rules(machine=MACHINE, boots=boots)).run()

    assert figures("t", "static", world).within_target == 1.0


def test_our_core_goes_to_zero_between_two_bursts_and_serves_both() -> None:
    bursts = [(start_s + index * 0.5, 20.0) for start_s in (100.0, 3_000.0) for index in range(200)]
    group = EndpointGroup(endpoint="g", max_workers=8, max_hourly_cost_micro_usd=10**8)
    policy = Headgate(group=group, state=measured(MACHINE.perf, gpu_name=MACHINE.gpu_name, dlperf=MACHINE.dlperf))
    world = World(a_trace(bursts), policy, Rules(machine=MACHINE, boots=SURE)).run()
    between = [moment.running for moment in world.history if 2_000 < moment.at_s < 2_990]

    assert not world.served.dropped
    assert set(between) == {0}


def test_a_pool_of_stopped_machines_makes_the_second_burst_wait_less() -> None:
    bursts = [(start_s + index * 0.5, 20.0) for start_s in (100.0, 3_000.0) for index in range(200)]

    def begun_s(pool: int) -> float:
        boots = replace(SURE, new=Lognormal(median_s=180.0, p95_s=181.0), started=Lognormal(median_s=25.0, p95_s=26.0))
        world = World(a_trace(bursts), Concurrency(pool=pool), Rules(machine=MACHINE, boots=boots)).run()
        return world.served.began_s[200] - 3_000.0

    assert begun_s(4) < begun_s(0) / 2


def test_the_same_seed_gives_the_same_bill() -> None:
    trace = synthetic(days=1, rate_per_s=0.05)
    bills = {World(trace, Concurrency(), Rules(machine=MACHINE)).run().bill.total_micro_usd() for _ in range(2)}

    assert len(bills) == 1


def test_a_file_that_is_no_trace_is_told_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,tokens\n1,2\n")

    with pytest.raises(UnreadableTrace, match="t_s,prompt_tokens,output_tokens"):
        read_trace(path, LoadModel())


def test_a_row_without_a_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("t_s,prompt_tokens,output_tokens\n1,2,3\n2,x,3\n")

    with pytest.raises(UnreadableTrace, match="line 3"):
        read_trace(path, LoadModel())
