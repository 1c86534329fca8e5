"""Vast's own workers, unmodified, in front of a model server and behind Headgate: 1.9.1 and 0.3.1."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.core.routing import backlog
from protocol.report import Phase
from tests.contract.vast_sdk.conftest import Stage
from tests.functions.router import API_KEY
from tests.waiting import until


@pytest.fixture(params=["current", "legacy"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Return a stage with the worker of either generation."""
    found: Stage = request.getfixturevalue(request.param)
    return found


def post(url: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Send JSON and return status and answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - addresses of this test
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def routed(stage: Stage, *, cost: float = 10) -> dict[str, Any]:
    """Ask for a route, which there must be."""
    body = {"endpoint": "chat", "cost": cost}
    status, reply = post(f"{stage.headgate.url}/route/", body, Authorization=f"Bearer {API_KEY}")
    assert (status, "url" in reply) == (200, True), reply
    found: dict[str, Any] = reply
    return found


def use(reply: dict[str, Any], route: str = "/generate", **payload: Any) -> tuple[int, Any]:
    """Use a route."""
    return post(reply["url"] + route, {"auth_data": reply, "payload": payload})


@pytest.mark.parametrize(("generation", "version"), [("current", "1.1.0"), ("legacy", "1.0.0")])
def test_a_worker_becomes_ready_with_a_performance_and_an_address(
    request: pytest.FixtureRequest, generation: str, version: str
) -> None:
    said = request.getfixturevalue(generation).worker().condition

    assert (said.phase, said.version, said.error) == (Phase.READY, version, "")
    assert said.perf > 0
    assert said.loadtime_s > 0
    assert said.url.startswith("http://127.0.0.1:")


def test_a_worker_serves_a_request_that_headgate_has_routed_to_it(stage: Stage) -> None:
    assert use(routed(stage), prompt="hello") == (200, {"echo": {"prompt": "hello"}})


def test_a_worker_refuses_a_route_to_another_address(stage: Stage) -> None:
    reply = routed(stage)

    status, _ = post(f"{reply['url']}/generate", {"auth_data": reply | {"url": "http://203.0.113.1:1"}, "payload": {}})

    assert status == 401


def test_a_worker_refuses_a_signature_of_ours_in_place_of_its_own(stage: Stage) -> None:
    status, _ = use(routed(stage) | {"signature": "A" * 344})

    assert status == 401


@pytest.mark.parametrize("field", ["cost", "reqnum", "request_idx"])
def test_the_generation_of_0_3_refuses_an_altered_route(legacy: Stage, field: str) -> None:
    reply = routed(legacy)

    status, _ = use(reply | {field: reply[field] + 1})

    assert status == 401


def test_the_generation_of_0_3_refuses_a_route_that_was_used(legacy: Stage) -> None:
    reply = routed(legacy)

    assert [use(reply)[0], use(reply)[0]] == [200, 401]


def test_the_present_generation_takes_a_route_again_which_docs_vast_md_warns_of(current: Stage) -> None:
    reply = routed(current)

    assert [use(reply)[0], use(reply)[0]] == [200, 200]


def test_what_was_finished_is_accounted(stage: Stage) -> None:
    before = stage.worker().condition.finished_requests

    use(routed(stage))

    until(lambda: stage.worker().condition.finished_requests > before, what="a report of the finished request")
    until(lambda: stage.worker().condition.in_flight == 0, what="a report of nothing in flight")


def test_load_in_flight_is_seen_while_it_lasts_and_gone_afterwards(stage: Stage) -> None:
    stage.upstream.held.clear()
    with ThreadPoolExecutor(max_workers=1) as pool:
        answered = pool.submit(use, routed(stage, cost=70), "/held", units=70)
        try:
            until(lambda: stage.worker().condition.in_flight_load == 70.0, what="a report of the load")
            assert backlog(stage.worker()) >= 70.0
        finally:
            stage.upstream.held.set()
        assert answered.result(timeout=20)[0] == 200

    until(lambda: stage.worker().condition.in_flight_load == 0.0, what="a report of no load")


def test_a_request_that_waited_is_forgotten_once_it_is_served(stage: Stage) -> None:
    reply = routed(stage)
    again = {"endpoint": "chat", "cost": 10, "request_idx": reply["request_idx"]}
    # Asked again by its number, the request gets a record, and this worker once nobody else is there.
    waits = post(f"{stage.headgate.url}/route/", again, Authorization=f"Bearer {API_KEY}")[1]
    assert "url" not in waits
    recorded = stage.headgate.store.requests("chat")
    assert recorded

    moved = until(lambda: asked_again(stage, waits["request_idx"]), what="a route for a request that waits")
    use(moved)

    until(lambda: not stage.headgate.store.requests("chat"), what="the end of its record")


def asked_again(stage: Stage, request_idx: int) -> dict[str, Any]:
    """Ask again for a request; empty while it waits."""
    body = {"endpoint": "chat", "cost": 10, "request_idx": request_idx}
    reply: dict[str, Any] = post(f"{stage.headgate.url}/route/", body, Authorization=f"Bearer {API_KEY}")[1]
    return reply if "url" in reply else {}
