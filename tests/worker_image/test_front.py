"""One request from the client's socket to the inference server's and back, and what the books say afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import zlib

import aiohttp
import pytest

from pyworker.backends.tgi.backend import BACKEND
from pyworker.ledger import Outcome
from tests.worker_image.process import free_port
from tests.worker_image.stand import BODY_MAX, stand
from tests.worker_image.waiting import until_async


async def test_the_servers_reply_is_passed_on() -> None:
    async with stand() as it, it.post("answer") as reply:
        assert (reply.status, await reply.json()) == (200, {"generated_text": "hello"})


async def test_the_server_sees_the_payload_and_nothing_of_the_ticket() -> None:
    async with stand() as it:
        async with it.post("answer"):
            pass

        assert it.model.payloads == [{"inputs": "hi", "do": "answer"}]


async def test_headers_of_the_reply_are_passed_on_and_cookies_are_not() -> None:
    async with stand() as it, it.post("answer") as reply:
        assert reply.headers["X-Total-Time"] == "5"
        assert "Set-Cookie" not in reply.headers


async def test_a_served_request_is_finished_in_the_books() -> None:
    async with stand() as it:
        async with it.post("answer"):
            pass

        totals = it.ledger.totals()
        assert (totals.received_load, totals.finished_load, it.outcomes) == (10, 10, [Outcome.SUCCESS])


async def test_a_stream_is_passed_on_event_by_event() -> None:
    """The first events are there while the server still holds the rest back."""
    async with stand() as it, it.post("hold:2", "/generate_stream") as reply:
        first = await reply.content.readuntil(b"\n\n")
        it.model.go.set()
        rest = await reply.content.read()

        assert b'"index":0' in first
        assert b'"index":1' in rest


async def test_a_stream_keeps_its_type() -> None:
    async with stand() as it, it.post("stream", "/generate_stream") as reply:
        assert reply.content_type == "text/event-stream"


async def test_a_reply_that_says_200_and_holds_an_error_is_a_failure() -> None:
    async with stand() as it, it.post("failure") as reply:
        assert (reply.status, it.outcomes, it.ledger.totals().failed_requests) == (200, [Outcome.ERROR], 1)


async def test_the_servers_judgement_of_a_payload_is_passed_on_and_no_failure() -> None:
    async with stand() as it, it.post("status:422") as reply:
        assert (reply.status, it.outcomes) == (422, [Outcome.SUCCESS])


@pytest.mark.parametrize("status", [424, 429, 500, 503])
async def test_the_servers_failure_is_passed_on_and_counted_as_one(status: int) -> None:
    async with stand() as it, it.post(f"status:{status}") as reply:
        assert (reply.status, it.outcomes) == (status, [Outcome.ERROR])


async def test_an_error_told_inside_a_200_is_a_failure() -> None:
    async with stand() as it:
        async with it.post("error:2", "/generate_stream") as reply:
            await reply.read()
        await until_async(lambda: it.outcomes)

        assert it.outcomes == [Outcome.ERROR]


async def test_a_stream_that_breaks_off_breaks_off_for_the_client_too() -> None:
    """A clean end would pass half a reply off as a whole one."""
    async with stand() as it, it.post("cut:2", "/generate_stream") as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def test_a_stream_that_breaks_off_is_a_failure() -> None:
    async with stand() as it:
        async with it.post("cut:2", "/generate_stream"):
            await until_async(lambda: it.outcomes)

        assert it.outcomes == [Outcome.ERROR]


async def test_a_server_that_is_not_there_is_a_bad_gateway() -> None:
    async with stand() as it:
        it.upstream.url = f"http://127.0.0.1:{free_port()}"
        async with it.post("answer") as reply:
            assert (reply.status, it.outcomes) == (502, [Outcome.ERROR])


async def test_connections_are_not_used_again_where_the_backend_says_so() -> None:
    backend = dataclasses.replace(BACKEND, keeps_connections=False)
    async with stand(backend=backend) as it:
        for _ in range(3):
            async with it.post("answer"):
                pass

        assert len(it.model.connections) == 3


async def test_a_client_that_goes_away_frees_the_slot_and_stops_the_server() -> None:
    async with stand(slots=1) as it:
        reply = await it.post("hold:1", "/generate_stream")
        await reply.content.readuntil(b"\n\n")
        reply.close()
        await until_async(lambda: it.model.abandoned and not it.slots.running, what="the slot is free")

        assert it.outcomes == [Outcome.CANCELLED]


async def test_a_client_that_goes_away_before_the_reply_frees_the_slot() -> None:
    async with stand(slots=1) as it:
        asking = asyncio.create_task(it.post("wait").__aenter__())
        await until_async(lambda: it.model.running)
        asking.cancel()
        await until_async(lambda: it.model.abandoned and not it.slots.running, what="the slot is free")

        assert (it.outcomes, it.ledger.in_flight) == ([Outcome.CANCELLED], 0)


async def test_a_client_that_goes_away_in_the_queue_leaves_it() -> None:
    async with stand(slots=1) as it:
        running = await it.post("hold:1", "/generate_stream")
        waiting = asyncio.create_task(it.post("answer").__aenter__())
        await until_async(lambda: it.slots.waiting)
        waiting.cancel()
        await until_async(lambda: not it.slots.waiting, what="nobody waits")

        assert it.outcomes == [Outcome.CANCELLED]
        running.close()


async def test_a_slow_client_holds_the_server_back() -> None:
    """Nothing gathers in the worker: with a client that does not read, the server soon cannot write on."""
    async with stand() as it, it.post("stream:400000", "/generate_stream"):
        seen: list[int] = []

        def stands_still() -> bool:
            seen.append(it.model.events)
            return len(seen) > 10 and seen[-1] == seen[-10] > 0

        await until_async(stands_still, what="the server stands still")
        assert it.model.events < 400_000


async def test_beyond_the_queue_limit_the_answer_is_429_and_when_to_come_back() -> None:
    """One slot, ten units a second, 20 units ahead, and a wait of one second allowed."""
    async with stand(slots=1, perf=10, wait_s_max=1) as it:
        running = await it.post("hold:1", "/generate_stream", parameters={"max_new_tokens": 20})
        async with it.post("answer") as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "2")
        running.close()


async def test_a_refused_request_is_finished_in_the_books() -> None:
    async with stand(slots=1, perf=10, wait_s_max=1) as it:
        running = await it.post("hold:1", "/generate_stream", parameters={"max_new_tokens": 20})
        async with it.post("answer"):
            assert (it.outcomes, it.ledger.in_flight) == ([Outcome.REJECTED], 1)
        running.close()


@pytest.mark.parametrize("change", ["drain", "fail", "disown"])
async def test_a_worker_that_does_not_serve_says_so(change: str) -> None:
    async with stand() as it:
        if change == "drain":
            it.standing.drain()
        elif change == "fail":
            it.standing.fail("out of memory")
        else:
            it.standing.disowned = True
        async with it.post("answer") as reply:
            assert (reply.status, it.outcomes) == (503, [Outcome.REJECTED])


async def test_an_unauthentic_request_does_not_learn_whether_the_worker_serves() -> None:
    async with stand() as it:
        it.standing.drain()
        async with it.session.post(it.url + "/generate", json={"inputs": "hi"}) as reply:
            assert (reply.status, (await reply.json())["error"]) == (401, "missing_ticket")


async def test_an_unauthentic_request_is_not_counted_and_not_forwarded() -> None:
    async with stand() as it:
        body = it.control_plane.body({"inputs": "hi"})
        body["auth_data"]["cost"] = 1
        async with it.session.post(it.url + "/generate", json=body) as reply:
            assert (reply.status, it.ledger.totals().received_load, it.model.payloads) == (401, 0, [])


async def test_what_is_no_json_is_a_bad_request() -> None:
    async with stand() as it, it.session.post(it.url + "/generate", data=b"{") as reply:
        assert (reply.status, (await reply.json())["error"]) == (400, "invalid_json")


async def test_a_body_beyond_the_limit_is_refused() -> None:
    async with stand() as it, it.session.post(it.url + "/generate", data=b"x" * (BODY_MAX + 1)) as reply:
        assert (reply.status, (await reply.json())["error"]) == (413, "body_too_large")


async def test_a_compressed_body_is_not_opened() -> None:
    async with stand() as it:
        data = zlib.compress(json.dumps(it.control_plane.body({"inputs": "x" * 10_000_000})).encode())
        async with it.session.post(it.url + "/generate", data=data, headers={"Content-Encoding": "deflate"}) as reply:
            assert (reply.status, (await reply.json())["error"]) == (400, "invalid_json")


@pytest.mark.parametrize(("phase", "status"), [("ready", 200), ("draining", 503)])
async def test_health_is_good_while_ready(phase: str, status: int) -> None:
    async with stand() as it:
        if phase == "draining":
            it.standing.drain()
        async with it.session.get(it.url + "/health") as reply:
            assert (reply.status, await reply.json()) == (status, {"phase": phase})


async def test_connections_to_the_server_are_used_again() -> None:
    async with stand() as it:
        for _ in range(5):
            async with it.post("answer"):
                pass

        assert len(it.model.connections) == 1
