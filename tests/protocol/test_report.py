"""What a worker says: it travels whole, and what is malformed is refused by the name of its field."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.report import (
    COMPLETIONS_MAX,
    COUNTER_MAX,
    REPORT_VERSION,
    Completions,
    MalformedReport,
    Phase,
    ReportAnswer,
    WorkerReport,
)

REPORT = WorkerReport(
    worker_id="w0-abc",
    instance_id=1_000_001,
    run_id="run-1",
    seq=7,
    phase=Phase.READY,
    url="http://203.0.113.7:40123",
    perf=123.5,
    slots=8,
    loadtime_s=41.5,
    received_load=300.0,
    finished_load=250.5,
    written_off_load=12.0,
    in_flight=3,
    finished_requests=20,
    failed_requests=1,
    error="",
    perf_flags=("slow",),
    cert_sha256="0f" * 32,
    queue_depth=2,
    cache_use=0.5,
)
texts = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=40)
amounts = st.floats(min_value=0, max_value=COUNTER_MAX)
counts = st.integers(0, COUNTER_MAX)
reports = st.builds(
    WorkerReport,
    worker_id=texts,
    instance_id=counts,
    run_id=texts,
    seq=counts,
    phase=st.sampled_from(Phase),
    url=st.one_of(st.just(""), texts),
    perf=amounts,
    slots=counts,
    loadtime_s=amounts,
    received_load=amounts,
    finished_load=amounts,
    written_off_load=amounts,
    in_flight=counts,
    finished_requests=counts,
    failed_requests=counts,
    error=st.text(st.characters(codec="utf-8"), max_size=512),
    perf_flags=st.lists(texts.map(lambda text: text[:32]), max_size=16).map(tuple),
    cert_sha256=st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(bytes.hex)),
    queue_depth=st.one_of(st.none(), counts),
    cache_use=st.one_of(st.none(), st.floats(0, 1)),
)
MAY_BE_ABSENT = ("cache_use", "cert_sha256", "queue_depth")
WIRE_NAMES = sorted(set(REPORT.wire("t")) - {"mtoken", "version", "cur_load"})


@given(reports)
def test_a_report_travels_and_comes_back(report: WorkerReport) -> None:
    assert WorkerReport.parse(json.loads(json.dumps(report.wire("t")))) == report


def test_every_field_travels_under_a_name_of_its_own() -> None:
    assert len(WIRE_NAMES) == len(fields(WorkerReport))


def test_a_report_carries_the_token_and_our_version() -> None:
    wire = REPORT.wire("hg1.token")

    assert (wire["mtoken"], wire["version"]) == ("hg1.token", REPORT_VERSION)


def test_what_is_in_flight_is_told_under_vasts_name() -> None:
    assert REPORT.wire("t")["cur_load"] == 49.5


@pytest.mark.parametrize("name", sorted(set(WIRE_NAMES) - set(MAY_BE_ABSENT)))
def test_a_missing_field_is_named(name: str) -> None:
    wire = REPORT.wire("t")
    del wire[name]

    with pytest.raises(MalformedReport) as raised:
        WorkerReport.parse(wire)
    assert raised.value.field == name


@pytest.mark.parametrize("name", MAY_BE_ABSENT)
def test_what_a_worker_does_not_know_may_be_absent(name: str) -> None:
    wire = REPORT.wire("t")
    del wire[name]

    assert not getattr(WorkerReport.parse(wire), name)


@pytest.mark.parametrize("name", WIRE_NAMES)
@pytest.mark.parametrize("value", [{}, object(), float("nan")])
def test_a_field_of_the_wrong_kind_is_named(name: str, value: Any) -> None:
    with pytest.raises(MalformedReport) as raised:
        WorkerReport.parse(REPORT.wire("t") | {name: value})

    assert raised.value.field == name


def test_unknown_fields_are_ignored() -> None:
    assert WorkerReport.parse(REPORT.wire("t") | {"disk_usage": 36.5}) == REPORT


def test_a_whole_number_may_come_as_a_float() -> None:
    assert WorkerReport.parse(REPORT.wire("t") | {"seq": 7.0}) == REPORT


def test_an_error_that_holds_half_a_character_is_kept_readable() -> None:
    assert WorkerReport.parse(REPORT.wire("t") | {"error_msg": "CUDA \ud800 error"}).error == "CUDA ? error"


def test_an_answer_tells_the_time_the_interval_and_whether_to_drain() -> None:
    assert ReportAnswer(now_s=5.0, drain=True).wire() == {"ok": True, "now_s": 5.0, "report_interval_s": 2.0, "drain": True}


@pytest.mark.parametrize(
    ("wire", "served"),
    [
        ({"request_idxs": [1, 2], "success": True}, (1, 2)),
        ({"request_idxs": [1, 2]}, (1, 2)),
        ({"request_idxs": [1, 2], "success": False}, ()),
        ({"requests": [{"request_idx": 1, "success": True}, {"request_idx": 2, "success": False}]}, (1,)),
        ({"requests": [{"request_idx": 1, "status": "Success"}]}, (1,)),
        ({"requests": []}, ()),
    ],
)
def test_completions_are_the_requests_that_were_served(wire: dict[str, Any], served: tuple[int, ...]) -> None:
    assert Completions.parse(wire).request_idxs == served


def test_completions_come_in_limited_numbers() -> None:
    with pytest.raises(MalformedReport, match=f"at most {COMPLETIONS_MAX}"):
        Completions.parse({"request_idxs": list(range(1, COMPLETIONS_MAX + 2))})


@pytest.mark.parametrize("idx", [0, -1, 2**53, True, "1", 1.0, None])
def test_a_completion_needs_a_number_that_can_be_one(idx: Any) -> None:
    with pytest.raises(MalformedReport):
        Completions.parse({"request_idxs": [idx]})
