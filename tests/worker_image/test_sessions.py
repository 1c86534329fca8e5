"""Sessions: one ticket, one worker, for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nacl.signing import SigningKey

from pyworker.ledger import Outcome
from tests.worker_image.stand import Stand, stand
from tests.worker_image.waiting import until_async


async def created(it: Stand, **payload: Any) -> tuple[dict[str, Any], str]:
    """Create a session; return its ticket and its id."""
    body = it.control_plane.body({"lifetime": 60, "on_close_route": None, "on_close_payload": None, **payload})
    async with it.session.post(it.url + "/session/create", json=body) as reply:
        assert reply.status == 201
        return body["auth_data"], (await reply.json())["session_id"]


def inside(it: Stand, auth: dict[str, Any], session_id: str, do: str = "answer", path: str = "/generate") -> Any:
    """Send a request inside a session."""
    body = {"auth_data": auth, "session_id": session_id, "payload": {"inputs": "hi", "do": do}}
    return it.session.post(it.url + path, json=body)


def about(it: Stand, what: str, auth: dict[str, Any] | None, session_id: str) -> Any:
    """Ask something about a session."""
    return it.session.post(it.url + f"/session/{what}", json={"session_id": session_id, "session_auth": auth})


async def test_a_session_is_created_with_a_ticket() -> None:
    async with stand() as it:
        body = it.control_plane.body({"lifetime": 60})
        async with it.session.post(it.url + "/session/create", json=body) as reply:
            told = await reply.json()

    assert (reply.status, sorted(told)) == (201, ["expiration", "session_id"])


async def test_a_session_is_not_created_without_one() -> None:
    async with stand() as it, it.session.post(it.url + "/session/create", json={"payload": {"lifetime": 60}}) as reply:
        assert (reply.status, (await reply.json())["error"]) == (401, "missing_ticket")


async def test_a_session_is_not_created_with_a_forged_ticket() -> None:
    async with stand() as it:
        ticket = it.control_plane.ticket()
        body = {"auth_data": ticket.wire(SigningKey.generate().sign(ticket.signed_bytes()).signature), "payload": {}}
        async with it.session.post(it.url + "/session/create", json=body) as reply:
            assert (reply.status, (await reply.json())["error"]) == (401, "bad_signature")


async def test_a_ticket_opens_one_session() -> None:
    async with stand() as it:
        auth, _ = await created(it)
        async with it.session.post(it.url + "/session/create", json={"auth_data": auth, "payload": {}}) as reply:
            assert (reply.status, (await reply.json())["error"]) == (401, "replayed_ticket")


async def test_its_load_stays_until_it_ends() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        for _ in range(2):
            async with inside(it, auth, session_id):
                pass
        during = it.ledger.totals()
        async with about(it, "end", auth, session_id):
            pass

        assert (during.received_load, during.finished_load, during.in_flight) == (10, 0, 1)
        assert (it.ledger.totals().finished_load, it.outcomes) == (10, [Outcome.SUCCESS])


async def test_a_request_inside_is_served() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        async with inside(it, auth, session_id) as reply:
            assert (reply.status, await reply.json()) == (200, {"generated_text": "hello"})


async def test_the_id_alone_opens_nothing() -> None:
    """A stranger with a good ticket of his own, and the id of somebody's session."""
    async with stand() as it:
        _, session_id = await created(it)
        own = it.control_plane.sign(it.control_plane.ticket())
        async with inside(it, own, session_id) as reply:
            assert (reply.status, it.model.payloads) == (401, [])


async def test_an_altered_ticket_is_not_the_sessions() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        async with inside(it, {**auth, "cost": 1}, session_id) as reply:
            assert (reply.status, (await reply.json())["error"]) == (401, "not_the_sessions_ticket")


async def test_a_session_that_does_not_exist_is_gone() -> None:
    async with stand() as it:
        auth, _ = await created(it)
        async with inside(it, auth, "no-such-session") as reply:
            assert (reply.status, (await reply.json())["error"]) == (410, "unknown_session")


async def test_get_tells_what_was_created() -> None:
    async with stand() as it:
        auth, session_id = await created(it, lifetime=30, on_close_route="/generate", on_close_payload={"do": "answer"})
        async with about(it, "get", auth, session_id) as reply:
            told = await reply.json()

    assert told["expiration"] - told["created_at"] == pytest.approx(30)
    assert {name: told[name] for name in ("session_id", "auth_data", "lifetime", "on_close_route", "on_close_payload")} == {
        "session_id": session_id,
        "auth_data": {name: value for name, value in auth.items() if name != "__request_id"} | {"__request_id": "a-request"},
        "lifetime": 30,
        "on_close_route": "/generate",
        "on_close_payload": {"do": "answer"},
    }


@pytest.mark.parametrize("what", ["get", "health", "end"])
async def test_strangers_learn_nothing_of_a_session(what: str) -> None:
    async with stand() as it:
        _, session_id = await created(it)
        statuses = []
        for auth in (None, it.control_plane.sign(it.control_plane.ticket())):
            async with about(it, what, auth, session_id) as reply:
                statuses.append(reply.status)

        assert statuses == [401, 401]


@pytest.mark.parametrize(("what", "status"), [("get", 400), ("end", 400), ("health", 200)])
async def test_an_unknown_session_is_told_in_the_usual_way(what: str, status: int) -> None:
    async with stand() as it, about(it, what, {}, "no-such-session") as reply:
        assert (reply.status, (await reply.json()).get("ok", False)) == (status, False)


async def test_a_body_without_an_id_names_the_field() -> None:
    async with stand() as it, about(it, "get", {}, "") as reply:
        assert (reply.status, (await reply.json())["field"]) == (422, "session_id")


async def test_health_of_an_open_session_is_good() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        async with about(it, "health", auth, session_id) as reply:
            assert await reply.json() == {"ok": True}


async def test_an_ended_session_serves_no_more() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        async with about(it, "end", auth, session_id) as reply:
            assert await reply.json() == {"ended": True, "removed_session": session_id}
        async with inside(it, auth, session_id) as reply:
            assert reply.status == 410


async def test_the_end_of_a_session_cuts_off_what_runs_in_it() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        running = asyncio.create_task(inside(it, auth, session_id, "wait").__aenter__())
        await until_async(lambda: it.model.running)
        async with about(it, "end", auth, session_id):
            pass
        await until_async(lambda: it.model.abandoned, what="the server was told to stop")
        await asyncio.wait({running})

        assert running.exception() is not None


async def test_at_its_end_the_route_that_was_asked_for_is_called() -> None:
    async with stand() as it:
        auth, session_id = await created(it, on_close_route="/generate", on_close_payload={"forget": "all"})
        async with about(it, "end", auth, session_id):
            pass
        await it.sessions.farewells()

        assert it.model.payloads == [{"session_id": session_id, "forget": "all"}]


@pytest.mark.parametrize(
    ("field", "value"),
    [("lifetime", -1), ("lifetime", "long"), ("lifetime", 1e9), ("on_close_route", "/metrics"), ("on_close_payload", [1])],
)
async def test_a_bad_field_is_named_and_its_ticket_not_left_in_flight(field: str, value: object) -> None:
    async with stand() as it:
        body = it.control_plane.body({field: value})
        async with it.session.post(it.url + "/session/create", json=body) as reply:
            assert (reply.status, (await reply.json())["field"], it.ledger.in_flight) == (422, field, 0)


async def test_beyond_the_limit_there_is_no_room() -> None:
    async with stand(sessions_max=1) as it:
        await created(it)
        async with it.session.post(it.url + "/session/create", json=it.control_plane.body({})) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "1")


async def test_a_session_that_is_not_used_expires() -> None:
    async with stand() as it:
        _, session_id = await created(it, lifetime=5)
        it.ahead_s += 6
        it.sessions.sweep()
        async with it.session.post(it.url + "/session/health", json={"session_id": session_id}) as reply:
            assert (await reply.json(), it.outcomes) == ({"ok": False}, [Outcome.CANCELLED])


async def test_every_request_inside_adds_a_lifetime() -> None:
    async with stand() as it:
        auth, session_id = await created(it, lifetime=5)
        async with inside(it, auth, session_id):
            pass
        it.ahead_s += 6
        it.sessions.sweep()
        async with about(it, "health", auth, session_id) as reply:
            assert await reply.json() == {"ok": True}


async def test_a_session_in_use_does_not_expire() -> None:
    async with stand() as it:
        auth, session_id = await created(it, lifetime=5)
        running = asyncio.create_task(inside(it, auth, session_id, "wait").__aenter__())
        await until_async(lambda: it.model.running)
        it.ahead_s += 100
        it.sessions.sweep()
        it.model.go.set()

        assert (await running).status == 200
        running.result().close()


async def test_a_drain_lets_sessions_go_on() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        it.standing.drain()
        async with inside(it, auth, session_id) as reply:
            assert reply.status == 200


async def test_a_drain_takes_no_new_session() -> None:
    async with stand() as it:
        it.standing.drain()
        async with it.session.post(it.url + "/session/create", json=it.control_plane.body({})) as reply:
            assert (reply.status, it.outcomes) == (503, [Outcome.REJECTED])


async def test_a_worker_that_closes_ends_idle_sessions_at_once_and_others_when_they_are() -> None:
    async with stand() as it:
        auth, session_id = await created(it)
        await created(it)
        running = asyncio.create_task(inside(it, auth, session_id, "wait").__aenter__())
        await until_async(lambda: it.model.running)
        it.standing.drain(closing=True)
        it.sessions.close()
        at_once = it.ledger.in_flight
        it.model.go.set()
        (await running).close()
        await until_async(lambda: not it.ledger.in_flight, what="the last session has ended")

        assert at_once == 1


async def test_the_control_planes_credential_asks_for_a_restart() -> None:
    async with stand() as it:
        statuses = []
        for header in ("", "Bearer wrong", "Bearer hg1.secret-of-the-worker"):
            async with it.session.post(it.url + "/pyworker/update", headers={"Authorization": header}) as reply:
                statuses.append(reply.status)

        assert (statuses, it.updates) == ([401, 401, 200], [True])
