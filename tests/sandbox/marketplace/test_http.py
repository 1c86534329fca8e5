"""The wire: what the official clients depend on that only a socket can show."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from sandbox.marketplace.faults import AnswerFault, FaultOptions, Operation, Scripted, Span
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.serving import QUICK, serving
from tests.sandbox.marketplace.shop import CREATE, KEY


def _scripted(operation: Operation, fault: AnswerFault) -> WorldOptions:
    faults = FaultOptions(scripted=(Scripted(operation=operation, call=1, fault=fault),))
    return WorldOptions(market=QUICK.market, boot_speed=QUICK.boot_speed, faults=faults)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v0/bundles/"),
        ("GET", "/api/v0/bundles?q=%7B%22limit%22%3A1%7D"),
        ("PUT", "/api/v0/search/asks/"),
        ("GET", "/api/v1/instances/?limit=25&select_filters=%7B%7D"),
        ("GET", "/api/v0/instances/"),
        ("GET", "/api/v0/instances/1/?owner=me"),
        ("GET", "/api/v0/users/current"),
        ("GET", "/api/v0/gpu_names/unique/"),
        ("GET", "/_sim/health"),
    ],
)
async def test_the_content_type_is_exactly_json(method: str, path: str) -> None:
    async with serving() as caller:
        response = await caller.ask(method, path, {} if method != "GET" else None)

        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json"


async def test_an_error_is_json_too() -> None:
    async with serving() as caller:
        response = await caller.ask("DELETE", "/api/v0/instances/1/", {})

        assert (response.status, response.headers["Content-Type"]) == (404, "application/json")
        assert json.loads(await response.text())["error"] == "no_such_instance"


async def test_no_route_redirects() -> None:
    async with (
        serving() as caller,
        caller.session.get(f"{caller.server.url}/api/v0/users/current/", allow_redirects=False) as response,
    ):
        assert response.status == 200


async def test_a_rent_runs_and_ends_over_the_wire() -> None:
    async with serving() as caller:
        contract_id = await caller.rent()
        row = await caller.until_status(contract_id, "running")
        await caller.json("DELETE", f"/api/v0/instances/{contract_id}/", {})

        assert row["ports"]["3000/tcp"]
        assert await caller.row(contract_id) == {}


async def test_time_passes_without_requests() -> None:
    async with serving() as caller:
        contract_id = await caller.rent()
        await caller.until_status(contract_id, "running")

        history = (await caller.json("GET", "/_sim/contracts"))["contracts"][0]["history"]
        assert [status for _, _, status in history] == [None, "loading", "running"]


async def test_a_rate_limit_is_plain_text() -> None:
    async with serving(_scripted(Operation.SEARCH, AnswerFault.RATE_LIMITED)) as caller:
        response = await caller.ask("POST", "/api/v0/bundles/", {})

        assert (response.status, response.content_type) == (429, "text/plain")


async def test_a_dropped_answer_is_a_broken_connection_and_its_create_has_happened() -> None:
    async with serving(_scripted(Operation.CREATE, AnswerFault.DROPPED_AFTER)) as caller:
        offers = (await caller.json("POST", "/api/v0/bundles/", {"disk_space": {"gte": 20}}))["offers"]

        # A bare socket, because this test's client repeats a PUT by itself when its answer is lost, as real clients do.
        answer = await _raw_put(caller.server.url, f"/api/v0/asks/{offers[0]['id']}/", CREATE)

        assert answer == b""
        assert [row["label"] for row in (await caller.json("GET", "/api/v1/instances/"))["instances"]] == [CREATE["label"]]


async def _raw_put(url: str, path: str, body: object) -> bytes:
    """Send one PUT; return whatever comes back before the connection ends."""
    text = json.dumps(body).encode()
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(text)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", maxsplit=1)[1]))
    writer.write(head.encode() + text)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_an_answer_may_come_too_late_for_its_caller_while_its_effect_has_happened() -> None:
    late = Span(least_s=30.0, most_s=30.0)
    scripted = (Scripted(operation=Operation.CREATE, call=1, fault=AnswerFault.SLOW_ANSWER),)
    faults = FaultOptions(scripted=scripted, slow_answer=late)
    async with serving(WorldOptions(market=QUICK.market, boot_speed=QUICK.boot_speed, faults=faults)) as caller:
        offers = (await caller.json("POST", "/api/v0/bundles/", {"num_gpus": {"eq": 1}, "disk_space": {"gte": 20}}))["offers"]
        impatient = aiohttp.ClientTimeout(total=0.1)

        with pytest.raises(asyncio.TimeoutError):
            await caller.session.put(f"{caller.server.url}/api/v0/asks/{offers[0]['id']}/", json=CREATE, timeout=impatient)

        assert [row["label"] for row in (await caller.json("GET", "/api/v1/instances/"))["instances"]] == [CREATE["label"]]


@pytest.mark.parametrize("size", [300_000, 2_000_000])
async def test_a_body_that_is_too_large_is_refused_in_the_apis_shape(size: int) -> None:
    async with serving() as caller, caller.session.post(f"{caller.server.url}/api/v0/bundles/", data=b"x" * size) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_args"


async def test_a_key_in_the_query_is_accepted() -> None:
    async with serving() as caller, aiohttp.ClientSession() as session:
        async with session.get(f"{caller.server.url}/api/v0/users/current?api_key={KEY}") as response:
            assert response.status == 200
        async with session.get(f"{caller.server.url}/api/v0/users/current") as response:
            assert response.status == 401


async def test_it_listens_on_loopback_only() -> None:
    async with serving() as caller:
        assert caller.server.url.startswith("http://127.0.0.1:")
