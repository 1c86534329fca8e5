"""What is handed on to a Headgate: which paths, how, and what happens when nobody is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sandbox.marketplace.api import Reply, Request
from sandbox.marketplace.forwarding import ANSWER_BYTES_MAX, Forwarder


async def _echo(request: web.BaseRequest) -> web.StreamResponse:
    """Tell what arrived; `/large` is more than anyone would say."""
    if request.path.endswith("/route/large"):
        return web.Response(body=b"x" * (ANSWER_BYTES_MAX + 1))
    told = {
        "method": request.method,
        "path": request.path_qs,
        "authorization": request.headers.get("Authorization"),
        "body": (await request.read()).decode(),
    }
    return web.json_response(told, status=418)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Return the address of a server that tells what arrived."""
    runner = web.ServerRunner(web.Server(_echo))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/_aws/lambda-url/abc/"
    await runner.cleanup()


async def _forward(url: str, request: Request) -> Reply:
    async with Forwarder(url) as forwarder:
        return await forwarder.forward(request)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/route/", True),
        ("/get_endpoint_workers", True),
        ("/update_workers/", True),
        ("/api/v0/endptjobs/", True),
        ("/api/v0/endptjobs/12/", True),
        ("/api/v0/autojobs", True),
        ("/api/v0/workergroups/3/", True),
        ("/api/v0/instances/", False),
        ("/api/v0/bundles/", False),
        ("/api/v1/instances/", False),
        ("/instance_logs/route", False),
        ("/_sim/health", False),
        ("/", False),
    ],
)
def test_everything_about_endpoints_is_handed_on_and_nothing_else(path: str, taken: bool) -> None:  # noqa: FBT001 - a column
    assert Forwarder.takes(path) is taken


async def test_a_request_arrives_as_it_came(url: str) -> None:
    request = Request(
        method="POST",
        path="/get_endpoint_logs/",
        query={"api_key": "k&v"},
        authorization="Bearer a-key",
        body=b'{"id": 5}',
    )

    reply = await _forward(url, request)

    assert (reply.status, reply.content_type) == (418, "application/json")
    assert json.loads(reply.body) == {
        "method": "POST",
        "path": "/_aws/lambda-url/abc/get_endpoint_logs/?api_key=k%26v",
        "authorization": "Bearer a-key",
        "body": '{"id": 5}',
    }


async def test_without_a_router_the_caller_is_told_so() -> None:
    reply = await _forward("http://127.0.0.1:9", Request(method="GET", path="/api/v0/endptjobs/"))

    assert reply.status == 502
    assert json.loads(reply.body)["error_msg"].startswith("no answer from the router at http://127.0.0.1:9")


async def test_an_answer_without_end_is_cut_off(url: str) -> None:
    reply = await _forward(url, Request(method="POST", path="/route/large"))

    assert reply.status == 502
