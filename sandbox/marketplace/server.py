"""The simulator on a socket: bytes in and out of `Api`, time into `World`, its effects into processes.

The world's clock starts at the wall clock's epoch time and then follows the monotonic clock times `speed`. With the default
of 1 a second costs a second; `boot_speed`, a knob of the world, shortens boots without touching money.

Between requests one timer sleeps until the world's next event. Everything runs on one event loop; nothing in the world is ever
touched from elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from aiohttp import web

from sandbox.marketplace.api import BODY_BYTES_MAX, Api, Reply, Request, encode
from sandbox.marketplace.effects import Boot
from sandbox.marketplace.errors import bad_request
from sandbox.marketplace.forwarding import Forwarder
from sandbox.marketplace.local_ports import LOOPBACK, LocalPorts
from sandbox.marketplace.processes import BootOptions, LocalProcesses
from sandbox.marketplace.routes import ROUTES
from sandbox.marketplace.world import World, WorldOptions

SHUTDOWN_TIMEOUT_S: Final = 1.0
# A timer may fire a little early by the loop's clock; a wait of zero would then spin.
TIMER_LEAST_S: Final = 0.001
TIMER_MOST_S: Final = 3_600.0


class WorldClock:
    """The world's time: epoch seconds at the start, then `speed` times as fast as the wall's."""

    def __init__(self, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self.speed = speed
        self._epoch_s, self._started_s = time.time(), time.monotonic()

    def now_s(self) -> float:
        """Return the world's present."""
        return self._epoch_s + (time.monotonic() - self._started_s) * self.speed

    def skip(self, seconds: float) -> None:
        """Let this much of the world's time pass at once."""
        assert seconds >= 0, "a world's time does not run backwards"
        self._epoch_s += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Everything that makes a simulator. Port 0 picks a free one; `boot` None starts no processes.

    `router_url` is a running Headgate's route function, to which everything about endpoints is handed on (see `forwarding`).
    """

    api_key: str = field(repr=False)
    world: WorldOptions = field(default_factory=WorldOptions)
    seed: int = 0
    port: int = 0
    speed: float = 1.0
    rate_limits: bool = False
    boot: BootOptions | None = None
    router_url: str | None = None


class MarketplaceServer:
    """One simulator. `async with` starts it and stops it with all its processes."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._clock = WorldClock(options.speed)
        self._processes = None if options.boot is None else LocalProcesses(options.boot, on_exit=self._process_exited)
        take_port: Callable[[], int] | None = None if options.boot is None else LocalPorts().take
        self.world = World(options.world, rng=random.Random(options.seed), now_s=self._clock.now_s(), take_port=take_port)
        self.api = Api(world=self.world, api_key=options.api_key, routes=ROUTES, rate_limits=options.rate_limits)
        if self._processes is not None:
            self.api.processes = self._processes
        self._forwarder = None if options.router_url is None else Forwarder(options.router_url)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s: float | None = None
        self._runner: web.ServerRunner | None = None
        self._port = options.port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self._port}"

    async def __aenter__(self) -> Self:
        if self._processes is not None:
            self._processes.start()
        if self._forwarder is not None:
            await self._forwarder.__aenter__()
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self._options.port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])
        self._settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._forwarder is not None:
            await self._forwarder.__aexit__()
        if self._processes is not None:
            await self._processes.close()

    def skip(self, seconds: float) -> None:
        """Let this much of the world's time pass at once, with everything that happens in it. Call on the server's event loop."""
        self._clock.skip(seconds)
        self._tick()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            refused = bad_request(f"error 400: a body has at most {BODY_BYTES_MAX} bytes")
            return _response(Reply(status=refused.status, body=encode(refused.wire())))
        asked = Request(
            method=request.method,
            path=request.path,
            query=request.query,
            authorization=request.headers.get("Authorization"),
            body=body,
            host=request.headers.get("Host") or f"{LOOPBACK}:{self._port}",
        )
        if self._forwarder is not None and self._forwarder.takes(asked.path):
            return _response(await self._forwarder.forward(asked))
        reply = self.api.handle(asked, now_s=self._clock.now_s())
        self._settle()
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.dropped and request.transport is not None:
            request.transport.abort()
        return _response(reply)

    def _process_exited(self, contract_id: int, boot: int) -> None:
        """Tell the world, unless by now it wants another process here: a reboot may have come due before the old one was gone."""
        now_s = self._clock.now_s()
        self.world.advance(now_s)
        self._settle()
        if self._processes is not None and self._processes.is_latest(contract_id, boot):
            self.world.process_exited(contract_id, now_s)
            self._settle()

    def _tick(self) -> None:
        self._timer = self._timer_at_s = None
        self.world.advance(self._clock.now_s())
        self._settle()

    def _settle(self) -> None:
        """Carry out what the world wants, and sleep until its next event."""
        for effect in self.world.take_effects():
            if self._processes is None:
                continue
            if isinstance(effect, Boot):
                self.world.process_started(effect.contract_id)
            self._processes.carry_out(effect, self.world.contracts.all[effect.contract_id])
        self._arm()

    def _arm(self) -> None:
        due_s = self.world.next_event_s()
        if due_s is None or due_s == self._timer_at_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        wait_s = (due_s - self._clock.now_s()) / self._clock.speed
        self._timer = asyncio.get_running_loop().call_later(min(max(wait_s, TIMER_LEAST_S), TIMER_MOST_S), self._tick)
        self._timer_at_s = due_s


def _response(reply: Reply) -> web.Response:
    """The official client compares the content type for equality, so no charset may be added to it."""
    return web.Response(status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type, **reply.headers})
