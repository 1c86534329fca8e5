"""The number of a request: never zero, below 2**53, and it tells whether there is a record, or else which worker."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from protocol.request_idx import (
    hinted_worker,
    is_recorded,
    is_unrecorded,
    new_direct_idx,
    new_recorded_idx,
    new_unrecorded_idx,
    worker_hint,
)

NOW_S = 1_900_000_000.0
times = st.floats(min_value=0, max_value=5e9)
sources = st.integers(0, 1_000).map(random.Random)


@given(sources, times)
def test_a_recorded_number_is_one_that_javascript_can_hold(rng: random.Random, now_s: float) -> None:
    idx = new_recorded_idx(rng, now_s=now_s)

    assert 0 < idx < 2**53
    assert is_recorded(idx)
    assert hinted_worker(idx) is None


@given(sources)
def test_a_number_without_a_record_is_taken_for_none_that_has_one(rng: random.Random) -> None:
    idx = new_unrecorded_idx(rng)

    assert idx > 0
    assert (is_unrecorded(idx), is_recorded(idx), hinted_worker(idx)) == (True, False, None)


@given(sources, st.text())
def test_a_direct_number_names_its_worker(rng: random.Random, worker_id: str) -> None:
    idx = new_direct_idx(rng, worker_id=worker_id)

    assert 0 < idx < 2**53
    assert not is_recorded(idx)
    assert hinted_worker(idx) == worker_hint(worker_id)


@given(sources, st.integers(1, 10**6))
def test_who_comes_later_has_the_larger_number(rng: random.Random, later_ms: int) -> None:
    first = new_recorded_idx(rng, now_s=NOW_S)

    assert new_recorded_idx(rng, now_s=NOW_S + later_ms / 1000) > first


def test_two_requests_for_one_worker_have_two_numbers() -> None:
    rng = random.Random(1)

    assert new_direct_idx(rng, worker_id="w0-a") != new_direct_idx(rng, worker_id="w0-a")


def test_hints_of_a_fleet_rarely_collide() -> None:
    hints = [worker_hint(f"w0-{number:026d}") for number in range(100)]

    assert len(set(hints)) >= 98
