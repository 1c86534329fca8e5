"""A simulator on a socket with its clock in hand, and the official CLI pointed at it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sandbox.marketplace.instance import Contract
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.server import MarketplaceServer, ServerOptions
from sandbox.marketplace.world import World, WorldOptions
from tests.contract.vast_cli.official import Official, Ran

KEY: Final = "key-of-the-account-0123456789"
WORLD: Final = WorldOptions(market=MarketOptions(machines=60, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0))
BOOTED_AFTER_S: Final = 7_200.0
_CALL_WITHIN_S: Final = 10.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One simulator and the CLI. `act` runs something where the world may be touched."""

    cli: Official
    server: MarketplaceServer
    act: Callable[[Callable[[], Any]], Any]

    @property
    def world(self) -> World:
        """The marketplace behind the socket; touch it inside `act` only."""
        return self.server.world

    def run(self, command: str, *args: object) -> Ran:
        """Run one command of the CLI against the simulator."""
        words = [str(word) for word in args]
        return self.cli.run(*command.split(" "), "--url", self.server.url, "--api-key", KEY, "--no-color", *words)

    def said(self, command: str, *args: object) -> str:
        """Run a command that must succeed; return what it printed."""
        ran = self.run(command, *args)
        # The CLI exits with 0 after most refusals.
        assert ran.status == 0, str(ran)
        assert "Failed with error" not in ran.err, str(ran)
        return ran.out

    def raw(self, command: str, *args: object) -> Any:
        """Run a command that must succeed with `--raw`; return the JSON that it printed."""
        ran = self.run(command, "--raw", *args)
        assert (ran.status, ran.err) == (0, ""), str(ran)
        return json.loads(ran.out)

    def refused(self, command: str, *args: object) -> str:
        """Run a command that the marketplace refuses; return what it printed to stderr."""
        ran = self.run(command, *args)
        assert "Failed with error" in ran.err, str(ran)
        return ran.err.strip()

    def wait(self, seconds: float) -> None:
        """Let the world's time pass."""
        self.act(lambda: self.server.skip(seconds))

    def offer(self, *query: str) -> int:
        """Return the cheapest offer with one GPU, room on its disk and months to go."""
        wanted = " ".join(["num_gpus=1", "disk_space>=40", "duration>40", "verified=any", *query])
        offers = self.raw("search offers", wanted, "-o", "dph_total", "--limit", 1)
        return int(offers[0]["id"])

    def rent(self, *args: object) -> int:
        """Create an instance of the cheapest offer."""
        created = self.raw("create instance", self.offer(), "--image", "vendor/image:1", "--disk", 20, *args)
        return int(created["new_contract"])

    def rent_running(self, *args: object) -> int:
        """Create an instance, and wait until it runs."""
        contract_id = self.rent(*args)
        self.wait(BOOTED_AFTER_S)
        assert self.contract(contract_id).actual_status == "running"
        return contract_id

    def stopped(self, *args: object) -> int:
        """Create an instance that ran and was stopped."""
        contract_id = self.rent_running(*args)
        self.said("stop instance", contract_id)
        self.wait(BOOTED_AFTER_S)
        assert self.contract(contract_id).actual_status == "exited"
        return contract_id

    def contract(self, contract_id: int) -> Contract:
        """Return the world's own record of an instance, as of now."""
        self.wait(0.0)
        contract: Contract = self.act(lambda: self.world.contracts.all[contract_id])
        return contract

    def alive(self) -> set[int]:
        """Return the ids of all instances that exist."""
        alive: set[int] = self.act(lambda: set(self.world.contracts.live))
        return alive


@contextmanager
def market(cli: Official, *, router_url: str | None = None) -> Iterator[Market]:
    """Yield a fresh simulator with the CLI pointed at it."""
    options = ServerOptions(api_key=KEY, world=WORLD, seed=7, router_url=router_url)
    with running(MarketplaceServer(options)) as (server, act):
        yield Market(cli=cli, server=server, act=act)


@contextmanager
def running(server: MarketplaceServer) -> Iterator[tuple[MarketplaceServer, Callable[[Callable[[], Any]], Any]]]:
    """Run a simulator on a thread of its own; yields it, and how to run something on that thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def act(change: Callable[[], _T]) -> _T:
        async def call() -> _T:
            return change()

        return asyncio.run_coroutine_threadsafe(call(), loop).result(_CALL_WITHIN_S)

    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(_CALL_WITHIN_S)
    try:
        yield server, act
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(_CALL_WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CALL_WITHIN_S)
        loop.close()
