"""How much a client may send, as arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.model import ApiKey
from functions.core.rate_limit import BURST_S, Budgets, Price, is_limited, overdrawn_s, price, share, spent, told
from tests.core.builders import NOW_S

NOTHING = Budgets()


def a_limit(**limits: Any) -> ApiKey:
    """Return a key with these limits."""
    return ApiKey(key_sha256="0" * 64, endpoints=frozenset({"chat"}), label="website", **limits)


def passed(key: ApiKey, gaps_and_loads: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return when which load passed, of requests that come one after the other."""
    now_s, budgets, result = NOW_S, NOTHING, []
    for gap_s, load in gaps_and_loads:
        now_s += gap_s
        asked = price(key, requests=1, load=load)
        if not overdrawn_s(budgets, asked, now_s=now_s):
            budgets = spent(budgets, asked, now_s=now_s)
            result.append((now_s, load))
    return result


def test_a_client_without_a_limit_has_none() -> None:
    assert not is_limited(a_limit())


@pytest.mark.parametrize("limits", [{"requests_per_s": 0.5}, {"load_per_s": 10.0}])
def test_one_limit_is_a_limit(limits: dict[str, float]) -> None:
    assert is_limited(a_limit(**limits))


def test_what_is_not_limited_has_no_price() -> None:
    assert price(a_limit(load_per_s=10.0), requests=3, load=5.0) == Price(load_s=0.5)


def test_who_was_silent_may_send_what_two_seconds_allow_at_once_and_one_more() -> None:
    assert len(passed(a_limit(requests_per_s=8.0), [(0.0, 1.0)] * 100)) == 8 * BURST_S + 1


def test_silence_saves_up_no_more_than_that() -> None:
    at_once = [(1e6, 1.0), *[(0.0, 1.0)] * 100]

    assert len(passed(a_limit(requests_per_s=8.0), [(0.0, 1.0), *at_once])) == 1 + 8 * BURST_S + 1


def test_a_request_dearer_than_any_saving_passes_and_is_paid_for_afterwards() -> None:
    every_second = [(1.0, 1_000.0)] * 25

    assert [round(at_s - NOW_S) for at_s, _ in passed(a_limit(load_per_s=100.0), every_second)] == [1, 9, 19]


def test_either_limit_holds_a_client_back() -> None:
    key = a_limit(requests_per_s=1.0, load_per_s=100.0)
    budgets = Budgets(requests_until_s=NOW_S + 1, load_until_s=NOW_S + 3)

    assert overdrawn_s(budgets, price(key, requests=1, load=1.0), now_s=NOW_S) == 3


def test_a_limit_that_was_taken_away_holds_nobody_back() -> None:
    asked = price(a_limit(requests_per_s=1.0), requests=1, load=1.0)

    assert overdrawn_s(Budgets(load_until_s=NOW_S + 99), asked, now_s=NOW_S) == 0


@given(
    limit=st.sampled_from([0.3, 1.0, 7.0, 100.0]),
    arrivals=st.lists(st.tuples(st.floats(0, 2), st.floats(0.001, 50)), max_size=60),
)
def test_in_no_span_passes_more_than_the_limit_the_burst_and_one_request(limit: float, arrivals: list[tuple[float, float]]) -> None:
    through = passed(a_limit(load_per_s=limit), arrivals)

    for first in range(len(through)):
        for last in range(first, len(through)):
            span_s = through[last][0] - through[first][0]
            before_the_last = sum(load for _, load in through[first:last])
            assert before_the_last <= limit * (span_s + BURST_S) + 1e-3  # an ulp of today's epoch seconds is 2e-7


@pytest.mark.parametrize(
    ("limits", "usual", "cost", "usual_cost", "taken"),
    [
        ({"requests_per_s": 100.0}, 0.0, 1.0, 1.0, 1),
        ({"requests_per_s": 100.0}, 10.9, 1.0, 1.0, 10),
        ({"requests_per_s": 100.0}, 1e9, 1.0, 1.0, 50),
        ({"requests_per_s": 0.1}, 1e9, 1.0, 1.0, 1),
        ({"load_per_s": 100.0}, 1e9, 10.0, 5.0, 9),
        ({"load_per_s": 100.0}, 1e9, 1e6, 5.0, 1),
        ({"load_per_s": 100.0}, 7.0, 0.0, 0.0, 7),
        ({"requests_per_s": 10.0, "load_per_s": 1e9}, 1e9, 1.0, 1.0, 5),
    ],
)
def test_a_share_is_what_is_usual_as_far_as_half_a_second_pays_for_it(
    limits: dict[str, float], usual: float, cost: float, usual_cost: float, taken: int
) -> None:
    assert share(a_limit(**limits), usual=usual, cost=cost, usual_cost=usual_cost) == taken


def test_limits_are_told_in_words() -> None:
    assert told(a_limit(requests_per_s=50.0, load_per_s=0.5)) == "50 requests per second and 0.5 load per second"
