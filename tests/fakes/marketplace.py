"""The simulated marketplace behind the real adapter, without a socket: an HTTP session whose other end is `sandbox.marketplace`.

`WorldSession` is a `requests.Session` whose `request` hands the bytes to `Api.handle` at the clock's time and returns the reply as
requests would, a cut connection included. So a simulation drives the adapter that ships, its parsing and its errors.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from functions.adapters.vast import VastMarketplace
from functions.adapters.vast_http import VastHttp
from functions.ports import Clock
from sandbox.marketplace.api import Api, Reply, Request
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.routes import ROUTES
from sandbox.marketplace.world import World, WorldOptions

API_KEY: Final = "account-key"
BASE_URL: Final = "http://marketplace.test"
QUIET_MARKET: Final = MarketOptions(machines=30, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0)


class WorldSession(requests.Session):
    """A session whose only peer is one simulated marketplace. `on_call` is told each request before it is answered, and after."""

    def __init__(self, api: Api, clock: Clock, *, on_call: Callable[[Request, Reply | None], None] | None = None) -> None:
        super().__init__()
        self._api = api
        self._clock = clock
        self._on_call = on_call or (lambda _request, _reply: None)

    def request(self, *words: Any, **options: Any) -> requests.Response:
        """Answer one request from the world. Raises ConnectionError for a cut connection, ReadTimeout for a late answer."""
        method, url = words
        asked = _asked(method, url, options)
        self._on_call(asked, None)
        reply = self._api.handle(asked, now_s=self._clock.now_s())
        self._on_call(asked, reply)
        if reply.dropped:
            raise requests.ConnectionError("connection cut")
        if reply.delay_s > _patience_s(options.get("timeout")):
            raise requests.ReadTimeout("no answer in time")
        return _response(reply)


def make_world(*, now_s: float, seed: int = 1, options: WorldOptions | None = None) -> World:
    """Return a marketplace of 30 machines that nobody else rents, without faults unless `options` say otherwise."""
    return World(options or WorldOptions(market=QUIET_MARKET, credit_usd=1_000.0), rng=random.Random(seed), now_s=now_s)


def make_api(world: World, *, rate_limits: bool = False) -> Api:
    """Return the API of a world."""
    return Api(world=world, api_key=API_KEY, routes=ROUTES, rate_limits=rate_limits)


def marketplace_over(
    session: requests.Session, clock: Clock, *, base_url: str = BASE_URL, api_key: str = API_KEY
) -> VastMarketplace:
    """Return the adapter that ships, talking through this session."""
    return VastMarketplace(VastHttp(base_url, api_key=lambda: api_key, clock=clock, session=session), clock=clock)


def _patience_s(timeout: object) -> float:
    """Return how long the caller waits for an answer, as requests reads its argument."""
    read_s = timeout[1] if isinstance(timeout, tuple) else timeout
    return float(read_s) if isinstance(read_s, (int, float)) else math.inf


def _asked(method: str, url: str, options: Mapping[str, Any]) -> Request:
    body = options.get("json")
    headers = options.get("headers") or {}
    return Request(
        method=method,
        path=urlsplit(url).path,
        query=options.get("params") or {},
        authorization=headers.get("Authorization"),
        host=urlsplit(url).netloc,
        body=b"" if body is None else json.dumps(body).encode(),
    )


def _response(reply: Reply) -> requests.Response:
    """Return the answer with its body read: to build one that is still to be read takes as long as the world takes to answer."""
    response = requests.Response.__new__(requests.Response)
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict({"Content-Type": reply.content_type, **reply.headers})
    response._content = reply.body  # noqa: SLF001 - where requests keeps what it has read
    return response
