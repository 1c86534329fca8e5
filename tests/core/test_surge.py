"""How many requests come to be open within a lead time, by experience."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.jsonable import decode, encode
from functions.core.scaler_state import Surges
from functions.core.surge import COUNTED_MAX, KEYS_MAX, NOTHING, WATCHES_MAX, Expected, expected, experienced, quantile

HORIZON_S = 30.0


def _after(*highest: int, load_per_s: float = 100.0) -> Surges:
    """Return the experience after as many lead times, one after the other, in each of which so many came to be open."""
    surges = Surges()
    for index, open_requests in enumerate((*highest, 0, 0)):
        surges = experienced(
            surges, load_per_s=load_per_s, open_requests=open_requests, horizon_s=HORIZON_S, now_s=index * HORIZON_S
        )
    return surges


def test_too_little_experience_says_nothing() -> None:
    assert quantile(_after(*[64] * 20), "6", share=0.5) is None
    assert expected(_after(*[64] * 20), load_per_s=100.0, open_requests=64, share=0.5) == Expected()


def test_what_is_exceeded_rarely_enough_is_expected() -> None:
    surges = _after(*([4] * 18 + [64, 4]) * 10)

    assert quantile(surges, "6", share=0.80) == pytest.approx(4.0)
    assert quantile(surges, "6", share=0.95) == pytest.approx(64.0)


def test_what_was_seen_at_one_level_says_nothing_of_another() -> None:
    surges = _after(*[64] * 100, load_per_s=100.0)

    def at(load_per_s: float) -> float:
        return expected(surges, load_per_s=load_per_s, open_requests=3, share=0.9).requests

    assert [at(120.0), at(130.0), at(0.0)] == pytest.approx([64.0, 0.0, 0.0])


def test_a_burst_counts_for_the_level_that_came_before_it() -> None:
    surges = Surges()
    for index in range(200):
        burst = index % 2 == 1
        load_per_s = 900.0 if burst else 0.0
        surges = experienced(surges, load_per_s=load_per_s, open_requests=32 * burst, horizon_s=HORIZON_S, now_s=index * HORIZON_S)

    assert quantile(surges, NOTHING, share=0.5) == pytest.approx(32.0)


def test_what_follows_a_moment_with_as_many_open_is_known_apart() -> None:
    """Forty-eight are open in every second lead time: after one with none comes one with all."""
    surges = _after(*[0, 48] * 100)

    of_state = expected(surges, load_per_s=100.0, open_requests=0, share=0.9)
    of_level = expected(surges, load_per_s=100.0, open_requests=7, share=0.9)
    assert (of_state.with_chance, of_level.with_chance) == (True, False)
    assert [of_state.requests, of_level.requests] == pytest.approx([40.3, 40.3], abs=0.1)


def test_what_was_long_ago_weighs_less() -> None:
    surges = _after(*[64] * 3_000, *[4] * 4_000)

    assert quantile(surges, "6", share=0.75) == pytest.approx(4.0)


def test_experience_survives_its_record() -> None:
    surges = _after(1, 2, 3, 300)

    assert decode(Surges, encode(surges)) == surges


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**7), st.floats(0.1, 100.0)), max_size=80), st.floats(0.01, 0.999))
def test_whatever_comes_what_is_kept_is_bounded_and_no_more_is_expected_than_was_seen(
    looks: list[tuple[float, int, float]], share: float
) -> None:
    surges, now_s = Surges(), 0.0
    for load_per_s, open_requests, pause_s in looks:
        now_s += pause_s
        surges = experienced(surges, load_per_s=load_per_s, open_requests=open_requests, horizon_s=HORIZON_S, now_s=now_s)

    highest = max((open_requests for _, open_requests, _ in looks), default=0)
    assert len(surges.watches) <= WATCHES_MAX
    assert all(sum(counts.values()) < COUNTED_MAX for counts in surges.counts.values())
    assert len(surges.counts) <= KEYS_MAX
    assert all((quantile(surges, key, share=share) or 0.0) <= highest for key in surges.counts)


def test_of_too_many_moments_the_one_that_was_counted_least_is_forgotten() -> None:
    surges = _after(*[4] * 60)
    for octave in range(KEYS_MAX):
        now_s = 10_000.0 + octave * HORIZON_S
        surges = experienced(surges, load_per_s=2.0 ** (octave % 50 - 10), open_requests=octave, horizon_s=HORIZON_S, now_s=now_s)

    assert len(surges.counts) == KEYS_MAX
    assert quantile(surges, "6/7", share=0.9) == pytest.approx(4.0)
