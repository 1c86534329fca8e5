"""The shape of days and weeks: expected once two of them agree, and never before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.jsonable import decode, encode
from functions.core.scaler_state import Season
from functions.core.season import DAY_S, WEEK_S, expected_load_per_s, seen

MONDAY_S = 2_600 * WEEK_S
MINUTE_S = 60.0


def _lived(days: float, load_per_s: Callable[[float], float]) -> Season:
    """Return the season after so many days of this load (by the second since the start), looked at once a minute."""
    season = Season()
    for minute in range(int(days * 1_440) + 1):
        at_s = minute * MINUTE_S
        season = seen(season, load_per_s=load_per_s(at_s), now_s=MONDAY_S + at_s)
    return season


def _office_hours(at_s: float) -> float:
    return 50.0 if 8 <= at_s % DAY_S / 3_600 < 18 else 0.0


def test_one_day_is_no_shape() -> None:
    assert expected_load_per_s(_lived(1.3, _office_hours), at_s=MONDAY_S + 1.5 * DAY_S) == 0.0


def test_after_two_days_the_morning_is_expected_before_it_comes() -> None:
    season = _lived(2.3, _office_hours)

    assert expected_load_per_s(season, at_s=MONDAY_S + 2.34 * DAY_S) == pytest.approx(50.0)
    assert expected_load_per_s(season, at_s=MONDAY_S + 2.32 * DAY_S) == 0.0


def test_a_burst_on_one_day_is_not_expected_again() -> None:
    season = _lived(2.3, lambda at_s: 900.0 if 0.5 * DAY_S < at_s < 0.6 * DAY_S else 10.0)

    assert expected_load_per_s(season, at_s=MONDAY_S + 2.55 * DAY_S) == pytest.approx(10.0, rel=0.01)


def test_two_weeks_know_a_saturday_from_a_friday() -> None:
    season = _lived(19.0, lambda at_s: _office_hours(at_s) if at_s % WEEK_S < 5 * DAY_S else 0.0)

    assert expected_load_per_s(season, at_s=MONDAY_S + 18.5 * DAY_S) == pytest.approx(50.0, rel=0.01)
    assert expected_load_per_s(season, at_s=MONDAY_S + 19.5 * DAY_S) == 0.0


def test_days_that_nobody_watched_are_forgotten() -> None:
    season = seen(_lived(2.3, _office_hours), load_per_s=0.0, now_s=MONDAY_S + 6.3 * DAY_S)

    assert expected_load_per_s(season, at_s=MONDAY_S + 6.34 * DAY_S) == 0.0


def test_an_unknown_load_adds_nothing() -> None:
    assert seen(Season(), load_per_s=None, now_s=MONDAY_S) == Season(at_s=MONDAY_S)


def test_a_season_survives_its_record() -> None:
    season = _lived(2.1, _office_hours)

    assert decode(Season, encode(season)) == season


@given(st.lists(st.tuples(st.floats(0.1, 2e6), st.floats(0, 1e6)), max_size=40), st.floats(0, 2e6))
def test_it_is_bounded_and_expects_no_more_than_was_seen(looks: list[tuple[float, float]], later_s: float) -> None:
    season, now_s = Season(), MONDAY_S
    for pause_s, load_per_s in looks:
        now_s += pause_s
        season = seen(season, load_per_s=load_per_s, now_s=now_s)

    assert len(season.day) <= 96
    assert len(season.week) <= 168
    assert expected_load_per_s(season, at_s=now_s + later_s) <= max((load for _, load in looks), default=0.0) * (1 + 1e-6) + 1e-6
