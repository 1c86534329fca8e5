"""How much capacity is needed: load over utilisation, slots with headroom, and what being short costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.capacity import load_per_place
from functions.core.demand import Demand
from functions.core.forecast import Forecast
from functions.core.lead_time import LeadTime
from functions.core.model import EndpointGroup
from functions.core.scaler_state import Bursts, LastingLoad, LoadPeak, Season, Surges
from functions.core.sizing import Need, headroom_deviations, size, why
from tests.core.builders import NOW_S, a_condition, a_group, a_worker

NO_EXPERIENCE = Surges()
BOOT = LeadTime(mean_s=200.0, median_s=180.0, p95_s=600.0)


def _demand(
    load_per_s: float = 0.0,
    *,
    open_requests: int = 0,
    growth_per_s: float = 0.0,
    mean_cost: float = 0.0,
    place: float = 4.0,
    surges: Surges = NO_EXPERIENCE,
    soon_load_per_s: float = 0.0,
    later_load_per_s: float = 0.0,
) -> Demand:
    return Demand(
        ahead=Forecast(
            load_per_s=load_per_s,
            open_requests=open_requests,
            growth_per_s=growth_per_s,
            lead_s=30.0,
            mean_load_per_s=load_per_s,
        ),
        mean_cost=mean_cost,
        place=place,
        surges=surges,
        bursts=Bursts(),
        season=Season(),
        soon_load_per_s=soon_load_per_s,
        later_load_per_s=later_load_per_s,
        peaks=(LoadPeak(from_s=NOW_S, load_per_s=load_per_s, open_requests=open_requests),),
        lasting=LastingLoad(at_s=NOW_S, load_per_s=load_per_s),
        settled=True,
        assigned_load=0.0,
        retired_load=0.0,
        waiting_load=0.0,
        waiting=0,
        oldest_wait_s=0.0,
        asked_now=True,
        last_asked_at_s=NOW_S,
    )


def _need(group: EndpointGroup, demand: Demand) -> Need:
    return size(group, demand, boot=BOOT, now_s=NOW_S)


def test_where_answers_are_short_the_load_decides() -> None:
    assert _need(a_group(target_util=0.5), _demand(90.0, open_requests=3)).running_load == pytest.approx(180.0)


def test_where_many_are_open_their_slots_decide() -> None:
    assert _need(a_group(), _demand(90.0, open_requests=64)).running_load == pytest.approx(64 * 4.0)


def test_what_will_be_open_when_a_start_takes_effect_counts() -> None:
    assert _need(a_group(), _demand(90.0, open_requests=64, growth_per_s=2.0)).running_load == pytest.approx(124 * 4.0)


def test_headroom_grows_as_the_square_root() -> None:
    group = a_group(shortage_cost=20.0)
    needed = [_need(group, _demand(open_requests=count)).running_load / 4.0 - count for count in (16, 64, 256)]

    assert needed == [pytest.approx(deviations * 1.668, rel=0.01) for deviations in (4, 8, 16)]


def test_where_slots_are_unknown_the_load_alone_counts() -> None:
    assert _need(a_group(), _demand(90.0, open_requests=640, place=0.0)).running_load == pytest.approx(90.0)


@pytest.mark.parametrize(("shortage_cost", "deviations"), [(0.0, 0.0), (1.0, 0.0), (19.0, 1.645), (99.0, 2.326)])
def test_headroom_is_the_quantile_that_the_costs_make_worth_it(shortage_cost: float, deviations: float) -> None:
    assert headroom_deviations(shortage_cost) == pytest.approx(deviations, abs=0.001)


def test_storage_is_paid_for_as_long_as_being_short_for_one_boot_is_dearer() -> None:
    assert _need(a_group(shortage_cost=20.0), _demand()).shortage_s == pytest.approx(20.0 * 200.0)


def test_a_place_carries_its_share_of_what_its_worker_does() -> None:
    told = [replace(a_worker(number), condition=a_condition(perf=perf, slots=32)) for number, perf in ((1, 100.0), (2, 220.0))]
    silent_about_slots = replace(a_worker(3), condition=a_condition(perf=500.0, slots=0))

    assert load_per_place([*told, silent_about_slots], 10.0, 0.0) == pytest.approx(5.0)


def test_what_a_worker_serves_within_half_the_target_queue_time_are_places_too() -> None:
    few_slots = replace(a_worker(1), condition=a_condition(perf=100.0, slots=4))

    assert load_per_place([few_slots], 10.0, 50.0) == pytest.approx(100 / 14)


def test_slots_of_which_nobody_has_told_are_unknown() -> None:
    assert load_per_place([a_worker(1)], 10.0, 50.0) == 0.0


def test_a_surge_that_experience_expects_is_provided_for_before_it_comes() -> None:
    known = Surges(counts={"6": {"4": 90, "22": 10}})

    assert _need(a_group(shortage_cost=20.0), _demand(90.0, surges=known)).running_load == pytest.approx(128 * 4.0)
    assert _need(a_group(shortage_cost=4.0), _demand(90.0, surges=known)).running_load == pytest.approx(90.0)


def test_what_the_time_of_day_brings_runs_before_it_comes_and_is_held_before_that() -> None:
    soon, later = _need(a_group(), _demand(10.0, soon_load_per_s=90.0)), _need(a_group(), _demand(10.0, later_load_per_s=90.0))

    assert (soon.running_load, later.running_load) == (90.0, 10.0)
    assert later.held_load == 90.0


def test_what_follows_just_such_moments_holds_chance_already_and_needs_no_headroom() -> None:
    group, seen_before = a_group(shortage_cost=20.0), Surges(counts={"6/19": {"19": 100}})

    assert _need(group, _demand(90.0, open_requests=64, surges=seen_before)).running_load == pytest.approx(64 * 4.0)
    assert _need(group, _demand(90.0, open_requests=90, surges=seen_before)).running_load > 90 * 4.0


def test_what_runs_is_held() -> None:
    need = _need(a_group(), _demand(10.0, open_requests=300))

    assert need.held_load == need.running_load == 300 * 4.0


def test_the_reckoning_is_told_in_a_sentence() -> None:
    group, demand = a_group(shortage_cost=19.0), _demand(90.0, open_requests=7, growth_per_s=0.5)

    assert why(group, demand, _need(group, demand)) == (
        "Needed are 118.9 load/s: 90.0 load/s arrive as far as is proven (90.0 in the mean, 90.0 at the peak of 120 s); "
        "open requests: 7 now, 22 expected in 30 s."
    )


def test_what_experience_expects_is_told_where_there_is_some() -> None:
    group, demand = a_group(shortage_cost=20.0), _demand(90.0, surges=Surges(counts={"6": {"4": 90, "22": 10}}))

    assert why(group, demand, _need(group, demand)).endswith(", and by experience 128 at most with a chance of 95%.")


@given(st.floats(0, 1e4), st.integers(0, 10_000), st.floats(0, 10), st.floats(0, 100), st.floats(0, 1_000))
def test_more_demand_never_needs_less_than_it_asks_for(
    load_per_s: float, open_requests: int, growth_per_s: float, shortage_cost: float, more: float
) -> None:
    group = a_group(shortage_cost=shortage_cost)
    need = _need(group, _demand(load_per_s, open_requests=open_requests, growth_per_s=growth_per_s))
    higher = _need(group, _demand(load_per_s + more, open_requests=open_requests + int(more), growth_per_s=growth_per_s))

    assert need.running_load >= load_per_s
    assert higher.running_load >= need.running_load
