"""How many requests a second the marketplace simulator answers, call by call: `python -m bench.marketplace [--json]`.

The simulator runs as its users run it, in a process of its own; this process sends requests over a few kept connections, as
fast as answers come, to a fleet of FLEET instances in a market of MACHINES machines. Both processes share the machine: on two
cores the figures are what a test or a demo gets. The promise is TARGET_PER_S for every call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.order import read_order
from sandbox.marketplace.world import World, WorldOptions

TARGET_PER_S: Final = 300
MACHINES: Final = 300
FLEET: Final = 50
CONNECTIONS: Final = 8
SECONDS_PER_CALL: Final = 2.0
WEEK_S: Final = 7 * 86_400.0
SPEED: Final = 1_000.0
READY_WITHIN_S: Final = 30.0
KEY: Final = "key-of-the-benchmark"
CREATE: Final = {"image": "vendor/image:1", "disk": 16, "label": "bench", "env": {"-p 3000:3000": "1"}}
CHEAP: Final = {"num_gpus": {"eq": "1"}, "disk_space": {"gte": "20"}, "order": [["dph_total", "asc"]]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One call's figures."""

    call: str
    requests_per_s: float
    median_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One kind of request. `make` returns method, path and body anew each time."""

    call: str
    make: Callable[[], tuple[str, str, object]]


def requests_of(instance_ids: Sequence[int]) -> list[Request]:
    """Return the common calls on a fleet of these instances, in the order in which they are measured."""
    ids = random.Random(1)

    def one() -> int:
        return ids.choice(instance_ids)

    return [
        Request(call="search, 64 offers", make=lambda: ("POST", "/api/v0/bundles/", {})),
        Request(call="search, one model", make=lambda: ("POST", "/api/v0/bundles/", {**CHEAP, "gpu_name": {"eq": "RTX 4090"}})),
        Request(call="list, a page of 25", make=lambda: ("GET", "/api/v1/instances/?limit=25", None)),
        Request(call="list, legacy, all 50", make=lambda: ("GET", "/api/v0/instances/", None)),
        Request(call="show instance", make=lambda: ("GET", f"/api/v0/instances/{one()}/", None)),
        Request(call="label", make=lambda: ("PUT", f"/api/v0/instances/{one()}/", {"label": "bench"})),
        Request(call="stop", make=lambda: ("PUT", f"/api/v0/instances/{one()}/", {"state": "stopped"})),
        Request(call="start", make=lambda: ("PUT", f"/api/v0/instances/{one()}/", {"state": "running"})),
        Request(call="reboot", make=lambda: ("PUT", f"/api/v0/instances/reboot/{one()}/", {})),
        Request(call="logs", make=lambda: ("PUT", f"/api/v0/instances/request_logs/{one()}/", {"tail": "10"})),
        Request(call="account", make=lambda: ("GET", "/api/v0/users/current", None)),
    ]


class Client:
    """Sends requests as the account."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def send(self, method: str, path: str, body: object = None) -> bytes:
        """Send one request. Raises RuntimeError for anything but 200."""
        async with self._session.request(method, f"{self._url}{path}", json=body) as response:
            answer = await response.read()
            if response.status != 200:
                raise RuntimeError(f"{method} {path}: {response.status} {answer[:200]!r}")
            return answer

    async def object(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send one request and parse its answer."""
        answer: dict[str, Any] = json.loads(await self.send(method, path, body))
        return answer

    async def rent(self) -> int:
        """Accept the cheapest offer with one GPU."""
        offers = (await self.object("POST", "/api/v0/bundles/", {**CHEAP, "limit": 1}))["offers"]
        return int((await self.object("PUT", f"/api/v0/asks/{offers[0]['id']}/", CREATE))["new_contract"])

    async def running(self, contract_ids: Iterable[int]) -> None:
        """Wait until these instances run. Raises TimeoutError."""
        async with asyncio.timeout(READY_WITHIN_S):
            for contract_id in contract_ids:
                while (await self.object("GET", f"/api/v0/instances/{contract_id}/"))["instances"]["actual_status"] != "running":
                    pass  # each look is a round trip

    async def destroy(self, contract_id: int) -> None:
        """Destroy one instance."""
        await self.send("DELETE", f"/api/v0/instances/{contract_id}/", {})


async def measure(call: str, act: Callable[[], Awaitable[object]], *, seconds: float) -> Rate:
    """Do something over and over on every connection at once, for so long."""
    times: list[float] = []
    end_s = time.perf_counter() + seconds

    async def worker() -> None:
        while (began_s := time.perf_counter()) < end_s:
            await act()
            times.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    took_s = time.perf_counter() - began_s
    return Rate(call=call, requests_per_s=len(times) / took_s, median_ms=1_000 * sorted(times)[len(times) // 2])


async def rates(client: Client, *, seconds: float) -> list[Rate]:
    """Measure every call."""
    fleet = [await client.rent() for _ in range(FLEET)]
    await client.running(fleet)
    measured = [await _rate(client, request, seconds) for request in requests_of(fleet)]
    return [*measured, *await _create_and_destroy(client, seconds=seconds)]


async def _rate(client: Client, request: Request, seconds: float) -> Rate:
    return await measure(request.call, lambda: client.send(*request.make()), seconds=seconds)


async def _create_and_destroy(client: Client, *, seconds: float) -> list[Rate]:
    """Rent what a search finds and destroy it again, so that the market never runs dry; three requests a turn."""

    async def turn() -> None:
        try:
            await client.destroy(await client.rent())
        except RuntimeError as exc:
            # Two turns want the cheapest offer: the second loses, as on the real market.
            if "no_such_ask" not in str(exc):
                raise

    rate = await measure("search, create, destroy", turn, seconds=seconds)
    return [Rate(call=rate.call, requests_per_s=3 * rate.requests_per_s, median_ms=rate.median_ms)]


async def serve_and_measure(*, seconds: float) -> list[Rate]:
    """Start a simulator, measure it and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        key_file = Path(folder) / "key"
        key_file.write_text(KEY)
        flags = ["--seed", "7", "--machines", str(MACHINES), "--speed", str(SPEED), "--credit", "1e9", "--rivals-per-hour", "0"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sandbox.marketplace", "--api-key-file", str(key_file), *flags),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            url = json.loads(await process.stdout.readline())["url"]
            connector = aiohttp.TCPConnector(limit=CONNECTIONS)
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, connector=connector) as session:
                return await rates(Client(session, url), seconds=seconds)
        finally:
            process.terminate()
            await process.wait()


def week_s() -> float:
    """Return how long a simulated week of a fleet of FLEET takes in process."""
    began_s = time.perf_counter()
    options = WorldOptions(market=MarketOptions(machines=MACHINES), credit_usd=1e9)
    world = World(options, rng=random.Random(7), now_s=0.0)
    order = read_order(CREATE)
    for _ in range(FLEET):
        _, offers = world.search({**CHEAP, "limit": 1}, 0.0)
        world.create(offers[0].ask_id, order, 0.0)
    # A scaler looks every minute.
    for minute in range(round(WEEK_S / 60)):
        world.listed(60.0 * minute)
    return time.perf_counter() - began_s


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures. The exit status says whether every call reaches TARGET_PER_S."""
    parser = argparse.ArgumentParser(prog="python -m bench.marketplace", description="Requests per second of the simulator.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=float, default=SECONDS_PER_CALL, help="how long each call is measured")
    args = parser.parse_args(argv)
    measured, week = asyncio.run(serve_and_measure(seconds=args.seconds)), week_s()
    if args.json:
        told = {"target_per_s": TARGET_PER_S, "rates": [asdict(rate) for rate in measured], "week_of_50_workers_s": week}
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(f"{rate.call:26} {rate.requests_per_s:8.0f}/s  {rate.median_ms:7.2f} ms" for rate in measured))
        print(f"a simulated week of {FLEET} workers, looked at every minute: {week:.1f} s")
    sys.exit(any(rate.requests_per_s < TARGET_PER_S for rate in measured))


if __name__ == "__main__":
    main()
