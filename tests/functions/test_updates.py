"""Having workers replaced: who may ask for it, what is answered, and what the scaler gets to see."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointGroup
from functions.core.public_ids import autogroup_id
from functions.core.scaler_state import Edition, Rollout, ScalerState
from functions.route.answer import answer
from functions.route.updates import ASKED_AGAIN_S
from tests.core.builders import NOW_S, a_group, a_worker, an_autogroup
from tests.functions.events import an_event
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import API_KEY, OWNER, READ_KEY, UPDATE_KEY, Router, ready

AUTOGROUP = autogroup_id("chat", "a")
PATH = "/update_workers/"


@pytest.fixture
def router() -> Router:
    """Return a router of a group with two ready workers of autogroup `a`, a stopped and a leaving one, and one of `b`."""
    router = Router()
    leaving = a_worker(4, WorkerState.DESTROYING)
    router.holds(*ready(1, 2), a_worker(3, WorkerState.STOPPED), leaving, a_worker(5, autogroup="b"))
    for name in ("a", "b"):
        router.store.put_autogroup("chat", an_autogroup(name))
    return router


def send(router: Router, body: Any, *, key: str = UPDATE_KEY, path: str = PATH) -> HttpReply:
    """Send a wish."""
    request = HttpRequest.of_event(an_event(path, body, bearer=key))
    return answer(request, ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS)


def told(router: Router, **body: Any) -> Any:
    """Send a wish about autogroup `a` that must be answered."""
    reply = send(router, {"workergroup_id": AUTOGROUP, **body})
    assert reply.status == 200, reply.body
    return json.loads(reply.result(__request_id="id")["body"])


def asked(router: Router) -> dict[str, float]:
    """Return what the scaler sees."""
    records = router.store.load("chat")
    assert records is not None
    return dict(records.updates)


def remembered(router: Router, state: ScalerState) -> None:
    """Let the scaler remember something."""
    lease = router.store.acquire_lease("chat", owner=OWNER, now_s=router.clock.now_s(), duration_s=1e9)
    assert lease is not None
    router.store.put_state(lease, state)


def test_an_update_is_answered_as_vast_does_with_the_number_of_workers_to_replace(router: Router) -> None:
    reply = told(router)

    assert (reply["success"], reply["workers_to_update"], reply["cancelled"]) == (True, 3, False)


def test_the_scaler_sees_when_it_was_asked_and_is_woken(router: Router) -> None:
    told(router)

    assert (asked(router), router.waker.woken) == ({"a": NOW_S}, ["chat"])


def test_a_call_that_is_repeated_means_the_same(router: Router) -> None:
    told(router)
    router.clock.advance(ASKED_AGAIN_S - 1)
    told(router)

    assert asked(router) == {"a": NOW_S}


def test_who_asks_later_means_it_anew(router: Router) -> None:
    told(router)
    router.clock.advance(ASKED_AGAIN_S)
    told(router)

    assert asked(router) == {"a": NOW_S + ASKED_AGAIN_S}


def test_asking_again_tells_what_the_scaler_said(router: Router) -> None:
    said = ("Drain w: x.", "Update of autogroup a to version v: one worker is to prove it first.", "Update of autogroup ab to …")
    remembered(router, ScalerState(said=said))

    assert told(router)["status"] == "Update of autogroup a to version v: one worker is to prove it first."


def test_an_update_is_called_off(router: Router) -> None:
    told(router)
    reply = told(router, cancel_update=True)

    assert (reply["success"], reply["cancelled"], asked(router)) == (True, True, {})


def test_calling_off_what_nobody_asked_for_is_no_error(router: Router) -> None:
    assert told(router, cancel_update=True)["cancelled"] is True


def test_a_change_of_the_stack_file_is_called_off_there(router: Router) -> None:
    rollout = Rollout(wanted=Edition(version="2"), good=Edition(version="1"))
    remembered(router, ScalerState(rollouts={"a": rollout}))
    reply = told(router, cancel_update=True)

    assert (reply["success"], reply["cancelled"]) == (False, False)
    assert "pulumi up" in reply["error_msg"]


def test_an_autogroup_may_be_named(router: Router) -> None:
    assert send(router, {"endpoint": "chat", "autogroup": "b"}).body["workers_to_update"] == 1


@pytest.mark.parametrize("key", [API_KEY, READ_KEY])
def test_it_takes_a_key_of_its_scope(router: Router, key: str) -> None:
    reply = send(router, {"workergroup_id": AUTOGROUP}, key=key)

    assert (reply.status, reply.body["error"], asked(router)) == (403, "missing_scope", {})


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"workergroup_id": 7}, 404, "unknown_endpoint", "id"),
        ({"id": AUTOGROUP}, 400, "invalid_field", "workergroup_id"),
        ({"endpoint": "chat", "autogroup": "typo"}, 404, "unknown_endpoint", "autogroup"),
        ({"endpoint": "secret", "autogroup": "a"}, 404, "unknown_endpoint", "endpoint"),
        ({"workergroup_id": AUTOGROUP, "cancel_update": "yes"}, 400, "invalid_field", "cancel_update"),
    ],
)
def test_a_wish_that_is_refused_names_its_fault_and_changes_nothing(
    router: Router, body: Any, status: int, code: str, field: str
) -> None:
    secret: EndpointGroup = a_group(endpoint="secret")
    router.store.put_group(secret)
    reply = send(router, body)

    assert (reply.status, reply.body["error"], reply.body.get("field")) == (status, code, field)
    assert (asked(router), router.waker.woken) == ({}, [])


def test_nothing_else_begins_so(router: Router) -> None:
    assert send(router, {}, path="/update_workers/now/").status == 404
