"""For how long the credit lasts: what is known, what is not, and what is spent by others."""

from __future__ import annotations

import pytest

from functions.core.credit import FRESH_S, HOURS_MAX, READ_EVERY_S, READINGS_MAX, after_reading, hours_left, is_due
from functions.core.lifecycle import WorkerState
from functions.core.scaler_state import ScalerState
from tests.core.builders import CENTS_40, NOW_S, a_worker

DOLLAR = 1_000_000


def read(*dollars: float | None, every_s: float = READ_EVERY_S) -> ScalerState:
    """Return the state after these readings, the last of them now; None is one that failed."""
    state = ScalerState()
    for age, usd in zip(range(len(dollars) - 1, -1, -1), dollars, strict=True):
        state = after_reading(state, None if usd is None else int(usd * DOLLAR), now_s=NOW_S - age * every_s)
    return state


def test_credit_lasts_as_long_as_the_workers_bill_it_down() -> None:
    assert hours_left(read(10.0), [a_worker(1), a_worker(2)], now_s=NOW_S) == pytest.approx(10 * DOLLAR / (2 * CENTS_40))


def test_a_stopped_worker_bills_its_storage() -> None:
    stopped = a_worker(1, WorkerState.STOPPED)

    assert hours_left(read(10.0), [stopped], now_s=NOW_S) == pytest.approx(
        min(HOURS_MAX, 10 * DOLLAR / stopped.rental.stopped_micro_usd_per_hour)
    )


def test_a_worker_that_is_destroyed_bills_nothing() -> None:
    assert hours_left(read(10.0), [a_worker(1, WorkerState.DESTROYED)], now_s=NOW_S) == HOURS_MAX


def test_what_others_spend_of_the_account_counts() -> None:
    falls_by_a_dollar_in_a_quarter = read(10.0, 9.0, 8.0, 7.0, 6.0)

    assert hours_left(falls_by_a_dollar_in_a_quarter, [], now_s=NOW_S) == pytest.approx(1.5)


def test_charges_that_are_booked_in_one_go_are_not_taken_for_a_rate() -> None:
    assert hours_left(read(10.0, 10.0, 9.0), [], now_s=NOW_S) == HOURS_MAX


def test_a_payment_begins_anew() -> None:
    assert hours_left(read(10.0, 9.0, 8.0, 7.0, 6.0, 50.0), [], now_s=NOW_S) == HOURS_MAX


def test_credit_that_is_used_up_lasts_for_no_hour() -> None:
    assert hours_left(read(-0.5), [], now_s=NOW_S) == 0.0


def test_credit_that_was_never_read_is_unknown() -> None:
    assert hours_left(ScalerState(), [a_worker(1)], now_s=NOW_S) is None


def test_a_reading_that_failed_leaves_what_was_read_before() -> None:
    assert hours_left(read(10.0, None), [a_worker(1)], now_s=NOW_S) == pytest.approx(25.0)


def test_an_old_reading_is_unknown() -> None:
    assert hours_left(read(10.0), [a_worker(1)], now_s=NOW_S + FRESH_S + 1.0) is None


@pytest.mark.parametrize("answer", [10.0, None])
def test_it_is_read_a_few_times_an_hour_answered_or_not(answer: float | None) -> None:
    state = read(answer)

    assert [is_due(state, now_s=NOW_S + after_s) for after_s in (0.0, READ_EVERY_S - 1.0, READ_EVERY_S)] == [False, False, True]


def test_the_readings_that_are_kept_are_few() -> None:
    assert len(read(*(100.0 - number for number in range(50))).credit) == READINGS_MAX
