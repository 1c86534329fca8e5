"""What Vast's workers of every generation send, and what of it is taken over."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.report import MalformedReport, Phase
from protocol.vast_report import NOTHING_MEASURED, VastReport, is_ours

# The messages as the workers send them, seen on the wire.
SDK: dict[str, Any] = {
    "id": 1_000_001,
    "mtoken": "t",
    "version": "1.1.0",
    "loadtime": 41.5,
    "cur_load": 320,
    "rej_load": 0,
    "new_load": 120,
    "error_msg": "",
    "max_perf": 1882.5,
    "cur_perf": 64,
    "cur_capacity": 0,
    "max_capacity": 0,
    "num_requests_working": 3,
    "num_requests_recieved": 20,
    "additional_disk_usage": 0.0018,
    "disk_usage": 36.57,
    "working_request_idxs": [4, 5, 6],
    "url": "http://203.0.113.7:40123",
}
SEP24: dict[str, Any] = {
    "id": 2_000_001,
    "loadtime": 6.98,
    "cur_load": 12.5,
    "error_msg": "",
    "max_perf": 50.0,
    "cur_perf": 7.5,
    "cur_capacity": 0,
    "max_capacity": 0,
    "num_requests_working": 2,
    "num_requests_recieved": 9,
    "additional_disk_usage": 3.8e-06,
    "url": "http://203.0.113.8:40124",
}
JUL24_LOADING = {"id": 3, "mtoken": "t", "message": "loading update", "disk_usage": 38.4, "additional_disk_usage": 0.0}
JUL24_CAPACITY = {"id": "3", "mtoken": "t", "max_batch_prefill_tokens": 4096, "max_batch_tokens": 16000, "max_capacity": 16000}
JUL24_LOADED = {
    "id": "3",
    "mtoken": "t",
    "loaded": True,
    "loadtime": 4.594,
    "cur_perf": 0.0,
    "max_perf": 438.75,
    "avg_latency": 0.1,
}
JUL24_UPDATE: dict[str, Any] = {
    "id": 3,
    "mtoken": "t",
    "message": "data update",
    "num_requests_working": 2,
    "overloaded": False,
    "num_requests_recieved": 5,
    "cur_perf": 0.0,
    "error": False,
    "loadtime": 4.594,
    "max_perf": 438.75,
    "url": "http://203.0.113.9:40125",
    "cur_capacity": 900.0,
    "max_capacity": 16000,
    "curr_tokens_per_second": 0.0,
    "cur_load": 450.0,
}
BEACON = {"id": 0, "mtoken": "t", "version": "0", "error_msg": "Failed to clone pyworker repository", "url": ""}
EVERY = (SDK, SEP24, JUL24_LOADING, JUL24_CAPACITY, JUL24_LOADED, JUL24_UPDATE, BEACON)


def said(message: dict[str, Any], **changes: Any) -> VastReport:
    return VastReport.parse(message | changes)


def test_a_message_of_the_sdk_says_everything() -> None:
    assert said(SDK) == VastReport(
        version="1.1.0",
        phase=Phase.READY,
        url="http://203.0.113.7:40123",
        perf=1882.5,
        loadtime_s=41.5,
        in_flight=3,
        in_flight_load=320.0,
        finished_requests=17,
        error="",
    )


def test_one_of_september_2024_tells_requests_in_flight_and_no_load() -> None:
    report = said(SEP24)

    assert (report.version, report.phase, report.in_flight, report.in_flight_load) == ("", Phase.READY, 2, None)


def test_one_of_july_2024_calls_the_load_in_flight_its_capacity() -> None:
    report = said(JUL24_UPDATE)

    assert (report.version, report.phase, report.in_flight, report.in_flight_load) == ("", Phase.READY, 2, 900.0)


def test_a_part_leaves_unsaid_what_it_does_not_say() -> None:
    assert said(JUL24_CAPACITY) == VastReport(version="")


@pytest.mark.parametrize(
    ("message", "phase"),
    [
        (SDK | {"loadtime": 0.0, "max_perf": 0}, Phase.LOADING),
        (SDK | {"loadtime": 0.0}, Phase.READY),  # 0.3.1 says its loadtime once
        (SDK | {"error_msg": "Healthcheck failed with status: 503"}, Phase.ERROR),
        (SDK | {"max_perf": 0}, Phase.ERROR),  # "No successful responses from benchmark", and loads all the same
        (JUL24_LOADING, Phase.LOADING),
        (JUL24_LOADED, Phase.READY),
        (JUL24_UPDATE | {"error": True}, Phase.ERROR),
        ({"id": "3", "mtoken": "t", "error_msg": "CUDA out of memory"}, Phase.ERROR),
        (BEACON, Phase.ERROR),
        ({"id": "3", "mtoken": "t", "cur_load": 3.0, "num_requests_recieved": 2}, None),
    ],
)
def test_where_the_start_up_stands(message: dict[str, Any], phase: Phase | None) -> None:
    assert said(message).phase is phase


def test_a_worker_that_is_loaded_and_measured_nothing_says_so() -> None:
    assert said(SDK, max_perf=0).error == NOTHING_MEASURED


def test_a_loadtime_that_is_said_once_is_not_taken_back() -> None:
    assert said(SDK, loadtime=0.0).loadtime_s is None


@pytest.mark.parametrize(
    "url", ["http://203.0.113.7:40123", "https://203.0.113.7:40123", "http://[2001:db8::1]:80", "http://a.example/"]
)
def test_an_address_is_taken(url: str) -> None:
    assert said(SDK, url=url).url == url.rstrip("/")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "203.0.113.7:40123"),
        ("url", "ftp://203.0.113.7:21"),
        ("url", "http://:0"),
        ("url", "http://203.0.113.7:0"),
        ("url", "http://203.0.113.7:99999"),
        ("url", "http://user:password@203.0.113.7:1"),
        ("url", "http://203.0.113.7:1/path"),
        ("url", "http://203.0.113.7:1?q"),
        ("url", "http://" + "a" * 600),
        ("url", "http://203.0.113.7:1\n"),
        ("url", 7),
        ("version", 1.1),
        ("version", "1" * 40),
        ("max_perf", "fast"),
        ("max_perf", -1),
        ("max_perf", math.nan),
        ("max_perf", math.inf),
        ("max_perf", True),
        ("cur_load", 2**60),
        ("num_requests_working", 1.5),
        ("num_requests_recieved", -1),
        ("loadtime", "1"),
        ("error_msg", ["x"]),
    ],
)
def test_a_field_that_cannot_be_is_named(field: str, value: Any) -> None:
    with pytest.raises(MalformedReport) as raised:
        said(SDK, **{field: value})

    assert raised.value.field == field


def test_a_long_error_is_cut_and_half_a_character_replaced() -> None:
    error = said(SDK, error_msg="x" * 600 + "\ud800").error

    assert error == "x" * 512
    assert said(SDK, error_msg="\ud800").error == "?"


@given(
    st.dictionaries(st.sampled_from(sorted({key for message in EVERY for key in message})), st.none() | st.integers() | st.text())
)
def test_any_object_is_read_or_refused_by_the_name_of_a_field(message: dict[str, Any]) -> None:
    assert refused_field(message) in {None, *message}


def refused_field(message: dict[str, Any]) -> str | None:
    try:
        VastReport.parse(message)
    except MalformedReport as refused:
        return refused.field
    return None


def test_our_own_worker_names_itself_by_our_id() -> None:
    assert [is_ours(message) for message in ({"worker_id": "w0-a"}, *EVERY)] == [True] + [False] * len(EVERY)
