"""Vast's own workers at the report function: who they are, what is kept, what they are answered."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from functions.adapters.function_url import HttpReply
from functions.core.lifecycle import WorkerState
from protocol.report import COMPLETIONS_MAX, Phase
from tests.core.builders import a_request
from tests.functions.events import an_event
from tests.functions.reporter import WORKER, Reporter, token
from tests.protocol.test_vast_report import BEACON, JUL24_LOADED, JUL24_LOADING, JUL24_UPDATE, SDK, SEP24


@pytest.fixture
def reporter() -> Reporter:
    """Return a report function whose worker boots."""
    return Reporter(WorkerState.BOOTING)


def send(reporter: Reporter, body: dict[str, Any], *, path: str = "/worker_status/", basic: str | None = None) -> HttpReply:
    """Send a body as one of Vast's workers does: its token in the body, or as the password in the address."""
    event = an_event(path, body)
    if basic is not None:
        event["headers"]["authorization"] = "Basic " + base64.b64encode(f"worker:{basic}".encode()).decode()
    return reporter.send(event)


def said(reporter: Reporter) -> Any:
    """Return what is kept of the worker's words."""
    return reporter.store.worker("chat", WORKER).condition


def test_a_worker_of_the_sdk_becomes_ready(reporter: Reporter) -> None:
    reply = send(reporter, SDK | {"mtoken": token()})

    assert (reply.status, reply.facts["phase"]) == (200, "ready")
    kept = said(reporter)
    assert (kept.phase, kept.perf, kept.url, kept.version) == (Phase.READY, 1882.5, "http://203.0.113.7:40123", "1.1.0")


def test_one_of_july_2024_becomes_ready_part_by_part(reporter: Reporter) -> None:
    phases = []
    for message in (JUL24_LOADING, JUL24_LOADED, JUL24_UPDATE):
        send(reporter, message | {"mtoken": token()})
        phases.append((said(reporter).phase, said(reporter).url))

    assert phases == [(Phase.LOADING, ""), (Phase.READY, ""), (Phase.READY, "http://203.0.113.9:40125")]


def test_one_of_september_2024_is_known_by_the_password_in_its_address(reporter: Reporter) -> None:
    assert send(reporter, SEP24, basic=token()).status == 200
    assert said(reporter).phase is Phase.READY


@pytest.mark.parametrize("basic", [None, "", "hg1.a.b.c", token(stack="other")])
def test_without_its_token_nobody_is_believed(reporter: Reporter, basic: str | None) -> None:
    reply = send(reporter, SEP24, basic=basic)

    assert (reply.status, reply.body["error"]) == (401, "invalid_worker_token")
    assert said(reporter).reported_at_s == 0


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic " + base64.b64encode(b"\xff\xfe").decode()])
def test_a_header_that_cannot_be_read_names_nobody(reporter: Reporter, header: str) -> None:
    event = an_event("/worker_status/", SEP24)
    event["headers"]["authorization"] = header

    assert reporter.send(event).status == 401


def test_a_worker_that_cannot_start_says_why(reporter: Reporter) -> None:
    send(reporter, BEACON | {"mtoken": token()})

    assert (said(reporter).phase, said(reporter).error) == (Phase.ERROR, "Failed to clone pyworker repository")


def test_a_loadtime_is_kept_when_it_is_repeated_as_nothing(reporter: Reporter) -> None:
    send(reporter, SDK | {"mtoken": token(), "version": "1.0.0"})
    send(reporter, SDK | {"mtoken": token(), "version": "1.0.0", "loadtime": 0.0})

    assert (said(reporter).loadtime_s, said(reporter).phase) == (41.5, Phase.READY)


def test_a_worker_that_has_been_restarted_is_not_ready_any_more(reporter: Reporter) -> None:
    send(reporter, SDK | {"mtoken": token()})
    send(reporter, SDK | {"mtoken": token(), "loadtime": 0.0, "max_perf": 0})

    assert said(reporter).phase is Phase.LOADING


def test_a_report_sent_twice_says_the_same(reporter: Reporter) -> None:
    send(reporter, SDK | {"mtoken": token()})
    once = said(reporter)
    send(reporter, SDK | {"mtoken": token()})

    assert said(reporter) == once


def test_a_report_is_one_write_and_no_read(reporter: Reporter) -> None:
    send(reporter, SDK | {"mtoken": token()})

    assert list(reporter.store.calls) == ["merge_condition"]


def test_a_field_that_cannot_be_is_named_and_changes_nothing(reporter: Reporter) -> None:
    reply = send(reporter, SDK | {"mtoken": token(), "url": "http://:0"})

    assert (reply.status, reply.body["field"]) == (400, "url")
    assert said(reporter).reported_at_s == 0


def test_a_worker_that_is_gone_is_told_so(reporter: Reporter) -> None:
    reporter.enter(WorkerState.DESTROYED)

    assert send(reporter, SDK | {"mtoken": token()}).status == 410


# Completions


def recorded(reporter: Reporter, *numbers: int) -> None:
    """Let requests have a record that says that the worker has them."""
    for number in numbers:
        reporter.store.put_request("chat", assigned(number), expires_at_s=0)


def assigned(number: int) -> Any:
    request = a_request(number)
    return type(request)(**{name: getattr(request, name) for name in request.__slots__} | {"worker_id": WORKER})


def left(reporter: Reporter) -> list[int]:
    return sorted(request.request_idx for request in reporter.store.requests("chat"))


@pytest.mark.parametrize(
    "body",
    [
        {"request_idxs": [1, 2], "success": True},
        {
            "requests": [
                {"request_idx": 1, "success": True, "status": "Success"},
                {"request_idx": 2, "success": True, "status": "Cancelled"},
            ]
        },
    ],
)
def test_what_it_has_served_is_forgotten(reporter: Reporter, body: dict[str, Any]) -> None:
    recorded(reporter, 1, 2, 3)

    reply = send(reporter, body | {"worker_id": 1_000_001, "mtoken": token()}, path="/delete_requests/")

    assert (reply.status, reply.body["deleted"], left(reporter)) == (200, 2, [3])


@pytest.mark.parametrize(
    "body",
    [{"request_idxs": [1], "success": False}, {"requests": [{"request_idx": 1, "success": False, "status": "Rejected"}]}],
)
def test_what_it_has_failed_is_remembered(reporter: Reporter, body: dict[str, Any]) -> None:
    recorded(reporter, 1)

    send(reporter, body | {"worker_id": 1_000_001, "mtoken": token()}, path="/delete_requests/")

    assert left(reporter) == [1]


def test_it_may_tell_of_more_at_once_than_are_acted_upon(reporter: Reporter) -> None:
    many = list(range(1, COMPLETIONS_MAX + 51))
    recorded(reporter, *many)
    body = {"worker_id": 1_000_001, "mtoken": token(), "request_idxs": many, "success": True}

    reply = send(reporter, body, path="/delete_requests/")

    assert (reply.status, reply.body["deleted"]) == (200, COMPLETIONS_MAX)
