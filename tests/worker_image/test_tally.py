"""Work in bins of time, streamed or in one piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworker.tally import Tally


def begun(bin_s: float = 0.5) -> Tally:
    tally = Tally(bin_s=bin_s)
    tally.begin(100.0)
    return tally


def test_the_warm_up_does_not_count() -> None:
    tally = Tally(bin_s=0.5)
    tally.arrived(10, 99.0)
    tally.begin(100.0)

    assert tally.whole_bins(101.0) == [0, 0]


def test_a_unit_counts_in_the_bin_in_which_it_came() -> None:
    tally = begun()
    tally.arrived(10, 100.7)

    assert tally.whole_bins(101.5) == [0, 10, 0]


def test_a_bin_that_is_not_over_is_left_out() -> None:
    tally = begun()
    tally.arrived(10, 100.7)

    assert tally.whole_bins(100.9) == [0]


def test_a_reply_in_one_piece_counts_evenly_over_its_time() -> None:
    tally = begun()
    tally.spread(10, 100.25, 101.25)

    assert tally.whole_bins(101.5) == pytest.approx([2.5, 5, 2.5])


def test_only_the_part_after_the_warm_up_counts() -> None:
    tally = begun()
    tally.spread(10, 99.0, 101.0)

    assert tally.whole_bins(101.0) == pytest.approx([2.5, 2.5])


def test_bins_are_not_final_while_a_reply_in_one_piece_is_under_way() -> None:
    tally = begun()
    with tally.pending(100.6):
        meanwhile = tally.whole_bins(103.0)

    assert (meanwhile, len(tally.whole_bins(103.0))) == ([0], 6)


def test_the_longest_silence_is_remembered() -> None:
    tally = begun()
    for now_s in (100.1, 100.2, 101.7, 101.8):
        tally.arrived(1, now_s)

    assert tally.gap_max_s == pytest.approx(1.5)


@given(st.floats(0.01, 50), st.floats(-5, 20), st.floats(0.01, 20), st.floats(0.05, 2))
def test_nothing_is_lost_by_spreading(load: float, start_s: float, duration_s: float, bin_s: float) -> None:
    tally = begun(bin_s)
    from_s, to_s = 100 + start_s, 100 + start_s + duration_s
    tally.spread(load, from_s, to_s)

    inside = max(0.0, to_s - max(from_s, 100)) / duration_s
    assert sum(tally.bins) == pytest.approx(load * inside, rel=1e-6, abs=1e-6)
