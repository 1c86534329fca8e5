"""What people, the command line and the SDK read of a stack."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, Blacklist, Worker
from functions.core.public_ids import autogroup_id, endpoint_id
from functions.core.record import DecisionRecord
from functions.core.scaler_state import Avoided
from functions.route.answer import answer
from functions.route.vast_rows import status_of, worker_row
from protocol.report import Phase
from tests.core.builders import NOW_S, a_condition, a_group, a_state, a_worker, an_autogroup, worker_id
from tests.functions.events import an_event
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import API_KEY, EXPIRED_KEY, READ_KEY, Router, a_key, ready

CHAT = endpoint_id("chat")
AUTOGROUP = autogroup_id("chat", "a")
# What the SDK reads of a worker, each through `float()` or `int()`.
LOADS = ("cur_load", "new_load", "cur_load_rolling_avg", "cur_perf", "perf", "measured_perf", "dlperf", "reliability")
NUMBERS = ("id", *LOADS, "reqs_working", "disk_usage", "loaded_at", "started_at")


@pytest.fixture
def router() -> Router:
    """Return a router of a group with two ready workers of autogroup `a` and a booting one of `b`."""
    router = Router()
    router.holds(*ready(1, 2), replace(a_worker(3, WorkerState.BOOTING, autogroup="b")))
    for name in ("a", "b"):
        router.store.put_autogroup("chat", an_autogroup(name, search_params="num_gpus=1", env={"MODEL_ID": "m"}))
    return router


def send(router: Router, event: dict[str, Any]) -> HttpReply:
    """Send an event."""
    return answer(HttpRequest.of_event(event), ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS)


def ask(router: Router, path: str, body: Any, *, key: str | None = READ_KEY) -> Any:
    """Ask for something that must be answered."""
    reply = send(router, an_event(path, body, bearer=key))
    assert reply.status == 200, reply.body
    return json.loads(reply.result(__request_id="id")["body"])


def get(router: Router, path: str, *, key: str = API_KEY) -> Any:
    """Get something that must be answered."""
    reply = send(router, an_event(path, method="GET", bearer=key))
    assert reply.status == 200, reply.body
    return json.loads(reply.result()["body"])


def decided(router: Router, *sentences: str, at_s: float = NOW_S, **record: Any) -> None:
    """Store a decision."""
    lease = router.store.acquire_lease("chat", owner="scaler", now_s=NOW_S, duration_s=1e9)
    assert lease is not None
    made = {"actions": (), "facts": {}, "snapshot": {}} | record
    router.store.put_decision(
        lease, DecisionRecord(endpoint="chat", decided_at_s=at_s, epoch=1, sentences=sentences, **made), expires_at_s=0.0
    )


# Machines


def test_machines_that_are_avoided_are_told_with_reason_and_end_and_what_the_owner_says(router: Router) -> None:
    blacklist = Blacklist(machines=(7,), hosts=(5,), allow=(1002,))
    router.store.put_group(a_group(blacklist=blacklist))
    slow = Avoided(machine_id=1001, until_s=NOW_S + 60, since_s=NOW_S, reason="slow", host_id=3, worker_id="w0-1", fault="slow")
    failed, over = (Avoided(machine_id=number, until_s=NOW_S + left, reason="failed") for number, left in ((1002, 60), (1003, -1)))
    lease = router.store.acquire_lease("chat", owner="scaler", now_s=NOW_S, duration_s=1e9)
    assert lease is not None
    router.store.put_state(lease, a_state(avoided=(slow, failed, over)))
    rows = ask(router, "/get_endpoint_machines/", {"endpoint": "chat"})

    assert [(row["machine_id"], row["host_id"], row["status"]) for row in rows] == [
        (1001, 3, "avoided"),
        (1002, 0, "allowed"),
        (7, 0, "blacklisted"),
        (0, 5, "blacklisted"),
    ]
    assert (rows[0]["reason"], rows[0]["until"], rows[0]["worker_id"]) == ("slow", NOW_S + 60, "w0-1")
    assert not any(value is None for row in rows for value in row.values())


# Endpoints and autogroups


def test_a_client_finds_its_endpoints_with_a_key_that_may_only_route(router: Router) -> None:
    told = get(router, "/api/v0/endptjobs/")

    assert told["success"] is True
    assert [(row["id"], row["endpoint_name"]) for row in told["results"]] == [(CHAT, "chat")]


def test_an_endpoint_has_every_field_that_the_sdk_takes_without_default(router: Router) -> None:
    [row] = get(router, "/api/v0/endptjobs/")["results"]

    assert {"id", "endpoint_name", "api_key", "user_id", "created_at"} <= row.keys()
    assert (row["max_workers"], row["target_util"], row["endpoint_state"]) == (10, 1.0, "active")


def test_the_key_in_an_endpoint_is_the_callers_own(router: Router) -> None:
    assert [get(router, "/api/v0/endptjobs/", key=key)["results"][0]["api_key"] for key in (API_KEY, READ_KEY)] == [
        API_KEY,
        READ_KEY,
    ]


def test_one_endpoint_is_found_by_its_id(router: Router) -> None:
    assert get(router, f"/api/v0/endptjobs/{CHAT}/")["result"]["endpoint_name"] == "chat"


def test_a_key_sees_the_groups_that_it_opens_alone(router: Router) -> None:
    router.store.put_group(a_group(endpoint="secret"))

    assert len(get(router, "/api/v0/endptjobs/")["results"]) == 1
    assert send(router, an_event(f"/api/v0/endptjobs/{endpoint_id('secret')}/", method="GET", bearer=API_KEY)).status == 404


@pytest.mark.parametrize("path", ["/api/v0/autojobs/", "/api/v0/workergroups/"])
def test_autogroups_name_their_endpoint(router: Router, path: str) -> None:
    rows = get(router, path)["results"]

    assert [(row["id"], row["name"], row["endpoint_id"]) for row in rows] == [
        (AUTOGROUP, "a", CHAT),
        (autogroup_id("chat", "b"), "b", CHAT),
    ]


def test_one_autogroup_is_found_by_its_id(router: Router) -> None:
    assert get(router, f"/api/v0/autojobs/{AUTOGROUP}/")["result"]["search_params"] == "num_gpus=1"


def test_the_environment_of_an_autogroup_is_not_told(router: Router) -> None:
    assert "MODEL_ID" not in json.dumps(get(router, "/api/v0/autojobs/"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/api/v0/endptjobs/", f"/api/v0/endptjobs/{CHAT}/", "/api/v0/autojobs/", "/api/v0/workergroups/7/"]
)
def test_what_is_configuration_is_changed_in_the_stack_file(router: Router, path: str, method: str) -> None:
    reply = send(router, an_event(path, {"endpoint_name": "new"}, method=method, bearer=API_KEY))

    assert (reply.status, reply.body["success"], reply.body["error"]) == (405, False, "wrong_method")
    assert "pulumi up" in reply.body["msg"]


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("", 401, "missing_api_key"), ("guess", 401, "invalid_api_key"), (EXPIRED_KEY, 401, "expired_api_key")],
)
def test_configuration_is_told_to_valid_keys_alone(router: Router, key: str, status: int, code: str) -> None:
    reply = send(router, an_event("/api/v0/endptjobs/", method="GET", bearer=key))

    assert (reply.status, reply.body["error"], reply.body["success"]) == (status, code, False)


# Workers


def test_workers_come_as_a_bare_list_whose_numbers_are_numbers(router: Router) -> None:
    rows = ask(router, "/get_endpoint_workers/", {"id": CHAT})

    assert [row["id"] for row in rows] == [1, 2, 3]
    assert all(type(row[name]) in {int, float} for row in rows for name in NUMBERS)
    assert all(type(row["status"]) is str and type(row["gpu_name"]) is str for row in rows)


def test_a_worker_whose_rent_is_not_confirmed_has_the_id_zero() -> None:
    assert worker_row(a_worker(1, WorkerState.RENTING), now_s=NOW_S)["id"] == 0


def test_workers_are_asked_for_by_the_name_of_their_group_too(router: Router) -> None:
    assert len(ask(router, "/get_endpoint_workers/", {"endpoint": "chat"})) == 3


@pytest.mark.parametrize("path", ["/get_autogroup_workers/", "/get_workergroup_workers"])
@pytest.mark.parametrize("body", [{"id": AUTOGROUP}, {"endpoint": "chat", "autogroup": "a"}])
def test_workers_of_one_autogroup(router: Router, path: str, body: Any) -> None:
    assert [row["worker_id"] for row in ask(router, path, body)] == [worker_id(1), worker_id(2)]


def test_workers_of_every_shard_are_listed() -> None:
    router = Router()
    workers = [replace(a_worker(1), worker_id=f"w{shard}-{1:026d}") for shard in range(10)]
    router.holds(*workers, group=a_group(max_workers=640))

    assert len(ask(router, "/get_endpoint_workers/", {"id": CHAT})) == 10


def test_the_key_may_stand_in_the_body(router: Router) -> None:
    assert len(ask(router, "/get_endpoint_workers/", {"id": CHAT, "api_key": READ_KEY}, key=None)) == 3


def test_the_load_of_a_worker_is_what_it_was_given_and_has_not_finished() -> None:
    said = a_condition(received_load=80.0, finished_load=50.0, in_flight=2, reported_at_s=NOW_S)
    given = Assignments(assigned_load=100.0, ticket_expires_at_s=NOW_S + 60)
    row = worker_row(replace(a_worker(1), condition=said, assignments=given), now_s=NOW_S)

    assert (row["cur_load"], row["new_load"], row["reqs_working"], row["measured_perf"]) == (50.0, 20.0, 2, 100.0)


STATUSES: list[tuple[Worker, str]] = [
    (a_worker(1, WorkerState.RENTING), "creating"),
    (a_worker(1, WorkerState.STARTING), "starting"),
    (a_worker(1, WorkerState.BOOTING), "loading"),
    (replace(a_worker(1, WorkerState.BOOTING), condition=a_condition(phase=Phase.LOADING)), "model_loading"),
    (replace(a_worker(1, WorkerState.BOOTING), condition=a_condition(phase=Phase.ERROR)), "error"),
    (replace(a_worker(1, WorkerState.BOOTING), condition=a_condition(phase=Phase.ERROR, reported_at_s=NOW_S - 900)), "loading"),
    (a_worker(1), "idle"),
    (replace(a_worker(1), condition=a_condition(phase=Phase.ERROR)), "error"),
    (replace(a_worker(1), condition=a_condition(reported_at_s=NOW_S - 60)), "error"),
    (a_worker(1, WorkerState.DRAINING, drain_to=WorkerState.STOPPING), "stopping"),
    (a_worker(1, WorkerState.DRAINING, drain_to=WorkerState.DESTROYING), "destroying"),
    (a_worker(1, WorkerState.STOPPING), "stopping"),
    (a_worker(1, WorkerState.STOPPED), "stopped"),
    (a_worker(1, WorkerState.DESTROYING), "destroying"),
    (a_worker(1, WorkerState.DESTROYED), "destroyed"),
]


@pytest.mark.parametrize(("worker", "status"), STATUSES, ids=[f"{index}-{told}" for index, (_, told) in enumerate(STATUSES)])
def test_a_worker_is_told_in_the_words_of_vast(worker: Worker, status: str) -> None:
    assert status_of(worker, now_s=NOW_S) == status


# Logs


def test_a_log_has_the_four_levels_of_vast_as_text(router: Router) -> None:
    decided(router, "Hold.")

    told = ask(router, "/get_endpoint_logs/", {"id": CHAT})

    assert {level: type(told[level]) for level in ("info0", "info1", "trace", "debug")} == dict.fromkeys(
        ("info0", "info1", "trace", "debug"), str
    )


def test_what_was_done_and_what_was_said_are_two_levels(router: Router) -> None:
    decided(router, "Drain w: no need.", "All is well.", actions=({"kind": "Drain", "worker_id": "w"},), facts={"waiting": 2.0})

    told = ask(router, "/get_endpoint_logs/", {"endpoint": "chat"})

    assert told["info0"] == "2030-03-17T17:46:40Z Drain w: no need."
    assert told["info1"].splitlines() == ["2030-03-17T17:46:40Z Drain w: no need.", "2030-03-17T17:46:40Z All is well."]
    assert told["trace"] == "2030-03-17T17:46:40Z waiting=2"
    assert told["debug"] == '2030-03-17T17:46:40Z {"kind": "Drain", "worker_id": "w"}'


def test_the_last_lines_are_told_the_newest_last(router: Router) -> None:
    for number in range(4):
        decided(router, f"Sentence {number}.", at_s=NOW_S + number)

    told = ask(router, "/get_endpoint_logs/", {"id": CHAT, "tail": 2})

    assert [line[-2] for line in told["info1"].splitlines()] == ["2", "3"]


@pytest.mark.parametrize("path", ["/get_autogroup_logs/", "/get_workergroup_logs/"])
def test_the_log_of_an_autogroup_holds_what_concerns_it(router: Router, path: str) -> None:
    workers = [{"worker_id": "w1", "rental": {"autogroup": "a"}}, {"worker_id": "w2", "rental": {"autogroup": "b"}}]
    decided(
        router,
        *(
            "Drain w1: no need.",
            "Drain w2: no need.",
            "Rent 1x X of a.",
            "Autogroup b: no machine on offer matches.",
            "Autogroup a-b: x.",
        ),
        actions=({"worker_id": "w1"}, {"worker_id": "w2"}, {"worker_id": "w3", "autogroup": "a"}),
        snapshot={"workers": workers},
    )

    told = ask(router, path, {"id": AUTOGROUP})

    assert [line.partition(" ")[2] for line in told["info1"].splitlines()] == ["Drain w1: no need.", "Rent 1x X of a."]


# Refused


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("/get_endpoint_workers/", {"id": 7}, 404, "unknown_endpoint", "id"),
        ("/get_endpoint_workers/", {"id": endpoint_id("secret")}, 404, "unknown_endpoint", "id"),
        ("/get_endpoint_workers/", {"endpoint": "secret"}, 404, "unknown_endpoint", "endpoint"),
        ("/get_endpoint_workers/", {}, 400, "invalid_field", "id"),
        ("/get_endpoint_workers/", {"id": "7"}, 400, "invalid_field", "id"),
        ("/get_endpoint_workers/", {"id": True}, 400, "invalid_field", "id"),
        ("/get_endpoint_workers/", {"id": 2**40}, 400, "invalid_field", "id"),
        ("/get_autogroup_workers/", {"id": 7}, 404, "unknown_endpoint", "id"),
        ("/get_autogroup_workers/", {"endpoint": "secret", "autogroup": "a"}, 404, "unknown_endpoint", "endpoint"),
        ("/get_endpoint_logs/", {"id": CHAT, "tail": 0}, 400, "invalid_field", "tail"),
        ("/get_endpoint_logs/", {"id": CHAT, "tail": 10**9}, 400, "invalid_field", "tail"),
        ("/get_endpoint_logs/", {"id": CHAT, "tail": None}, 400, "invalid_field", "tail"),
        ("/get_nothing/", {}, 404, "unknown_path", None),
        ("/api/v0/instances/", {}, 404, "unknown_path", None),
    ],
)
def test_a_read_that_is_refused_names_its_fault(
    router: Router, path: str, body: Any, status: int, code: str, field: str | None
) -> None:
    router.store.put_group(a_group(endpoint="secret"))
    reply = send(router, an_event(path, body, bearer=READ_KEY))

    assert (reply.status, reply.body["error"], reply.body.get("field")) == (status, code, field)


@pytest.mark.parametrize(
    "path",
    ["/get_endpoint_machines/", "/get_endpoint_workers/", "/get_autogroup_workers/", "/get_endpoint_logs/", "/get_autogroup_logs/"],
)
def test_what_is_going_on_is_told_to_keys_that_may_read(router: Router, path: str) -> None:
    reply = send(router, an_event(path, {"id": CHAT}, bearer=API_KEY))

    assert (reply.status, reply.body["error"]) == (403, "missing_scope")
    assert "`read`" in reply.body["error_msg"]


def test_two_groups_of_one_id_have_to_be_asked_for_by_name(router: Router) -> None:
    first, second = "g66334", "g90717"
    assert endpoint_id(first) == endpoint_id(second)
    for name in (first, second):
        router.store.put_group(a_group(endpoint=name))
    router.store.put_key(a_key("both", endpoints=frozenset({first, second})))

    reply = send(router, an_event(f"/api/v0/endptjobs/{endpoint_id(first)}/", method="GET", bearer="both"))

    assert (reply.status, reply.body["remedy"]) == (400, "ask by name")


def test_reads_write_nothing(router: Router) -> None:
    router.store.calls.clear()
    ask(router, "/get_endpoint_workers/", {"id": CHAT})
    ask(router, "/get_endpoint_logs/", {"id": CHAT})
    ask(router, "/get_autogroup_workers/", {"id": AUTOGROUP})

    assert set(router.store.calls) <= {"api_key", "group", "autogroups", "workers", "recent_decisions"}
    assert router.waker.woken == []
