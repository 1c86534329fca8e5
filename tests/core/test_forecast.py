"""What the last seconds prove of the next: load per second, and requests to be held side by side."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.forecast import GROWTH_S_MIN, SPAN_S_MIN, Forecast, forecast
from functions.core.scaler_state import DemandSample
from tests.core.builders import NOW_S

COST = 10.0
ages_s = st.floats(1.0, 400.0)
totals = st.floats(0.0, 1e6)


def _steady(load_per_s: float, *, for_s: float = 300.0, every_s: float = 10.0, open_requests: int = 0) -> tuple[DemandSample, ...]:
    """Return the samples of a load that has arrived evenly up to now, when the total is a million."""
    count = int(for_s / every_s)
    return tuple(
        DemandSample(
            at_s=NOW_S - (count - index) * every_s,
            assigned_load=1e6 - load_per_s * (count - index) * every_s,
            waiting_load=0.0,
            open_requests=open_requests,
        )
        for index in range(count)
    )


def _ahead(samples: tuple[DemandSample, ...], *, arrived_load: float = 1e6, open_requests: int = 0) -> Forecast:
    return forecast(samples, arrived_load=arrived_load, open_requests=open_requests, mean_cost=COST, lead_s=30.0, now_s=NOW_S)


def test_without_a_sample_from_before_the_rate_is_unknown_and_nothing_grows() -> None:
    ahead = _ahead((), open_requests=7)

    assert ahead.load_per_s is None
    assert ahead.open_ahead == 7


def test_a_steady_load_is_expected_to_stay_as_it_is() -> None:
    assert _ahead(_steady(50.0)).load_per_s == pytest.approx(50.0)


def test_a_rise_over_two_minutes_is_believed_but_for_its_uncertainty() -> None:
    # 12,000 more in the last 120 s, in 1,200 requests: 100 load/s, give or take 4.1 (a standard deviation).
    samples = (*_steady(0.0, for_s=180.0)[:6], DemandSample(at_s=NOW_S - 120, assigned_load=1e6, waiting_load=0.0))
    proven = _ahead(samples, arrived_load=1e6 + 12_000).load_per_s

    assert proven == pytest.approx(100 - 1.5 * math.sqrt(2 * 12_000 * COST) / 120)


def test_a_handful_of_requests_after_a_lull_is_no_proof_of_a_rate() -> None:
    # Three requests within two minutes: 0.25 load/s of them; over five minutes 0.1.
    proven = _ahead(_steady(0.0), arrived_load=1e6 + 30).load_per_s

    assert proven == pytest.approx(0.1)


def test_the_highest_proven_rate_hardly_overstates_a_load_of_a_request_a_second() -> None:
    rng = random.Random(1)
    seen = []
    total = 0.0
    samples: tuple[DemandSample, ...] = ()
    for tick in range(3_000):
        total += COST * sum(rng.random() < 0.01 for _ in range(1_000))
        ahead = forecast(samples, arrived_load=total, open_requests=0, mean_cost=COST, lead_s=30.0, now_s=NOW_S + 10 * tick)
        seen.append(ahead.load_per_s or 0.0)
        samples = (*samples, DemandSample(at_s=NOW_S + 10 * tick, assigned_load=total, waiting_load=0.0))[-31:]

    assert sum(seen[60:]) / len(seen[60:]) == pytest.approx(COST, rel=0.06)


def test_a_burst_in_the_first_seconds_is_no_rate_of_a_fraction_of_it_per_second() -> None:
    just_before = (DemandSample(at_s=NOW_S - 1, assigned_load=0.0, waiting_load=0.0),)

    assert _ahead(just_before, arrived_load=150.0).load_per_s == pytest.approx(150.0 / SPAN_S_MIN)


def test_open_requests_that_grow_faster_than_chance_explains_are_expected_to_go_on() -> None:
    # 200 more in 20 s, all still open: 10 a second, less 1.5 standard deviations (of the square root of 200).
    samples = (DemandSample(at_s=NOW_S - 20, assigned_load=1e6 - 200 * COST, waiting_load=0.0, open_requests=100),)
    ahead = _ahead(samples, open_requests=300)

    assert ahead.growth_per_s == pytest.approx((200 - 1.5 * math.sqrt(200)) / 20)
    assert ahead.open_ahead == pytest.approx(300 + 30 * ahead.growth_per_s)


def test_two_more_than_a_moment_ago_is_chance() -> None:
    samples = (DemandSample(at_s=NOW_S - 20, assigned_load=1e6 - 40 * COST, waiting_load=0.0, open_requests=100),)

    assert _ahead(samples, open_requests=102).growth_per_s == 0.0


def test_samples_that_did_not_count_requests_say_nothing_of_their_growth() -> None:
    samples = (DemandSample(at_s=NOW_S - 20, assigned_load=0.0, waiting_load=0.0),)

    assert _ahead(samples, open_requests=1_000).growth_per_s == 0.0


def test_what_came_within_seconds_is_not_extrapolated() -> None:
    samples = (DemandSample(at_s=NOW_S - GROWTH_S_MIN + 1, assigned_load=0.0, waiting_load=0.0, open_requests=0),)

    assert _ahead(samples, open_requests=1_000).growth_per_s == 0.0


@given(
    st.lists(st.builds(lambda age_s, total, count: (age_s, total, count), ages_s, totals, st.integers(0, 10_000)), max_size=20),
    totals,
    st.integers(0, 10_000),
)
def test_whatever_was_seen_no_forecast_is_negative_or_below_what_is_open(
    seen: list[tuple[float, float, int]], arrived_load: float, open_requests: int
) -> None:
    samples = tuple(
        DemandSample(at_s=NOW_S - age_s, assigned_load=total, waiting_load=0.0, open_requests=count)
        for age_s, total, count in sorted(seen, reverse=True)
    )
    ahead = _ahead(samples, arrived_load=arrived_load, open_requests=open_requests)

    assert ahead.load_per_s is None or 0 <= ahead.load_per_s < math.inf
    assert open_requests <= ahead.open_ahead < math.inf


@given(st.floats(0.1, 1e4), st.floats(1.0, 10.0))
def test_more_load_is_never_expected_to_be_less(load_per_s: float, times: float) -> None:
    lower, higher = _ahead(_steady(load_per_s)).load_per_s, _ahead(_steady(load_per_s * times)).load_per_s

    assert lower is not None
    assert higher is not None
    assert higher >= lower * (1 - 1e-9)
