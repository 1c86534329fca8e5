"""A marketplace with a clock in hand: the API without a socket, for tests that make days pass."""

from __future__ import annotations

import json
import random
from typing import Any

from sandbox.marketplace.api import Api, Reply, Request
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.routes import ROUTES
from sandbox.marketplace.world import World, WorldOptions

KEY = "key-of-the-account"
START_S = 1_790_000_000.0
Json = dict[str, Any]

CREATE: Json = {
    "image": "vendor/image:1",
    "disk": 16,
    "label": "a-label",
    "env": {"COLOUR": "blue", "-p 3000:3000": "1"},
    "cancel_unavail": True,
}
# Nobody else rents and no host changes its price, so that what a test sees is what it did.
QUIET = MarketOptions(machines=90, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0)
# A machine that is promised for longer than any test waits.
CHEAPEST_SINGLE: Json = {
    "num_gpus": {"eq": "1"},
    "disk_space": {"gte": "20"},
    "duration": {"gt": str(8 * 86_400)},
    "order": [["dph_total", "asc"]],
    "limit": 500,
}


class Shop:
    """One world and its API; `now_s` is the tests' own."""

    def __init__(self, options: WorldOptions | None = None, *, seed: int = 7, rate_limits: bool = False) -> None:
        self.now_s = START_S
        self.world = World(options or WorldOptions(market=QUIET), rng=random.Random(seed), now_s=START_S)
        self.api = Api(world=self.world, api_key=KEY, routes=ROUTES, rate_limits=rate_limits)

    def ask(self, method: str, path: str, body: object = None, *, key: str | None = KEY, query: Json | None = None) -> Reply:
        """Send one request; query values that are not strings are JSON, as the official client sends them."""
        text = b"" if body is None else json.dumps(body).encode()
        return self.api.handle(self.request(method, path, text, key=key, query=query), now_s=self.now_s)

    def request(self, method: str, path: str, body: bytes, *, key: str | None = KEY, query: Json | None = None) -> Request:
        """Return a request with these bytes for a body."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (query or {}).items()}
        authorization = None if key is None else f"Bearer {key}"
        return Request(method=method, path=path, query=texts, authorization=authorization, body=body)

    def get(self, path: str, **query: object) -> Json:
        """Send a GET that must succeed; return its object."""
        return self._good("GET", path, None, query)

    def put(self, path: str, body: object) -> Json:
        """Send a PUT that must succeed."""
        return self._good("PUT", path, body)

    def post(self, path: str, body: object) -> Json:
        """Send a POST that must succeed."""
        return self._good("POST", path, body)

    def delete(self, path: str, body: object = None) -> Json:
        """Send a DELETE that must succeed."""
        return self._good("DELETE", path, body or {})

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    def offers(self, query: Json | None = None) -> list[Json]:
        """Search."""
        found: list[Json] = self.post("/api/v0/bundles/", CHEAPEST_SINGLE if query is None else query)["offers"]
        return found

    def rent(self, body: Json | None = None) -> int:
        """Accept the cheapest offer with one GPU; return the instance id."""
        contract_id: int = self.put(f"/api/v0/asks/{self.offers()[0]['id']}/", {**CREATE, **(body or {})})["new_contract"]
        return contract_id

    def rent_running(self, body: Json | None = None) -> int:
        """Rent, and wait until it runs."""
        contract_id = self.rent(body)
        self.wait(7_200)
        assert self.row(contract_id)["actual_status"] == "running"
        return contract_id

    def row(self, contract_id: int) -> Json:
        """Return an instance's row, an empty object if there is none."""
        row: Json | None = self.get(f"/api/v0/instances/{contract_id}/")["instances"]
        return row or {}

    def bill(self, contract_id: int) -> dict[str, int]:
        """Return an instance's line items."""
        bills: list[dict[str, int]] = self.get("/_sim/bill")["contracts"]
        return next(bill for bill in bills if bill["id"] == contract_id)

    def _good(self, method: str, path: str, body: object, query: Json | None = None) -> Json:
        reply = self.ask(method, path, body, query=query)
        assert reply.status == 200, (reply.status, reply.body)
        answer: Json = json.loads(reply.body)
        return answer


def told(reply: Reply) -> Json:
    """Return a reply's JSON object."""
    answer: Json = json.loads(reply.body)
    return answer
