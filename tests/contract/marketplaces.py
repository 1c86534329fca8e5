"""The marketplace port under contract, three times: over a socket, over the same API in this process, and the world itself.

The first two are the adapter that ships; the third is what unit tests use. A test says what it does to the world through `Shop`,
and never needs to know which of them it has.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from functions.adapters.timely_session import TimelySession
from functions.core.model import Autogroup, Instance, Offer, RentalType
from functions.core.plan import Rent, rental_of
from functions.core.verifying import mismatch
from functions.ports import Clock, Marketplace, RentRequest
from sandbox.marketplace.faults import AnswerFault, Fate, FaultOptions, Operation
from sandbox.marketplace.server import MarketplaceServer, ServerOptions
from sandbox.marketplace.world import World, WorldOptions
from tests.fakes.marketplace import API_KEY, QUIET_MARKET, WorldSession, make_api, make_world, marketplace_over
from tests.fakes.world_marketplace import WorldMarketplace
from tests.simulation.clock import SimulatedClock
from tests.waiting import until

PREFIX: Final = "headgate/test/chat/"
LABEL: Final = PREFIX + "w0-x"
AUTOGROUP: Final = Autogroup(name="a", search_params="num_gpus=1 verified=any", image="tgi", disk_gb=20.0)
BIDDING: Final = replace(AUTOGROUP, rental_type=RentalType.INTERRUPTIBLE, bid_factor=1.2, max_bid_micro_usd=50_000_000)
START_S: Final = 1_900_000_000.0
CLOCK_SPEED: Final = 100.0
PATIENCE_S: Final = 2.0  # of an exchange over the socket, in real seconds
WORLD: Final = WorldOptions(market=replace(QUIET_MARKET, machines=60), boot_speed=20.0, credit_usd=1_000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One marketplace and what a test may do to its world. `act` runs something where the world may be touched."""

    marketplace: Marketplace
    world: World
    act: Callable[[Callable[[], object]], object]
    wait_until: Callable[[Callable[[], bool]], None]

    def meets(self, operation: Operation, fault: AnswerFault | Fate, *, after: int = 0) -> None:
        """Let the next call of an operation, or a later one, go wrong."""
        self.act(lambda: self.world.plan.script_next(operation, fault, after=after))

    def faults(self, options: FaultOptions) -> None:
        """Put other faults in force."""
        self.act(lambda: self.world.plan.put(options))

    def strikes(self, instance_id: int, fate: Fate) -> None:
        """Let a fate come true now."""
        self.act(lambda: self.world.strike(instance_id, fate, self.world.now_us / 1e6))

    def offers(self, autogroup: Autogroup = AUTOGROUP) -> list[Offer]:
        """Search."""
        return self.marketplace.search(autogroup)

    def rent(self, offer: Offer | None = None, *, label: str = LABEL, autogroup: Autogroup = AUTOGROUP) -> int:
        """Rent an offer, the cheapest unless told otherwise."""
        chosen = offer or self.offers(autogroup)[0]
        env = {"HEADGATE_WORKER_ID": "w0-x", "-p 3000:3000": "1"}
        return self.marketplace.create(RentRequest(offer=chosen, label=label, autogroup=autogroup, env=env))

    def rent_running(self, autogroup: Autogroup = AUTOGROUP) -> int:
        """Rent the cheapest offer and wait until it runs."""
        instance_id = self.rent(autogroup=autogroup)
        self.wait_running(instance_id)
        return instance_id

    def shown(self, instance_id: int) -> Instance:
        """Return an instance that exists."""
        instance = self.marketplace.instance(instance_id)
        assert instance is not None
        return instance

    def wait_running(self, instance_id: int, *, running: bool = True) -> None:
        """Wait until an instance runs, or no longer does."""
        self.wait_until(lambda: self.shown(instance_id).running is running)

    def differs(self, instance_id: int, offer: Offer) -> str | None:
        """Say what of an instance is not as it was offered, as the scaler does."""
        rent = Rent(worker_id="w0-x", autogroup="a", offer=offer, reason="")
        return mismatch(rental_of(rent, now_s=START_S), self.shown(instance_id))


class QuickClock:
    """Implements `ports.Clock`: runs as fast as the world behind the socket, so that its pauses are short ones of ours."""

    def now_s(self) -> float:
        """Return the time now."""
        return START_S + time.monotonic() * CLOCK_SPEED

    def wait_s(self, duration_s: float) -> None:
        """Let `duration_s` seconds of that world pass."""
        threading.Event().wait(duration_s / CLOCK_SPEED)


def in_process() -> Iterator[Shop]:
    """Yield the adapter over the API in this process; waiting lets simulated time pass."""
    yield _still(lambda world, clock: marketplace_over(WorldSession(make_api(world), clock), clock))


def fake() -> Iterator[Shop]:
    """Yield what unit tests use."""
    yield _still(WorldMarketplace)


def _still(make: Callable[[World, Clock], Marketplace]) -> Shop:
    clock = SimulatedClock(START_S)
    world = make_world(now_s=START_S, options=WORLD)

    def wait_until(condition: Callable[[], bool]) -> None:
        for _ in range(600):
            if condition():
                return
            clock.wait_s(1.0)
        raise AssertionError("it did not become true within ten simulated minutes")

    return Shop(marketplace=make(world, clock), world=world, act=lambda change: change(), wait_until=wait_until)


def over_http() -> Iterator[Shop]:
    """Yield the adapter over a socket; the world's clock runs CLOCK_SPEED times as fast as the wall's."""
    with _served() as (server, loop):

        def act(change: Callable[[], object]) -> None:
            asyncio.run_coroutine_threadsafe(_call(change), loop).result(timeout=10)

        session = TimelySession(call_s_max=PATIENCE_S, body_bytes_max=10_000_000)
        marketplace = marketplace_over(session, QuickClock(), base_url=server.url)
        yield Shop(marketplace=marketplace, world=server.world, act=act, wait_until=_wait)


IMPLEMENTATIONS: Final[Mapping[str, Callable[[], Iterator[Shop]]]] = {
    "over http": over_http,
    "in process": in_process,
    "fake": fake,
}


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
        asyncio.run_coroutine_threadsafe(_end_the_rest(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _end_the_rest() -> None:
    """End what still waits to send an answer that nobody waits for any more."""
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


async def _call(change: Callable[[], object]) -> None:
    change()


def _wait(condition: Callable[[], bool]) -> None:
    until(condition, deadline_s=20.0, what="the marketplace's state")
