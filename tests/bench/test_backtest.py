"""The judge of the backtest is fair: nothing is lost, nothing is served twice, and the bill is the integral of the states."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.backtest.__main__ import main
from bench.backtest.bill import Bill
from bench.backtest.entrants import FILLS, enter, meets, play
from bench.backtest.figures import figures
from bench.backtest.kinds import Kind, profile
from bench.backtest.machines import Boots, Lognormal, Machine, Observed, UnreadableDuration, read_duration
from bench.backtest.picture import draw
from bench.backtest.policies.clairvoyant import Clairvoyant
from bench.backtest.policies.headgate import Headgate, measured
from bench.backtest.policies.peers import Concurrency, Static
from bench.backtest.setting import Setting
from bench.backtest.station import Station
from bench.backtest.sweep import held_out_of, traces
from bench.backtest.tables import BEGIN, COLUMNS, END, written
from bench.backtest.trace import Arrival, LoadModel, Trace, UnreadableTrace, read_trace, synthetic, warmed
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

    assert figures(world, "static").within_target == 1.0


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


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("t_s,prompt_tokens,output_tokens\n1,2,3\n2,x,3\n", "line 3: prompt_tokens is 'x'"),
        ("t_s,prompt_tokens,output_tokens\n1,2,inf\n", "line 2: output_tokens is 'inf'"),
        ("t_s,prompt_tokens,output_tokens\n-1,2,3\n", "line 2: t_s is '-1'"),
        ("t_s,service_s\n1,nan\n", "line 2: service_s is 'nan'"),
        ("count\n7\nmany\n", "line 3: count is 'many'"),
        ("count\n1.5\n", "line 2: count is '1.5'; every row needs a whole number"),
    ],
)
def test_a_row_without_a_number_is_named_with_its_column(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(rows)

    with pytest.raises(UnreadableTrace, match=re.escape(said)):
        read_trace(path, LoadModel())


def test_two_policies_that_rent_alike_meet_the_same_luck() -> None:
    world = World(a_trace([(0.0, 1.0)]), Static(workers=6), Rules(machine=MACHINE, seed=5)).run()
    later = World(a_trace([(0.0, 1.0)]), Concurrency(workers_min=6), Rules(machine=MACHINE, seed=5)).run()
    ready = [math.ceil(next(moment.at_s for moment in run.history if moment.ready >= 3) / 60) for run in (world, later)]

    assert ready[0] == ready[1]


def test_a_machine_whose_start_is_refused_never_starts_again() -> None:
    @dataclass(slots=True)
    class Insistent:
        name: str = "insistent"
        tries: list[bool] = field(default_factory=list)

        def look(self, world: World) -> float:
            unit = world.units[0]
            if unit.state is State.READY:
                world.stop(unit)
            elif unit.state is State.STOPPED:
                self.tries.append(world.start(unit))
            return 30.0

    policy = Insistent()
    World(a_trace([(0.0, 1.0)]), policy, Rules(machine=MACHINE, boots=Boots(unavailable=1.0), begin_ready=1)).run()

    assert len(policy.tries) > 10
    assert not any(policy.tries)


def test_a_request_whose_machine_is_taken_away_begins_when_it_begins_again() -> None:
    @dataclass(slots=True)
    class Rude:
        name: str = "rude"

        def look(self, world: World) -> float:
            if world.now_s == 1_000.0:
                world.destroy(world.units[0])
            while world.count(State.READY, State.BOOTING) < 2:
                world.rent()
            return 1_000.0

    trace = a_trace([(999.0, 50.0)])
    world = World(trace, Rude(), Rules(machine=MACHINE, boots=SURE, begin_ready=1)).run()

    assert world.served.began_s[0] >= 1_000.0


def test_an_excerpt_is_played_twice_and_judged_once() -> None:
    trace = Trace(name="t", arrivals=tuple(Arrival(at_s=float(at_s), load=20.0) for at_s in range(1_000)), duration_s=1_000.0)
    world = World(warmed(trace), Static(workers=1), Rules(machine=MACHINE, boots=SURE, begin_ready=1)).run()

    assert world.bill.total_micro_usd() == pytest.approx(MACHINE.running_micro_usd_per_hour * 1_000 / 3_600, rel=0.02)
    assert figures(world, "static").within_target == 1.0


def test_a_long_trace_is_played_once() -> None:
    trace = synthetic(days=1, rate_per_s=0.01)

    assert warmed(trace) is trace


@pytest.mark.parametrize(
    ("rates", "kind"),
    [
        ([20] * 100, Kind.STEADY),
        ([20] * 50 + [80] * 50, Kind.DIURNAL),
        ([0] * 30 + [20] * 70, Kind.BURSTS),
        ([5] * 100, Kind.BURSTS),
    ],
)
def test_the_kind_of_a_trace_follows_from_its_own_windows(rates: list[int], kind: Kind) -> None:
    rows = [(window * 600.0 + index * 600 / rate, 1.0) for window, rate in enumerate(rates) for index in range(rate)]

    assert profile(replace(a_trace([(0.0, 0.001), *rows]), duration_s=len(rates) * 600.0)).kind is kind


def test_counts_are_thinned_and_keep_their_rates(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("count\n" + "100\n" * 2_000 + "300\n" * 2_000)
    trace = read_trace(path, LoadModel())
    late = sum(arrival.at_s >= 2_000 for arrival in trace.arrivals)

    assert len(trace.arrivals) == pytest.approx(100_000, rel=0.02)
    assert late == pytest.approx(0.75 * len(trace.arrivals), rel=0.02)


def test_the_trace_with_the_smallest_hash_of_its_name_is_held_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text("t_s,prompt_tokens,output_tokens\n1,2,3\n")
    (tmp_path / "rates.csv").write_text("t_s,rate\n1,2\n")
    every = traces(tmp_path, held_out=True)
    kept_back = held_out_of(every)

    assert kept_back is not None
    assert kept_back.name == "c.csv"  # 2e7d…, before 3e23… of b and ca97… of a
    assert kept_back not in traces(tmp_path, held_out=False)


def test_boot_times_can_be_given_as_figures_or_as_a_file_of_measured_ones(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("ms\n3000\n1000\n")

    assert read_duration("20:60") == Lognormal(median_s=20.0, p95_s=60.0)
    assert read_duration(str(path)) == Observed((1.0, 3.0))


@pytest.mark.parametrize("said", ["20", "20:x", "60:20", "0:3", "no/such/file.csv"])
def test_boot_times_that_cannot_be_read_are_told_what_they_need(said: str) -> None:
    with pytest.raises(UnreadableDuration, match="median"):
        read_duration(said)


def test_who_knows_the_trace_serves_two_bursts_in_time_and_pays_little_between() -> None:
    bursts = [(start_s + index * 0.5, 20.0) for start_s in (1_500.0, 3_000.0) for index in range(200)]
    world = World(a_trace(bursts), Clairvoyant(), Rules(machine=MACHINE, boots=SURE)).run()

    assert figures(world, "clairvoyant").within_target >= 0.99
    assert float(world.bill.total_micro_usd()) < MACHINE.running_micro_usd_per_hour * 1.5


def test_who_knows_the_trace_counts_a_machine_that_is_started_again_once() -> None:
    rng = random.Random(5)
    bursts = [(rng.uniform(1_500, 12_000), rng.randint(100, 500)) for _ in range(14)]
    rows = [(start_s + rng.expovariate(1 / 30), rng.uniform(5, 60)) for start_s, number in bursts for _ in range(number)]
    boots = Boots(new=Observed((60.0,)), started=Observed((20.0,)), never_ready=0.0, unavailable=0.0)
    trace = replace(a_trace(rows), duration_s=14_400.0)
    world = World(trace, Clairvoyant(), Rules(machine=MACHINE, boots=boots)).run()

    assert figures(world, "clairvoyant").wait_p99_s < 2.0


def test_of_several_runs_in_hindsight_the_cheapest_that_serves_well_enough_is_taken() -> None:
    trace = a_trace([(600.0 + index, 20.0) for index in range(1_000)])
    every = [figures(play(trace, Clairvoyant(fill=fill), Setting()), "clairvoyant") for fill in FILLS]
    best, _ = enter("clairvoyant", trace, Setting())

    assert best.usd == min(row.usd for row in every if meets(row, trace))


def test_the_document_has_the_runners_columns() -> None:
    document = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()
    table = document.partition(BEGIN)[2].partition(END)[0].strip().splitlines()

    assert table[0] == f"| {' | '.join(COLUMNS)} |"
    assert all(line.count("|") == len(COLUMNS) + 1 for line in table if line.startswith("|"))


def test_a_table_is_written_between_the_markers_of_a_document_and_nowhere_else() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert written(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no <!-- the table"):
        written("nothing", "new")


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_drawn_of_each_policy(tmp_path: Path, suffix: str) -> None:
    trace = a_trace([(600.0 + index, 20.0) for index in range(100)])
    runs = {name: enter(name, trace, Setting()) for name in ("kpa", "vast rule")}
    path = tmp_path / f"x{suffix}"
    draw(path, runs)

    assert path.stat().st_size > 10_000


def test_the_command_judges_every_trace_of_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        rows = "".join(f"{600 + index},10,{20 + index % 7}\n" for index in range(300))
        (tmp_path / f"{name}.csv").write_text(f"t_s,prompt_tokens,output_tokens\n{rows}")
    told = tmp_path / "told.json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["x", "--all", ".", "--policies", "kpa", "headgate", "--jobs", "1", "--json", str(told)])
    main()
    rows_told = json.loads(told.read_text())

    assert [(row["trace"], row["policy"]) for row in rows_told] == [(t, p) for t in ("a", "b") for p in ("kpa", "headgate")]
    assert all(row["bound_usd"] > 0 for row in rows_told)
