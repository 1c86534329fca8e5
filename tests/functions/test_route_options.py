"""The optional parameters of a route: session, latency, replay_timeout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.affinity import Affinity
from functions.core.scaler_state import LearnedPerf, ScalerState
from functions.route.call import RouteCall
from protocol.problem import RequestRefused
from tests.core.builders import a_group, a_state, a_worker, worker_id
from tests.functions.router import Router, ready

MANY_SHARDS = 640


@pytest.fixture
def router() -> Router:
    """Return a router of a group with five ready, idle workers."""
    router = Router()
    router.holds(*ready(1, 2, 3, 4, 5))
    return router


def elsewhere(router: Router, seed: int = 2) -> Router:
    """Return another execution environment of the same router."""
    return Router(store=router.store, clock=router.clock, seed=seed)


def finished(router: Router, name: str) -> None:
    """Let a worker finish everything that it was given, and every router hear of it."""
    totals = router.store.worker("chat", name).assignments
    router.clock.advance(1.5)
    router.reports(name, finished_load=totals.assigned_load, received_load=totals.assigned_load)


# Session


def test_the_requests_of_a_session_meet_the_same_worker_at_every_router(router: Router) -> None:
    routers = [router, *(elsewhere(router, seed) for seed in range(5))]

    assert len({each.ticket(cost=1.0, session="a chat").worker_id for each in routers}) == 1


def test_sessions_are_spread_over_the_workers(router: Router) -> None:
    assert {router.ticket(cost=1.0, session=f"chat {number}").worker_id for number in range(40)} == set(map(worker_id, range(1, 6)))


def test_a_route_of_a_session_is_one_write_and_no_read(router: Router) -> None:
    router.ticket(session="a chat")
    router.store.calls.clear()
    router.ticket(session="a chat")

    assert list(router.store.calls) == ["assign"]


def test_a_session_moves_when_its_worker_would_keep_it_waiting_and_comes_back(router: Router) -> None:
    home = router.ticket(cost=1.0, session="a chat").worker_id
    router.ticket(cost=400.0, session="a chat")
    moved = router.ticket(cost=1.0, session="a chat").worker_id
    finished(router, home)

    assert moved != home
    assert router.ticket(cost=1.0, session="a chat").worker_id == home


def test_a_session_does_not_go_back_to_the_worker_that_has_just_failed_it(router: Router) -> None:
    failed = router.ticket(session="a chat")

    assert router.ticket(session="a chat", request_idx=failed.request_idx).worker_id != failed.worker_id


@pytest.fixture
def large() -> Router:
    """Return a router of a group of ten shards, with two workers in each."""
    router = Router()
    workers = [replace(a_worker(1), worker_id=f"w{shard}-{number:026d}") for shard in range(10) for number in (1, 2)]
    router.holds(*workers, group=a_group(max_workers=MANY_SHARDS))
    return router


def test_in_a_large_fleet_every_router_looks_where_the_session_is_at_home(large: Router) -> None:
    routers = [large, *(elsewhere(large, seed) for seed in range(8))]

    assert len({each.ticket(cost=1.0, session="a chat").worker_id for each in routers}) == 1


def test_in_a_large_fleet_sessions_have_their_homes_in_all_shards(large: Router) -> None:
    shards = {large.ticket(cost=1.0, session=f"chat {number}").worker_id[:2] for number in range(100)}

    assert len(shards) == 10


def test_a_session_whose_home_has_nobody_is_served_elsewhere() -> None:
    router = Router()
    group = a_group(max_workers=192)
    home = Affinity.of("a chat", max_queue_time=group.max_queue_time).home(range(3))
    workers = [replace(a_worker(1), worker_id=f"w{shard}-{1:026d}") for shard in range(3) if shard != home]
    router.holds(*workers, group=group)

    assert router.ticket(session="a chat").worker_id in {worker.worker_id for worker in workers}


# Latency


def test_a_client_that_says_how_long_its_request_takes_pays_for_that_long() -> None:
    router = Router()
    router.holds(*ready(1, 2, 3))
    for number, perf in ((1, 50.0), (2, 80.0), (3, 400.0)):
        router.reports(worker_id(number), perf=perf)

    assert router.ticket(**called(latency=2.5)).cost == 2.5 * 80.0


def test_before_anybody_serves_it_pays_by_what_was_learned() -> None:
    router = Router()
    router.holds()
    lease = router.store.acquire_lease("chat", owner="scaler", now_s=router.clock.now_s(), duration_s=1e9)
    assert lease is not None
    router.store.put_state(lease, a_state(learned={"a|RTX 4090|1": LearnedPerf(perf=60.0, samples=1)}))
    router.waits(**called(latency=2.0))

    assert [request.cost for request in router.store.requests("chat")] == [120.0]


def test_before_anything_is_known_it_pays_its_seconds() -> None:
    router = Router()
    router.holds()
    assert router.store.scaler_state("chat") == ScalerState()
    router.waits(**called(latency=2.0))

    assert [request.cost for request in router.store.requests("chat")] == [2.0]


def test_a_cost_counts_before_a_latency(router: Router) -> None:
    assert router.ticket(**called(latency=2.0, cost=7)).cost == 7


def called(**body: Any) -> dict[str, Any]:
    """Return what a body says, as arguments of a call."""
    call = RouteCall.parse({"endpoint": "chat", **body})
    return {"cost": call.cost, "latency_s": call.latency_s, "replay_timeout_s": call.replay_timeout_s, "session": call.session}


# Replay timeout


def test_a_request_waits_at_the_router_rather_than_in_a_queue_that_its_client_would_not_wait_for() -> None:
    router = Router()
    router.holds(*ready(1))
    router.ticket(cost=2_000)

    assert "url" not in router.waits(cost=10.0, replay_timeout_s=15.0).wire()
    assert router.ticket(cost=10.0, replay_timeout_s=60.0).worker_id == worker_id(1)


def test_what_a_request_said_of_its_patience_is_remembered_while_it_waits() -> None:
    router = Router()
    router.holds(*ready(1))
    router.ticket(cost=2_000)
    idx = router.waits(cost=10.0, replay_timeout_s=15.0).request_idx
    router.clock.advance(1.5)

    assert router.waits(cost=10.0, request_idx=idx).request_idx == idx


# What can be said


IMPOSSIBLE: dict[str, list[Any]] = {
    "latency": [-1, "2", True, [], 86_401, float("nan")],
    "replay_timeout": [-0.1, "60", False, {}, 1e9],
    "session": [7, True, [], "x" * 257],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in IMPOSSIBLE.items() for value in values])
def test_what_cannot_be_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestRefused) as refused:
        RouteCall.parse({"endpoint": "chat", field: value})
    assert (refused.value.problem.code, refused.value.problem.field) == ("invalid_field", field)


@pytest.mark.parametrize("nothing", [{}, {"latency": 0, "replay_timeout": 0, "session": ""}, {"latency": None, "session": None}])
def test_nothing_and_zero_say_nothing(nothing: dict[str, Any]) -> None:
    assert RouteCall.parse({"endpoint": "chat", **nothing}) == RouteCall(endpoint="chat")


def test_a_call_hides_its_session_in_its_repr() -> None:
    assert "secret" not in repr(RouteCall.parse({"endpoint": "chat", "session": "a secret"}))


def test_any_text_may_name_a_session(router: Router) -> None:
    assert [router.ticket(session=text).endpoint for text in ("\ud800", "\0", "ü" * 256)] == ["chat"] * 3
