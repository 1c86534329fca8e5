"""How much stopped capacity is worth its storage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.jsonable import decode, encode
from functions.core.scaler_state import Bursts, DemandSample
from functions.core.standby import BURST_S, BURSTS_MAX, KEPT_S_MAX, burst_load_per_s, filled_since, with_burst

NOW_S = 1_000_000.0


def _totals(*ago_and_load: tuple[float, float]) -> tuple[DemandSample, ...]:
    return tuple(DemandSample(at_s=NOW_S - ago_s, assigned_load=load, waiting_load=0.0) for ago_s, load in ago_and_load)


def _burst(samples: tuple[DemandSample, ...], *, arrived_load: float, room_s: float = 15.0) -> float:
    return burst_load_per_s(samples, arrived_load=arrived_load, room_s=room_s, now_s=NOW_S)


def _after(*moments: tuple[float, float]) -> Bursts:
    bursts = Bursts()
    for at_s, load_per_s in moments:
        bursts = with_burst(bursts, load_per_s, now_s=at_s)
    return bursts


def test_a_burst_fills_what_would_have_begun_it_within_the_room_that_there_is() -> None:
    assert _burst(_totals((60.0, 1_000.0)), arrived_load=4_000.0) == pytest.approx(40.0)


def test_of_all_spans_the_one_that_fills_most_counts() -> None:
    assert _burst(_totals((60.0, 1_000.0), (5.0, 2_000.0)), arrived_load=4_000.0) == pytest.approx(100.0)


def test_what_came_before_the_longest_span_fills_nothing() -> None:
    assert _burst(_totals((BURST_S + 1, 0.0)), arrived_load=4_000.0) == 0.0


def test_a_queue_that_grows_because_nothing_runs_fills_no_more_than_what_came() -> None:
    """Waiting load arrives once, however long it waits."""
    waits = DemandSample(at_s=NOW_S - 60, assigned_load=0.0, waiting_load=4_000.0)

    assert _burst((waits,), arrived_load=4_000.0) == 0.0


def test_the_highest_burst_of_a_time_is_told() -> None:
    bursts = _after((100.0, 64.0), (200.0, 16.0), (300.0, 32.0))

    assert [filled_since(bursts, since_s) for since_s in (0.0, 100.0, 200.0, 300.0)] == [64.0, 32.0, 32.0, 0.0]


def test_a_burst_is_never_remembered_as_less_than_it_was_nor_as_much_more() -> None:
    assert 100.0 <= filled_since(_after((1.0, 100.0)), 0.0) < 110.0


def test_quiet_moments_tell_only_since_when_somebody_looks() -> None:
    assert _after((100.0, 0.0), (200.0, 0.0)) == Bursts(since_s=100.0)


def test_bursts_survive_their_record() -> None:
    bursts = _after((100.0, 64.0), (200.0, 16.0))

    assert decode(Bursts, encode(bursts)) == bursts


@given(st.lists(st.tuples(st.floats(0.1, KEPT_S_MAX), st.floats(0, 1e9)), max_size=150))
def test_whatever_comes_few_are_kept_and_each_is_later_and_lower_than_the_one_before(steps: list[tuple[float, float]]) -> None:
    bursts, now_s = Bursts(), 0.0
    for pause_s, load_per_s in steps:
        now_s += pause_s
        bursts = with_burst(bursts, load_per_s, now_s=now_s)

    loads, moments = [one.load_per_s for one in bursts.peaks], [one.at_s for one in bursts.peaks]
    assert len(loads) <= BURSTS_MAX
    assert (loads, moments) == (sorted(set(loads), reverse=True), sorted(moments))
