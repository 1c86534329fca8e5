"""A control plane in a few lines: serves keys, takes reports, and signs tickets as the router does.

It counts what it assigned, so that a test can compare the worker's books with it.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from nacl.signing import SigningKey

from protocol.report import Phase, ReportAnswer, WorkerReport
from protocol.request_idx import new_recorded_idx
from protocol.ticket import Ticket

WORKER_ID: Final = "w0-abcdefghijklmnopqrstuvwxyz"
ENDPOINT: Final = "words"
TOKEN: Final = "hg1.secret-of-the-worker"
TTL_S: Final = 60


class FakeControlPlane:
    """Knows one worker. Change `drain`, `status` and `keys` to change what it answers."""

    def __init__(self) -> None:
        self.key = SigningKey(bytes(range(32)))
        self.keys = {"k1": self.key}
        self.key_fetches = 0
        self.reports: list[WorkerReport] = []
        self.headers: list[str] = []
        self.deleted: list[int] = []
        self.drain = False
        self.status = 200
        self.interval_s = 0.2
        self.url = ""
        self.assigned_load = 0.0
        self._numbers = itertools.count(1)
        self._rng = random.Random(7)

    @property
    def last(self) -> WorkerReport:
        """The newest report."""
        return self.reports[-1]

    def phases(self) -> list[Phase]:
        """Every phase reported, in order, each once."""
        return [phase for phase, _ in itertools.groupby(report.phase for report in self.reports)]

    def ticket(self, *, cost: float = 10, **changed: Any) -> Ticket:
        """Assign load to the worker, as a route does; `changed` fields are signed like the others."""
        self.assigned_load += cost
        now_s = math.floor(time.time())
        ticket = Ticket(
            url="http://worker",
            endpoint=ENDPOINT,
            cost=cost,
            reqnum=next(self._numbers),
            request_idx=new_recorded_idx(self._rng, now_s=now_s),
            worker_id=WORKER_ID,
            assigned_load=self.assigned_load,
            issued_at=now_s,
            expires_at=now_s + TTL_S,
            key_id="k1",
        )
        return dataclasses.replace(ticket, **changed)

    def sign(self, ticket: Ticket) -> dict[str, Any]:
        """Return the reply of `/route/`."""
        return {**ticket.wire(self.key.sign(ticket.signed_bytes()).signature), "__request_id": "a-request"}

    def body(self, payload: dict[str, Any], *, cost: float = 10, **changed: Any) -> dict[str, Any]:
        """Return a whole request for the worker: a fresh ticket and `payload`."""
        return {"auth_data": self.sign(self.ticket(cost=cost, **changed)), "payload": payload}

    async def fetch_keys(self) -> bytes:
        """Return the body of `/pubkey/`."""
        self.key_fetches += 1
        keys = [
            {"key_id": key_id, "algorithm": "Ed25519", "public_key": base64.b64encode(bytes(key.verify_key)).decode()}
            for key_id, key in self.keys.items()
        ]
        return json.dumps({"keys": keys}).encode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeControlPlane]:
        """Listen on a free port of loopback for the block."""
        app = web.Application()
        app.router.add_get("/pubkey/", self._pubkey)
        app.router.add_post("/worker_status/", self._worker_status)
        app.router.add_post("/delete_requests/", self._delete_requests)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _pubkey(self, request: web.Request) -> web.Response:
        if "application/json" not in request.headers.get("Accept", ""):
            return web.Response(text="-----BEGIN PUBLIC KEY-----\n", content_type="application/x-pem-file")
        return web.Response(body=await self.fetch_keys(), content_type="application/json")

    async def _worker_status(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers.get("Authorization", ""))
        self.reports.append(WorkerReport.parse(await request.json()))
        answer = ReportAnswer(now_s=time.time(), report_interval_s=self.interval_s, drain=self.drain)
        return web.json_response(answer.wire(), status=self.status)

    async def _delete_requests(self, request: web.Request) -> web.Response:
        rows = (await request.json())["requests"]
        if self.status == 200:
            self.deleted += [row["request_idx"] for row in rows]
        return web.json_response({"ok": True, "deleted": len(rows)}, status=self.status)
