"""A marketplace on a real socket, with a small client, for tests of the wire and of processes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.processes import BootOptions
from sandbox.marketplace.server import MarketplaceServer, ServerOptions
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import CHEAPEST_SINGLE, CREATE, KEY, Json

DEADLINE_S: Final = 15.0
STEP_S: Final = 0.01
# Boots take a fraction of a second, money runs in real seconds.
QUICK = WorldOptions(
    market=MarketOptions(machines=40, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0),
    boot_speed=2_000.0,
    image_gb=1.0,
)


class Caller:
    """Sends requests as the account."""

    def __init__(self, server: MarketplaceServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def ask(self, method: str, path: str, body: object = None) -> aiohttp.ClientResponse:
        """Send one request and read its answer."""
        async with self.session.request(method, f"{self.server.url}{path}", json=body) as response:
            await response.read()
            return response

    async def json(self, method: str, path: str, body: object = None) -> Json:
        """Send one request that must succeed; return its object."""
        response = await self.ask(method, path, body)
        assert response.status == 200, await response.text()
        answer: Json = json.loads(await response.text())
        return answer

    async def rent(self, body: Json | None = None) -> int:
        """Accept the cheapest offer; return the instance id."""
        offers = (await self.json("POST", "/api/v0/bundles/", CHEAPEST_SINGLE))["offers"]
        answer = await self.json("PUT", f"/api/v0/asks/{offers[0]['id']}/", {**CREATE, **(body or {})})
        return int(answer["new_contract"])

    async def row(self, contract_id: int) -> Json:
        """Return an instance's row, an empty object if there is none."""
        return (await self.json("GET", f"/api/v0/instances/{contract_id}/?owner=me"))["instances"] or {}

    async def until_status(self, contract_id: int, status: str) -> Json:
        """Wait until the instance shows `status`; return its row."""

        async def shown() -> Json | None:
            row = await self.row(contract_id)
            return row if row.get("actual_status") == status else None

        row: Json = await until(shown, what=f"{contract_id} {status}")
        return row

    async def log(self, contract_id: int, **asked: str) -> str:
        """Fetch an instance's log the way the official client does, without a key."""
        url = (await self.json("PUT", f"/api/v0/instances/request_logs/{contract_id}/", asked))["result_url"]
        async with aiohttp.ClientSession() as stranger, stranger.get(url) as response:
            return await response.text()

    async def until_log(self, contract_id: int, text: str) -> str:
        """Wait until the instance's log has `text`; return the log."""

        async def logged() -> str | None:
            log = await self.log(contract_id)
            return log if text in log else None

        log: str = await until(logged, what=f"{text!r} in the log of {contract_id}")
        return log


@asynccontextmanager
async def serving(world: WorldOptions = QUICK, *, boot: BootOptions | None = None) -> AsyncIterator[Caller]:
    """Run a marketplace with a caller."""
    options = ServerOptions(api_key=KEY, world=world, seed=7, boot=boot)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with MarketplaceServer(options) as server, aiohttp.ClientSession(headers=headers) as session:
        yield Caller(server, session)


async def until(condition: Callable[[], Awaitable[Any]], *, what: str) -> Any:
    """Return the first true value of `condition`. Raises AssertionError after DEADLINE_S."""
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s:
        value = await condition()
        if value:
            return value
        await asyncio.sleep(STEP_S)
    raise AssertionError(f"{what} did not become true within {DEADLINE_S:g} s")
