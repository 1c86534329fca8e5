"""An inference server that does as it is told: answers, streams, stalls, breaks off, tells errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

EVENT: Final = b'data:{"index":%d,"token":{"id":1,"text":" word","special":false},"generated_text":null}\n\n'


class FakeModel:
    """`behaviour` is taken from each payload's `do`; `running` and `abandoned` count requests, `events` what was streamed."""

    def __init__(self) -> None:
        self.url = ""
        self.health = 200
        self.page = b""
        self.payloads: list[Any] = []
        self.running = 0
        self.abandoned = 0
        self.events = 0
        self.connections: set[Any] = set()
        self.go = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeModel]:
        """Listen on a free port of loopback for the block."""
        app = web.Application(client_max_size=10**8)
        app.router.add_get("/health", self._health)
        app.router.add_get("/info", self._info)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/generate", self._generate)
        app.router.add_post("/generate_stream", self._generate)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(status=self.health)

    async def _info(self, _request: web.Request) -> web.Response:
        return web.json_response({"max_batch_size": 2, "version": "3.3.7"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.page, status=200 if self.page else 404)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        self.payloads.append(payload)
        self.connections.add(request.transport)
        self.running += 1
        try:
            return await self._do(request, payload.get("do", "answer"))
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.running -= 1

    async def _do(self, request: web.Request, what: str) -> web.StreamResponse:
        match what.partition(":"):
            case ("answer", _, _):
                return web.json_response({"generated_text": "hello"}, headers={"X-Total-Time": "5", "Set-Cookie": "a=b"})
            case ("bytes", _, count):
                return web.Response(body=b"x" * int(count), content_type="image/png")
            case ("failure", _, _):
                return web.json_response({"error": {"message": "as told"}})
            case ("status", _, status):
                return web.json_response({"error": "as told"}, status=int(status))
            case ("wait", _, _):
                await self.go.wait()
                return web.json_response({"generated_text": "at last"})
            case (how, _, count):
                return await self._stream(request, how, int(count or 3))

    async def _stream(self, request: web.Request, how: str, count: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for index in range(count):
            await response.write(EVENT % index)
            self.events += 1
        if how == "hold":
            await self.go.wait()
        if how == "cut" and request.transport is not None:
            request.transport.close()
            return response
        if how == "error":
            await response.write(b'data:{"error":"Request failed during generation","error_type":"generation"}\n\n')
        await response.write_eof()
        return response
