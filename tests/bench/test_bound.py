"""The lower bound of the backtest is one: no policy that serves as stated pays less, and by hand it comes out the same."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass, replace

import pytest

from bench.backtest.bound import costs, least_boot_s, lower_bound_usd
from bench.backtest.figures import figures
from bench.backtest.machines import Boots, Lognormal, Machine, Observed
from bench.backtest.policies.headgate import Headgate, measured
from bench.backtest.policies.peers import Concurrency, Static
from bench.backtest.trace import Arrival, Trace
from bench.backtest.world import Policy, Rules, World
from functions.core.model import EndpointGroup

MACHINE = Machine(perf=100.0, stream_perf=20.0, slots=10)
SURE = Boots(new=Observed((60.0,)), started=Observed((20.0,)), never_ready=0.0, unavailable=0.0, stopping_s=5.0)
RULES = Rules(machine=MACHINE, boots=SURE)
HOUR_S = 3_600.0
RUNNING_USD = MACHINE.running_micro_usd_per_hour / 1e6
STOPPED_USD = MACHINE.stopped_micro_usd_per_hour / 1e6


def a_trace(*arrivals: tuple[float, float], hours: float = 8.0) -> Trace:
    """Return a trace of these times and loads, long enough to be no excerpt."""
    return Trace(
        name="t", arrivals=tuple(Arrival(at_s=at_s, load=load) for at_s, load in sorted(arrivals)), duration_s=hours * HOUR_S
    )


def test_one_request_costs_one_boot_and_its_service() -> None:
    """600 load at 20 a second: a machine for 30 s after a boot of 60 s, of which it may come 10 s late."""
    usd = lower_bound_usd(a_trace((HOUR_S, 600.0)), RULES, share=1.0, dropped=0.0)

    assert usd == pytest.approx(RUNNING_USD * (60 - 10 + 30) / 3_600, rel=1e-6)


def test_two_bursts_cost_one_boot_and_a_stop_between() -> None:
    """An hour apart, keeping costs an hour: it is stopped (5 s) and started (20 s), or rented anew."""
    usd = lower_bound_usd(a_trace((HOUR_S, 600.0), (2 * HOUR_S, 600.0)), RULES, share=1.0, dropped=0.0)
    one = RUNNING_USD * (60 - 10 + 30) / 3_600
    stopped = (STOPPED_USD * (HOUR_S - 30) + (RUNNING_USD - STOPPED_USD) * 25 - RUNNING_USD * 10 + RUNNING_USD * 30) / 3_600

    assert usd == pytest.approx(one + min(one, stopped), rel=0.01)


def test_a_steady_load_costs_the_machines_that_it_fills() -> None:
    """200 load a second fill two machines for seven hours; two boots."""
    trace = a_trace(*((float(at_s), 200.0) for at_s in range(7 * 3_600)), hours=7.0)
    usd = lower_bound_usd(trace, RULES, share=1.0, dropped=0.0)

    assert usd == pytest.approx(RUNNING_USD * 2 * 7, rel=0.02)


def test_what_may_be_late_makes_it_cheaper() -> None:
    trace = a_trace(*((HOUR_S + index, 100.0) for index in range(50)), (5 * HOUR_S, 100.0))

    assert lower_bound_usd(trace, RULES, share=0.95) < 0.9 * lower_bound_usd(trace, RULES, share=1.0)


def test_a_boot_is_billed_for_at_least_its_best_stopping_rule() -> None:
    """One in two is ready after 10 s, the other after 1,000 s: giving up after 10 s, a ready machine costs 20 s of booting."""
    assert least_boot_s(Observed((10.0, 1_000.0)), never=0.0) == pytest.approx(20.0, rel=0.01)


def test_machines_that_never_become_ready_are_paid_for_by_those_that_do() -> None:
    sure, unsure = (least_boot_s(Lognormal(median_s=180.0, p95_s=600.0), never=never) for never in (0.0, 0.05))

    assert unsure > sure * 1.1


def test_where_boots_are_shorter_than_the_target_no_presence_is_asked_for() -> None:
    assert not costs(MACHINE, replace(SURE, new=Observed((5.0,)), started=Observed((2.0,))), from_nothing=True).presence


@dataclass(slots=True)
class Lavish:
    """Runs as many machines as the wildest moment needs, during the hours in which something comes, and none otherwise."""

    busy: frozenset[int]
    workers: int
    name: str = "lavish"

    def look(self, world: World) -> float:
        """Follow the clock."""
        soon = {int((world.now_s + ahead_s) // 600) for ahead_s in (0, 120)}
        wanted = self.workers if soon & self.busy or world.in_flight() else 0
        for _ in range(wanted - len(world.units)):
            world.rent()
        for unit in world.units[wanted:]:
            world.destroy(unit)
        return 5.0


def a_random_trace(seed: int) -> Trace:
    """Return some clusters of requests over eight hours."""
    rng = random.Random(seed)
    starts_s = [rng.uniform(600, 7 * HOUR_S) for _ in range(rng.randint(1, 6))]
    rows = [
        (start_s + rng.expovariate(1 / 60), rng.lognormvariate(5, 1)) for start_s in starts_s for _ in range(rng.randint(1, 80))
    ]
    return a_trace(*rows)


def the_policies(trace: Trace) -> list[Policy]:
    """Return policies that serve well, each in its own way."""
    group = EndpointGroup(endpoint="g", max_workers=40, max_hourly_cost_micro_usd=10**9)
    busy = frozenset(int(arrival.at_s // 600) for arrival in trace.arrivals)
    return [
        Static(workers=8),
        Lavish(busy=busy, workers=8),
        Lavish(busy=busy, workers=3),
        Concurrency(pool=8, workers_min=1),
        Headgate(group=group, state=measured(MACHINE.perf, gpu_name=MACHINE.gpu_name, dlperf=MACHINE.dlperf)),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_no_policy_that_serves_as_stated_pays_less(seed: int) -> None:
    trace = a_random_trace(seed)
    rows = [figures(World(trace, policy, RULES).run(), policy.name) for policy in the_policies(trace)]
    cheaper = [row for row in rows if row.usd < lower_bound_usd(trace, RULES, share=row.within_target, dropped=row.dropped)]

    assert not cheaper
    assert any(row.within_target >= 0.99 for row in rows)


@pytest.mark.parametrize("seed", range(2))
def test_no_policy_pays_less_in_the_mean_over_the_luck_of_its_boots(seed: int) -> None:
    trace = a_random_trace(100 + seed)
    busy = frozenset(int(arrival.at_s // 600) for arrival in trace.arrivals)
    rules = [Rules(machine=MACHINE, seed=luck) for luck in range(20)]
    rows = [figures(World(trace, Lavish(busy=busy, workers=6), one).run(), "lavish") for one in rules]
    share, dropped = (statistics.fmean(column) for column in zip(*((row.within_target, row.dropped) for row in rows), strict=True))

    assert statistics.fmean(row.usd for row in rows) >= lower_bound_usd(trace, rules[0], share=share, dropped=dropped)
