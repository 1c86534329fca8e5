"""What is expected of a machine: measured, shrunk to its benchmark, and with how much doubt."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.expecting import BETWEEN_MACHINES_SD, Expectation, measured, with_sample, without
from functions.core.scaler_state import LearnedPerf
from tests.core.builders import NOW_S

logs = st.floats(-3, 3)


def _known(*perfs: float, dlperf: float = 100.0) -> LearnedPerf:
    known = None
    for perf in perfs:
        known = with_sample(known, perf=perf, dlperf=dlperf, now_s=NOW_S)
    assert known is not None
    return known


def _of(models: dict[str, LearnedPerf], gpu_name: str, *, dlperf: float = 100.0) -> Expectation:
    found = measured({f"a|{name}|1": known for name, known in models.items()}).of("a", gpu_name, 1, dlperf=dlperf)
    assert found is not None
    return found


def test_before_any_measurement_nothing_is_expected() -> None:
    assert measured({}).of("a", "RTX 4090", 1, dlperf=100.0) is None


def test_a_model_that_was_never_measured_follows_its_benchmark_within_about_half_or_twice() -> None:
    expected = _of({"RTX 4090": _known(200.0, 200.0)}, "H100", dlperf=300.0)

    assert expected.perf == pytest.approx(600.0)
    assert math.log(1.6) < expected.model_sd < math.log(2.5)
    assert expected.samples == 0


def test_a_machine_without_a_benchmark_is_known_by_its_model_alone() -> None:
    models = {"a|RTX 4090|1": _known(200.0)}

    assert measured(models).of("a", "H100", 1, dlperf=0.0) is None
    assert _of({"RTX 4090": _known(200.0)}, "RTX 4090", dlperf=0.0).perf == pytest.approx(200.0)


def test_one_measurement_of_a_model_counts_for_nine_tenths() -> None:
    # Four other models make 1.0 of a point of the benchmark, this one 2.0; machines differ by 0.15.
    models = {f"GPU {number}": _known(86.0, 100.0, 116.0) for number in range(4)} | {"odd": _known(200.0)}
    expected = _of(models, "odd")

    assert 180.0 < expected.perf < 195.0


def test_each_measurement_leaves_less_to_be_learned() -> None:
    doubts = [_of({"RTX 4090": _known(*[100.0] * count)}, "RTX 4090").model_sd for count in (1, 2, 5, 20)]

    assert doubts == sorted(doubts, reverse=True)
    assert doubts[-1] < doubts[0] / 4


def test_machines_that_differ_widely_are_expected_to_differ_widely() -> None:
    even, uneven = _known(100.0, 101.0, 99.0, 100.0), _known(40.0, 100.0, 250.0, 100.0)

    assert _of({"m": even}, "m").machine_sd < BETWEEN_MACHINES_SD < _of({"m": uneven}, "m").machine_sd


def test_a_machine_that_claims_three_times_its_speed_moves_the_mean_of_ten_little() -> None:
    assert _known(*[100.0] * 9, 300.0).perf < 115.0


def test_a_record_of_an_earlier_version_is_understood() -> None:
    assert _of({"m": LearnedPerf(perf=80.0, samples=12, dlperf=100.0)}, "m").perf == pytest.approx(80.0)


@given(st.lists(logs, min_size=2, max_size=12))
def test_taking_one_machine_out_again_leaves_the_others(log_perfs: list[float]) -> None:
    perfs = [math.exp(one) for one in log_perfs]
    others, every = _known(*perfs[:-1]), _known(*perfs)
    left = without(every, perfs[-1])

    assert left is not None
    assert left.samples == others.samples
    assert (left.perf, left.deviations) == pytest.approx((others.perf, others.deviations), abs=1e-6)


@given(st.lists(st.tuples(logs, logs), min_size=1, max_size=6), logs)
def test_what_is_expected_is_a_number_above_zero_with_a_doubt(models: list[tuple[float, float]], log_dlperf: float) -> None:
    known = {f"m{i}": _known(math.exp(perf), dlperf=math.exp(dlperf)) for i, (perf, dlperf) in enumerate(models)}

    assert all(one.perf > 0 and one.sd > 0 for one in (_of(known, "m0"), _of(known, "other", dlperf=math.exp(log_dlperf))))
