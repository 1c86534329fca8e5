"""From the application's client to the worker, over TLS that no authority vouches for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from client import Client, DeadlineExceeded, PollSchedule, SessionOver
from pyworker.certificate import make_certificate
from pyworker.listener import listen
from tests.worker_image.stand import Stand, stand

QUICK = PollSchedule(first_s=0.01, shortest_s=0.001, longest_s=0.05)
PAYLOAD = {"inputs": "hi", "do": "answer"}


@asynccontextmanager
async def routed(it: Stand, **ticket: Any) -> AsyncIterator[Client]:
    """A client whose route function assigns every request to the worker; `ticket` changes what it signs."""

    async def route(_request: web.Request) -> web.Response:
        fields = {"url": it.url, "cert_sha256": it.cert_sha256, **ticket}
        return web.json_response(it.control_plane.sign(it.control_plane.ticket(**fields)))

    app = web.Application()
    app.router.add_post("/route/", route)
    runner = await listen(app, host="127.0.0.1", port=0)
    with Client("http://{}:{}".format(*runner.addresses[0][:2]), "key", deadline_s=5, schedule=QUICK) as client:
        yield client
    await runner.cleanup()


async def test_a_request_travels_over_tls_pinned_to_the_tickets_certificate() -> None:
    async with stand() as it, routed(it) as client:
        reply = await asyncio.to_thread(client.request, "words", "/generate", PAYLOAD)

        assert (reply.json(), it.schemes) == ({"generated_text": "hello"}, ["https"])


async def test_a_worker_with_another_certificate_gets_no_byte_of_the_request() -> None:
    async with stand() as it, routed(it, cert_sha256=make_certificate().sha256) as client:
        with pytest.raises(DeadlineExceeded, match="SSLError"):
            await asyncio.to_thread(client.request, "words", "/generate", PAYLOAD, deadline_s=0.3)

        assert (it.schemes, it.model.payloads) == ([], [])


async def test_a_worker_that_restarted_with_a_new_certificate_is_reached_by_its_next_ticket() -> None:
    """The session of the client holds a connection pool for the old one."""
    async with stand() as it:
        async with routed(it, cert_sha256=make_certificate().sha256) as client:
            with pytest.raises(DeadlineExceeded):
                await asyncio.to_thread(client.request, "words", "/generate", PAYLOAD, deadline_s=0.2)
        async with routed(it) as client:
            reply = await asyncio.to_thread(client.request, "words", "/generate", PAYLOAD)

        assert reply.status == 200


async def test_a_worker_without_a_certificate_is_reached_in_plain_http() -> None:
    async with stand() as it, routed(it, cert_sha256="") as client:
        await asyncio.to_thread(client.request, "words", "/generate", PAYLOAD)

        assert it.schemes == ["http"]


async def test_a_stream_travels_over_tls() -> None:
    async with stand() as it, routed(it) as client:
        events = await asyncio.to_thread(
            lambda: list(client.stream("words", "/generate_stream", {"inputs": "hi", "do": "stream:50"}))
        )

        assert (len(events), it.schemes) == (50, ["https"])


async def test_a_client_keeps_a_session() -> None:
    def use(client: Client) -> tuple[bytes, int]:
        with client.session("words", cost=5, lifetime_s=30) as session:
            body = session.request("/generate", PAYLOAD)
            return body, len(list(session.stream("/generate_stream", {"inputs": "hi", "do": "stream:7"})))

    async with stand() as it, routed(it) as client:
        body, events = await asyncio.to_thread(use, client)

        assert (body, events) == (b'{"generated_text": "hello"}', 7)
        assert (it.ledger.in_flight, it.ledger.totals().finished_requests) == (0, 1)


async def test_a_session_that_is_over_says_so() -> None:
    def use(client: Client) -> None:
        session = client.session("words")
        session.close()
        session.request("/generate", PAYLOAD)

    async with stand() as it, routed(it) as client:
        with pytest.raises(SessionOver, match="410"):
            await asyncio.to_thread(use, client)
