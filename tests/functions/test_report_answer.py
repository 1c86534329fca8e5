"""Everything that a worker, or somebody who would be one, can send to the report function."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Condition, Worker
from functions.ports import StoreUnavailable
from protocol.report import REPORT_BYTES_MAX, Phase
from tests.core.builders import NOW_S, a_request, worker_id
from tests.fakes.store import MemoryStore
from tests.functions.events import an_event
from tests.functions.reporter import PEM, PUBLIC_KEYS, WORKER, Reporter, a_report_body, token


@pytest.fixture
def reporter() -> Reporter:
    """Return a report function of a group with one ready worker."""
    return Reporter()


# Reports


@pytest.mark.parametrize("path", ["/worker_status/", "/worker_status"])
def test_a_report_becomes_the_condition_of_the_worker(reporter: Reporter, path: str) -> None:
    reporter.post(path, a_report_body())

    assert reporter.store.worker("chat", WORKER).condition == Condition(
        phase=Phase.READY,
        run_id="run-1",
        seq=7,
        reported_at_s=NOW_S,
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
    )


def test_a_report_is_one_write_and_no_read(reporter: Reporter) -> None:
    reporter.post("/worker_status/", a_report_body())

    assert list(reporter.store.calls) == ["put_condition"]


def test_a_worker_hears_the_time_and_when_to_report_next(reporter: Reporter) -> None:
    reply = reporter.post("/worker_status/", a_report_body())

    assert (reply.status, reply.body) == (200, {"ok": True, "now_s": NOW_S, "report_interval_s": 2.0, "drain": False})


@pytest.mark.parametrize("state", list(WorkerState))
def test_a_worker_hears_whether_to_stop_accepting(state: WorkerState) -> None:
    reply = Reporter(state).post("/worker_status/", a_report_body())
    leaving = {WorkerState.DRAINING, WorkerState.STOPPING, WorkerState.STOPPED, WorkerState.DESTROYING}

    assert reply.body.get("drain") == (None if state is WorkerState.DESTROYED else state in leaving)


def test_a_token_in_the_body_is_accepted(reporter: Reporter) -> None:
    assert reporter.post("/worker_status/", a_report_body(), bearer=None).status == 200


def test_a_report_that_comes_late_changes_nothing_and_is_no_error(reporter: Reporter) -> None:
    reporter.post("/worker_status/", a_report_body(seq=8))
    before = reporter.store.worker("chat", WORKER)
    reply = reporter.post("/worker_status/", a_report_body(seq=7, finished_load=1))

    assert reply.status == 200
    assert reporter.store.worker("chat", WORKER) == before


def test_even_a_late_report_is_told_to_drain(reporter: Reporter) -> None:
    reporter.post("/worker_status/", a_report_body(seq=8))
    reporter.enter(WorkerState.DRAINING)

    assert reporter.post("/worker_status/", a_report_body(seq=8)).body["drain"] is True


def test_an_error_longer_than_is_kept_is_cut(reporter: Reporter) -> None:
    reporter.post("/worker_status/", a_report_body(error_msg="e" * 10_000))

    assert reporter.store.worker("chat", WORKER).condition.error == "e" * 512


def test_a_worker_that_is_gone_is_told_so(reporter: Reporter) -> None:
    reporter.enter(WorkerState.DESTROYED)
    reply = reporter.post("/worker_status/", a_report_body())

    assert (reply.status, reply.body["error"]) == (410, "worker_gone")


def test_a_worker_that_never_was_is_as_good_as_gone(reporter: Reporter) -> None:
    stranger = worker_id(99)
    reply = reporter.post("/worker_status/", a_report_body(worker_id=stranger), bearer=token(stranger))

    assert reply.status == 410


def test_a_worker_of_the_same_name_in_another_group_is_somebody_else(reporter: Reporter) -> None:
    reply = reporter.post("/worker_status/", a_report_body(), bearer=token(endpoint="images"))

    assert reply.status == 410
    assert reporter.store.worker("chat", WORKER).condition == Condition()


# Completions


@pytest.fixture
def served(reporter: Reporter) -> Reporter:
    """Return a report function whose worker has the recorded requests 1 to 4."""
    for number in (1, 2, 3, 4):
        reporter.store.put_request("chat", replace(a_request(number), worker_id=WORKER), expires_at_s=NOW_S)
    reporter.store.calls.clear()
    return reporter


def left(reporter: Reporter) -> list[int]:
    """Return the numbers of the requests that are remembered."""
    return [request.request_idx for request in reporter.store.requests("chat")]


def test_served_requests_are_forgotten(served: Reporter) -> None:
    requests = [{"request_idx": number, "success": True, "status": "Success"} for number in (1, 3)]
    reply = served.post("/delete_requests/", {"worker_id": WORKER, "requests": requests})

    assert (reply.body, left(served)) == ({"ok": True, "deleted": 2}, [2, 4])


def test_the_older_form_is_understood(served: Reporter) -> None:
    reply = served.post("/delete_requests", {"worker_id": WORKER, "request_idxs": [1, 3], "success": True})

    assert (reply.body, left(served)) == ({"ok": True, "deleted": 2}, [2, 4])


def test_requests_that_failed_are_remembered_because_they_will_be_back(served: Reporter) -> None:
    requests = [{"request_idx": 1, "success": False, "status": "Error"}, {"request_idx": 2, "success": True, "status": "Success"}]
    served.post("/delete_requests/", {"worker_id": WORKER, "requests": requests})
    served.post("/delete_requests/", {"worker_id": WORKER, "request_idxs": [3], "success": False})

    assert left(served) == [1, 3, 4]


# What is refused, and what that costs

CHAT, IMAGES = (f".{base64.urlsafe_b64encode(name).decode().rstrip('=')}." for name in (b"chat", b"images"))
STRANGER = token(secret=b"x" * 32)
UNAUTHORIZED = {
    "no token": an_event("/worker_status/", a_report_body(mtoken=None)),
    "an empty token": an_event("/worker_status/", a_report_body(), bearer=""),
    "a token of another secret": an_event("/worker_status/", a_report_body(), bearer=STRANGER),
    "a token of another stack": an_event("/worker_status/", a_report_body(), bearer=token(stack="other")),
    "a token made to name another group": an_event("/worker_status/", a_report_body(), bearer=token().replace(CHAT, IMAGES)),
    "a token made to name another worker": an_event(
        "/worker_status/", a_report_body(), bearer=token().replace(WORKER, worker_id(2))
    ),
    "a token cut short": an_event("/worker_status/", a_report_body(), bearer=token()[:-1]),
    "a token without end": an_event("/worker_status/", a_report_body(), bearer="x" * 10_000),
    "a wrong token in the body": an_event("/worker_status/", a_report_body(mtoken=STRANGER)),
    "a token that is no text": an_event("/worker_status/", a_report_body(mtoken=7)),
    "half a surrogate": an_event("/worker_status/", '{"mtoken": "hg1.YQ.\\ud800.x"}'),
    "a wrong header beside a right body": an_event("/worker_status/", a_report_body(), bearer=STRANGER),
    "a wrong token before a broken body": an_event("/worker_status/", "{", bearer=STRANGER),
    "completions without a token": an_event("/delete_requests/", {"worker_id": WORKER, "request_idxs": [1]}),
}
MISTYPED: dict[str, list[Any]] = {
    "id": [None, "7", 1.5, -1, True, 2**54],
    "run_id": [None, "", 7, "x" * 513, "a\u0000b", "\ud800"],
    "seq": [None, -1, 1.5, "7", 10**400],
    "phase": [None, "", "happy", 7, []],
    "url": [None, 7, "ftp://203.0.113.7", "javascript:alert(1)", "http://" + "x" * 512],
    "max_perf": [None, -1, "fast", True, 1e300],
    "slots": [None, 0.5],
    "loadtime": [None, -1],
    "received_load": [None, -0.5, [1]],
    "finished_load": [None, 2**54],
    "written_off_load": [None, "0"],
    "num_requests_working": [None, -1],
    "finished_requests": [None, 0.5],
    "failed_requests": [None, False],
    "error_msg": [None, 7],
    "perf_flags": [None, "slow", [7], ["x" * 33], ["x"] * 17],
}
BAD_COMPLETIONS: list[dict[str, Any]] = [
    {},
    {"request_idxs": 7},
    {"request_idxs": ["7"]},
    {"request_idxs": [0]},
    {"request_idxs": [2**53]},
    {"request_idxs": [True]},
    {"request_idxs": list(range(1, 102))},
    {"requests": {}},
    {"requests": [{}]},
    {"requests": [{"request_idx": None}]},
]
REFUSED: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    **{name: (event, 401, "invalid_worker_token", None) for name, event in UNAUTHORIZED.items()},
    **{
        f"{field} {value!r:.20}": (an_event("/worker_status/", a_report_body(**{field: value})), 400, "invalid_field", field)
        for field, values in MISTYPED.items()
        for value in values
    },
    **{
        f"completions {body!r:.30}": (
            an_event("/delete_requests/", {"worker_id": WORKER, **body}, bearer=token()),
            400,
            "invalid_field",
            "requests" if "requests" in body else "request_idxs",
        )
        for body in BAD_COMPLETIONS
    },
    "a report of another worker": (
        an_event("/worker_status/", a_report_body(worker_id=worker_id(2))),
        403,
        "wrong_worker",
        "worker_id",
    ),
    "completions of another": (
        an_event("/delete_requests/", {"worker_id": worker_id(2)}, bearer=token()),
        403,
        "wrong_worker",
        "worker_id",
    ),
    "a report of nobody": (an_event("/worker_status/", a_report_body(worker_id=None)), 400, "invalid_field", "worker_id"),
    "no JSON": (an_event("/worker_status/", "{", bearer=token()), 400, "invalid_json", None),
    "a large body": (an_event("/worker_status/", "x" * (REPORT_BYTES_MAX + 1), bearer=token()), 413, "body_too_large", None),
    "an unknown path": (an_event("/route/", {}, bearer=token()), 404, "unknown_path", None),
    "a wrong method": (an_event("/worker_status/", method="PUT", bearer=token()), 405, "wrong_method", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_names_its_fault(reporter: Reporter, case: str) -> None:
    event, status, code, field = REFUSED[case]
    reply = reporter.send(event)

    assert (reply.status, reply.body["error"], reply.body.get("field")) == (status, code, field)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_never_reaches_the_table(reporter: Reporter, case: str) -> None:
    reporter.send(REFUSED[case][0])

    assert list(reporter.store.calls) == []


@pytest.mark.parametrize("case", UNAUTHORIZED)
def test_a_refusal_repeats_no_token(reporter: Reporter, case: str) -> None:
    assert "hg1." not in reporter.send(UNAUTHORIZED[case]).result()["body"]


def test_a_table_that_does_not_answer_is_told_as_503(reporter: Reporter) -> None:
    class Unavailable(MemoryStore):
        def put_condition(self, endpoint: str, worker_id: str, condition: Condition) -> Worker:
            raise StoreUnavailable(f"{endpoint} {worker_id} {condition.seq}")

    reporter.ports = replace(reporter.ports, store=Unavailable())

    assert reporter.post("/worker_status/", a_report_body()).status == 503


def test_our_workers_are_served_every_key_by_its_id(reporter: Reporter) -> None:
    assert reporter.send(an_event("/pubkey/", method="GET", accept="application/json")).body == {"keys": list(PUBLIC_KEYS.keys)}


def test_other_workers_are_served_the_rsa_key_as_text(reporter: Reporter) -> None:
    assert reporter.send(an_event("/pubkey/", method="GET", accept="*/*")).result()["body"] == PEM


def test_the_facts_for_the_log_hold_neither_token_nor_url(reporter: Reporter) -> None:
    assert set(reporter.post("/worker_status/", a_report_body()).facts) == {"endpoint", "worker_id", "phase", "drain"}
