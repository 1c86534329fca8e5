"""The serverless client of vastai 1.9.1, unmodified, pointed at Headgate, with Vast's own worker behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from vastai import Serverless
from vastai.serverless.client.endpoint import Endpoint_

from functions.core.lifecycle import WorkerState
from functions.core.public_ids import autogroup_id, endpoint_id
from tests.contract.vast_sdk.conftest import Stage
from tests.core.builders import a_worker, worker_id
from tests.functions.router import UPDATE_KEY, a_key
from tests.waiting import until


async def soon(condition: Callable[[], object]) -> None:
    """Wait for a condition while the client goes on."""
    await asyncio.to_thread(until, condition)


@pytest.fixture
async def endpoint(client: Any) -> Any:
    """Return the endpoint as the client finds it."""
    return await client.get_endpoint("chat")


async def test_it_finds_the_endpoints_of_its_key(client: Any) -> None:
    found = await client.get_endpoints()

    assert [(each.name, each.id) for each in found] == [("chat", endpoint_id("chat"))]


async def test_a_request_is_served(endpoint: Any) -> None:
    result = await endpoint.request("/generate", {"prompt": "hello"}, cost=10)

    assert (result["ok"], result["response"]) == (True, {"echo": {"prompt": "hello"}})


async def test_eight_at_once_are_served_each_with_its_own_answer(endpoint: Any) -> None:
    results = await asyncio.gather(*[endpoint.request("/generate", {"number": number}, cost=10) for number in range(8)])

    assert [result["response"]["echo"]["number"] for result in results] == list(range(8))


async def test_a_stream_arrives_event_by_event(endpoint: Any) -> None:
    result = await endpoint.request("/stream", {"prompt": "hello"}, cost=10, stream=True)

    assert [event["token"] async for event in result["response"]] == ["a", "b", "c"]


async def test_what_the_model_refuses_is_returned_as_refused(endpoint: Any) -> None:
    result = await endpoint.request("/teapot", {}, cost=10)

    assert (result["ok"], result["status"]) == (False, 418)


async def test_an_endpoint_that_is_not_there_is_an_error_with_our_reason(client: Any) -> None:
    stranger = Endpoint_(client=client, name="no-such", id=1, api_key=client.api_key)

    with pytest.raises(RuntimeError, match="there is no endpoint group 'no-such'"):
        await stranger.request("/generate", {}, cost=10)


async def test_a_key_that_is_not_ours_is_an_error_with_our_reason(client: Any) -> None:
    stranger = Endpoint_(client=client, name="chat", id=1, api_key="not-a-key")

    with pytest.raises(RuntimeError, match="this API key is not valid"):
        await stranger.request("/generate", {}, cost=10)


async def test_a_request_that_finds_nobody_waits_and_is_served_when_there_is_somebody(current: Stage, endpoint: Any) -> None:
    lease = current.headgate.store.acquire_lease("chat", owner="scaler", now_s=0.0, duration_s=1e12)
    assert lease is not None
    rental = current.worker().rental
    current.headgate.store.put_rental(lease, worker_id(1), a_worker(1, WorkerState.DRAINING).rental)

    request = endpoint.request("/generate", {"prompt": "later"}, cost=10)
    await soon(lambda: current.headgate.store.requests("chat"))
    current.headgate.store.put_rental(lease, worker_id(1), rental)

    assert (await request)["response"] == {"echo": {"prompt": "later"}}


async def test_a_client_over_the_limit_of_its_key_waits_and_loses_no_request(current: Stage, client: Any) -> None:
    current.headgate.store.put_key(a_key("hg-limited", label="limited", requests_per_s=2.0))
    limited = Endpoint_(client=client, name="chat", id=endpoint_id("chat"), api_key="hg-limited")

    requests = [limited.request("/generate", {"number": number}, cost=10) for number in range(7)]
    await soon(lambda: any(request.status == "Polling" for request in requests))

    assert [result["response"]["echo"]["number"] for result in await asyncio.gather(*requests)] == list(range(7))


async def test_a_session_stays_on_its_worker_until_it_is_closed(current: Stage, endpoint: Any) -> None:
    async with await endpoint.session(cost=40, lifetime=30) as session:
        assert session.url == current.worker().condition.url
        assert await session.is_open()

        result = await session.request("/generate", {"prompt": "in session"}, cost=10)
        assert result["response"] == {"echo": {"prompt": "in session"}}
        await soon(lambda: current.worker().condition.in_flight_load == 40.0)

    await soon(lambda: current.worker().condition.in_flight_load == 0.0)


@pytest.fixture
def reader(current: Stage, client: Any) -> Any:
    """Return a client whose key may read and update, over the same connections."""
    reader = Serverless(api_key=UPDATE_KEY, autoscaler_url=current.headgate.url, webserver_url=current.headgate.url)
    reader._transport_owner = client  # noqa: SLF001 - the same connections
    reader._session = client._session  # noqa: SLF001 - which one call of the client needs to be there
    return reader


async def test_it_shows_the_workers(reader: Any) -> None:
    (shown,) = await reader.get_endpoint_workers(await reader.get_endpoint("chat"))

    assert (shown.status, shown.perf > 0) == ("idle", True)


async def test_it_starts_an_update_of_workers(current: Stage, reader: Any) -> None:
    told = await reader.update_workers(autogroup_id("chat", "fast"))
    records = current.headgate.store.load("chat")

    assert (told["success"], told["cancelled"]) == (True, False)
    assert records is not None
    assert set(records.updates) == {"fast"}
