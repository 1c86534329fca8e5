"""The marketplace port under contract, twice: the adapter over the world in this process, and over a real socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import requests

from functions.adapters.vast import VastMarketplace
from functions.core.model import Autogroup, Instance, Offer
from functions.ports import RentRequest
from sandbox.marketplace.faults import AnswerFault, Operation
from sandbox.marketplace.server import MarketplaceServer, ServerOptions
from sandbox.marketplace.world import World, WorldOptions
from tests.fakes.marketplace import API_KEY, QUIET_MARKET, WorldSession, make_api, make_world, marketplace_over
from tests.simulation.clock import SimulatedClock
from tests.waiting import until

PREFIX: Final = "headgate/test/chat/"
AUTOGROUP: Final = Autogroup(name="a", search_params="num_gpus=1 verified=any", image="tgi", disk_gb=20.0)
START_S: Final = 1_900_000_000.0
CLOCK_SPEED: Final = 100.0
WORLD: Final = WorldOptions(market=replace(QUIET_MARKET, machines=60), boot_speed=20.0, credit_usd=1_000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One marketplace and what a test may do to its world. `act` runs something where the world may be touched."""

    marketplace: VastMarketplace
    world: World
    act: Callable[[Callable[[], object]], object]
    wait_until: Callable[[Callable[[], bool]], None]

    def meets(self, operation: Operation, fault: AnswerFault) -> None:
        """Let the next call of an operation go wrong."""
        self.act(lambda: self.world.plan.script_next(operation, fault))

    def offers(self) -> list[Offer]:
        """Search."""
        return self.marketplace.search(AUTOGROUP)

    def rent(self, offer: Offer | None = None, *, label: str = PREFIX + "w0-x") -> int:
        """Rent an offer, the cheapest unless told otherwise."""
        chosen = offer or self.offers()[0]
        env = {"HEADGATE_WORKER_ID": "w0-x", "-p 3000:3000": "1"}
        return self.marketplace.create(RentRequest(offer=chosen, label=label, autogroup=AUTOGROUP, env=env))

    def shown(self, instance_id: int) -> Instance:
        """Return an instance that exists."""
        instance = self.marketplace.instance(instance_id)
        assert instance is not None
        return instance

    def wait_running(self, instance_id: int, *, running: bool = True) -> None:
        """Wait until an instance runs, or no longer does."""
        self.wait_until(lambda: self.shown(instance_id).running is running)


class QuickClock:
    """Implements `ports.Clock`: runs as fast as the world behind the socket, so that its pauses are short ones of ours."""

    def now_s(self) -> float:
        """Return the time now."""
        return START_S + time.monotonic() * CLOCK_SPEED

    def wait_s(self, duration_s: float) -> None:
        """Let `duration_s` seconds of that world pass."""
        threading.Event().wait(duration_s / CLOCK_SPEED)


def in_process() -> Iterator[Shop]:
    """Yield the adapter over a world in this process; waiting lets simulated time pass."""
    clock = SimulatedClock(START_S)
    world = make_world(now_s=START_S, options=WORLD)

    def wait_until(condition: Callable[[], bool]) -> None:
        for _ in range(600):
            if condition():
                return
            clock.wait_s(1.0)
        raise AssertionError("it did not become true within ten simulated minutes")

    marketplace = marketplace_over(WorldSession(make_api(world), clock), clock)
    yield Shop(marketplace=marketplace, world=world, act=lambda change: change(), wait_until=wait_until)


def over_http() -> Iterator[Shop]:
    """Yield the adapter over a socket; the world's clock runs CLOCK_SPEED times as fast as the wall's."""
    with _served() as (server, loop):

        def act(change: Callable[[], object]) -> None:
            asyncio.run_coroutine_threadsafe(_call(change), loop).result(timeout=10)

        marketplace = marketplace_over(requests.Session(), QuickClock(), base_url=server.url)
        yield Shop(marketplace=marketplace, world=server.world, act=act, wait_until=_wait)


@contextmanager
def _served() -> Iterator[tuple[MarketplaceServer, asyncio.AbstractEventLoop]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = MarketplaceServer(ServerOptions(api_key=API_KEY, world=WORLD, seed=3, speed=CLOCK_SPEED))
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(timeout=10)
    try:
        yield server, loop
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _call(change: Callable[[], object]) -> None:
    change()


def _wait(condition: Callable[[], bool]) -> None:
    until(condition, deadline_s=20.0, what="the marketplace's state")
