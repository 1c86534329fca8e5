"""How long capacity takes to arrive: what is expected before anything was seen, and what boots and starts teach."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.lead_time import LEAD_S_MAX, boot_time, start_time, with_arrival
from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.scaler_state import ScalerState
from tests.core.builders import NOW_S, a_worker

took = st.floats(1.0, 3_000.0)


def _booted(took_s: float) -> Worker:
    return a_worker(1, WorkerState.BOOTING, created_at_s=NOW_S - took_s, boot_started_at_s=NOW_S - took_s)


def _started(took_s: float) -> Worker:
    return a_worker(1, WorkerState.BOOTING, created_at_s=NOW_S - 86_400, boot_started_at_s=NOW_S - took_s)


def _after(*workers: Worker) -> ScalerState:
    state = ScalerState()
    for worker in workers:
        state = with_arrival(state, worker, now_s=NOW_S)
    return state


def test_before_anything_was_seen_times_are_those_of_the_marketplace() -> None:
    boot, start = boot_time(ScalerState()), start_time(ScalerState())

    assert [boot.median_s, boot.p95_s] == pytest.approx([180.0, 600.0])
    assert [start.median_s, start.p95_s] == pytest.approx([25.0, 90.0])


def test_a_boot_teaches_nothing_of_starts_nor_a_start_of_boots() -> None:
    assert start_time(_after(_booted(1_000.0))) == start_time(ScalerState())
    assert boot_time(_after(_started(1_000.0))) == boot_time(ScalerState())


def test_a_few_boots_of_a_small_image_are_believed() -> None:
    assert boot_time(_after(*[_booted(30.0)] * 12)).median_s == pytest.approx(30.0 * 6 ** (4 / 16))


def test_a_new_image_outweighs_a_long_past() -> None:
    state = _after(*[_booted(30.0)] * 500, *[_booted(300.0)] * 60)

    assert boot_time(state).median_s == pytest.approx(217.0, rel=0.02)


def test_times_that_scatter_less_than_was_expected_narrow_the_expectation() -> None:
    seen = start_time(_after(*[_started(25.0)] * 20))

    assert seen.p95_s < 50.0


@given(st.lists(took, max_size=60))
def test_times_are_positive_finite_and_in_order(times_s: list[float]) -> None:
    expected = start_time(_after(*(_started(took_s) for took_s in times_s)))

    assert 0 < expected.median_s <= expected.mean_s <= LEAD_S_MAX
    assert expected.median_s <= expected.p95_s <= LEAD_S_MAX


@given(st.lists(took, min_size=1, max_size=29))
def test_the_learned_mean_is_that_of_the_logarithms(times_s: list[float]) -> None:
    learned = _after(*(_started(took_s) for took_s in times_s)).start_time

    assert learned.mean_log == pytest.approx(sum(math.log(took_s) for took_s in times_s) / len(times_s), abs=1e-6)
