"""A server of any dialect over the engine: its routes, streams, pages, and its failures on demand."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from sandbox.inference.dialects import Dialect, Held
from sandbox.inference.engine import Engine
from sandbox.inference.speech import CRASH, FAIL, Refused, Speech, Wish, error_body
from sandbox.inference.turns import progress, turn
from sandbox.inference.voice import DialectVoice
from sandbox.inference.words import token_text

BODY_BYTES_MAX: Final = 64 * 2**20
FAIL_AFTER_TOKENS: Final = 3


class StandIn:
    """One model. `ready` is what every route but an early server's own waits for; `crashed` is set when a request asked for it."""

    def __init__(self, engine: Engine, *, dialect: Dialect, voice: DialectVoice, model: str) -> None:
        self.ready = False
        self.crashed = asyncio.Event()
        self.engine, self.voice = engine, voice
        self._dialect, self._model = dialect, model

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        for path, speech in self._dialect.speeches.items():
            app.router.add_post(path, self._spoken(path, speech))
        for path in self._pages():
            app.router.add_get(path, self._page)
        return app

    def _pages(self) -> Mapping[str, Any]:
        engine = self.engine
        return self._dialect.pages(
            Held(model=self._model, slots=engine.speed.slots, running=engine.running, waiting=engine.waiting)
        )

    async def _page(self, request: web.Request) -> web.Response:
        if not self.ready:
            return web.json_response({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, status=503)
        page = self._pages()[request.path]
        return web.Response(text=page) if isinstance(page, str) else web.json_response(page)

    def _spoken(self, path: str, speech: Speech) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                wish = speech.wish(read_object(await request.read()))
            except Refused as refused:
                self.voice.failed(path=path, seconds=0.0)
                return web.json_response(refused.body, status=refused.status)
            if CRASH in wish.text:
                self.crashed.set()
            return await self._answer(request, path, speech, wish)

        return handle

    async def _answer(self, request: web.Request, path: str, speech: Speech, wish: Wish) -> web.StreamResponse:
        started_s = time.monotonic()
        if wish.stream:
            response, good = await self._stream(request, speech, wish)
        else:
            response, good = await self._whole(speech, wish)
        say = self.voice.served if good else self.voice.failed
        say(path=path, tokens=wish.new_tokens, prompt_tokens=wish.prompt_tokens, seconds=time.monotonic() - started_s)
        return response

    async def _whole(self, speech: Speech, wish: Wish) -> tuple[web.StreamResponse, bool]:
        if FAIL in wish.text:
            return web.json_response(error_body("out of memory"), status=500), False
        await self.generate(wish)
        return web.json_response(speech.whole(wish, words_of(wish, wish.new_tokens))), True

    async def generate(self, wish: Wish) -> None:
        """Let the engine make all tokens of a wish."""
        with turn(self.engine, prompt_tokens=wish.prompt_tokens, new_tokens=wish.new_tokens) as sequence:
            async for _ in progress(self.engine, sequence):
                pass

    async def _stream(self, request: web.Request, speech: Speech, wish: Wish) -> tuple[web.StreamResponse, bool]:
        response = web.StreamResponse(headers={"Content-Type": speech.content_type})
        await response.prepare(request)
        await response.write(speech.head)
        words = words_of(wish, wish.new_tokens)
        with turn(self.engine, prompt_tokens=wish.prompt_tokens, new_tokens=wish.new_tokens) as sequence:
            sent = 0
            async for made in progress(self.engine, sequence):
                if FAIL in wish.text and made >= min(FAIL_AFTER_TOKENS, wish.new_tokens):
                    return await _break(request, response, speech.fault), False
                await response.write(b"".join(speech.event(wish, words[: at + 1]) for at in range(sent, made)))
                sent = made
        await response.write_eof(speech.tail)
        return response, True


async def _break(request: web.Request, response: web.StreamResponse, fault: bytes | None) -> web.StreamResponse:
    if fault is not None:
        await response.write_eof(fault)
    elif request.transport is not None:
        request.transport.close()
    return response


def words_of(wish: Wish, count: int) -> list[str]:
    """Return so many words, the same ones for the same prompt."""
    seed = zlib.crc32(wish.text.encode())
    return [token_text(seed, index) for index in range(count)]


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises Refused."""
    try:
        found = json.loads(body)
    except ValueError as exc:
        raise Refused(400, error_body("the body is no JSON")) from exc
    if not isinstance(found, dict):
        raise Refused(400, error_body("the body is no object"))
    return found
