"""A speed and its interval, and what was odd: on made-up machines whose truth is known."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from pyworker.estimate import flags, speed

BIN_S = 0.5


def steady(*, bins: int = 40, noise: float = 0.05, seed: int = 1, rate: float = 100.0) -> list[float]:
    rng = random.Random(seed)
    return [rate * BIN_S * rng.gauss(1, noise) for _ in range(bins)]


def found(bins: list[float], *, gap_max_s: float = 0.1, step_s: float = 0.02, error_ratio: float = 0.0) -> tuple[str, ...]:
    return flags(bins, bin_s=BIN_S, gap_max_s=gap_max_s, step_s=step_s, error_ratio=error_ratio)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        measured = speed(steady(seed=seed), bin_s=BIN_S)
        covered += abs(measured.mean - 100) <= measured.half_width

    assert covered >= 180


def test_correlated_bins_widen_the_interval() -> None:
    """Runs of eight like bins are ten observations, not eighty, as a plain standard error would have it."""
    bins = [value for value in steady(bins=10) for _ in range(8)]
    plain = 1.99 * statistics.stdev(bins) / BIN_S / math.sqrt(len(bins))

    assert speed(bins, bin_s=BIN_S).half_width > 1.5 * plain


def test_a_steady_machine_is_precise_and_has_no_flag() -> None:
    assert found(steady()) == ()


@pytest.mark.parametrize("bins", [[], [50.0], [50.0, 50.0]])
def test_too_few_bins_have_no_interval(bins: list[float]) -> None:
    assert speed(bins, bin_s=BIN_S).half_width == math.inf


def test_no_work_at_all_is_no_speed_and_not_precise() -> None:
    measured = speed([0.0] * 40, bin_s=BIN_S)

    assert (measured.mean, measured.precise) == (0, False)


def test_a_machine_that_slows_down_is_throttling() -> None:
    assert "throttling" in found([value * (1 - 0.4 * index / 40) for index, value in enumerate(steady())])


def test_one_slow_moment_is_not_throttling() -> None:
    bins = steady()
    bins[20] = bins[21] = 5.0

    assert "throttling" not in found(bins)


def test_a_machine_that_speeds_up_is_not_throttling() -> None:
    assert "throttling" not in found([value * (1 + 0.4 * index / 40) for index, value in enumerate(steady())])


def test_seconds_without_work_are_stalls() -> None:
    bins = steady()
    for start in (8, 20, 32):
        bins[start : start + 4] = [0.0] * 4

    assert "stalls" in found(bins)


def test_one_long_silence_is_a_stall() -> None:
    assert "stalls" in found(steady(), gap_max_s=1.5)


def test_a_silence_that_is_usual_for_the_server_is_none() -> None:
    assert "stalls" not in found(steady(), gap_max_s=1.5, step_s=0.2)


def test_failed_trials_are_told() -> None:
    assert "errors" in found(steady(), error_ratio=0.02)


def test_a_wild_machine_is_imprecise() -> None:
    assert "imprecise" in found(steady(noise=0.6))
