"""TGI's HTTP interface over the engine: `/health`, `/info`, `/generate`, `/generate_stream`.

Each streamed token is an event of its own, as TGI sends it, but events are written together, at most 1 / TICK_S writes a second
a stream: a client sees the same tokens at the same pace, and ten streams of 200 tokens a second cost a few percent of a core.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from sandbox.inference.engine import Engine, Sequence
from sandbox.inference.journal import Journal
from sandbox.inference.limits import Limits, StreamFault
from sandbox.inference.turns import progress, turn
from sandbox.inference.words import token_text

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY_BYTES_MAX: Final = 2_000_000
BYTES_PER_TOKEN: Final = 4
MAX_NEW_TOKENS_DEFAULT: Final = 100
VERSION: Final = "3.3.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request that was found valid."""

    seed: int
    prompt_tokens: int
    new_tokens: int
    wants_details: bool


class Refused(Exception):
    """The request is answered with an error, in TGI's words."""

    def __init__(self, status: int, message: str, kind: str) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind


class Invalid(Refused):
    """The request itself is at fault."""

    def __init__(self, message: str) -> None:
        super().__init__(422, f"Input validation error: {message}", "validation")


class InferenceServer:
    """One model. `ready` is what `/health` says; set it when the load is done."""

    def __init__(self, engine: Engine, *, limits: Limits, journal: Journal, fault: StreamFault | None = None) -> None:
        self.ready = False
        self.crashed = asyncio.Event()  # never set: this server fails by its options
        self._engine = engine
        self._limits = limits
        self._journal = journal
        self._fault = fault
        self._open = 0

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/health", self._health)
        app.router.add_get("/info", self._info)
        app.router.add_post("/generate", self._generate)
        app.router.add_post("/generate_stream", self._generate_stream)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        if self.ready:
            return web.Response()
        return _error(Refused(503, "unhealthy", "healthcheck"))

    async def _info(self, _request: web.Request) -> web.Response:
        limits, slots = self._limits, self._engine.speed.slots
        told = {
            "model_id": limits.model_id,
            "max_concurrent_requests": limits.max_concurrent_requests,
            "max_input_tokens": limits.max_input_tokens,
            "max_total_tokens": limits.max_total_tokens,
            "max_batch_total_tokens": slots * limits.max_total_tokens,
            "max_batch_size": slots,
            "router": "text-generation-router",
            "version": VERSION,
        }
        return web.json_response(told)

    async def _generate(self, request: web.Request) -> web.Response:
        try:
            prompt = await self._read(request)
        except Refused as refusal:
            return _error(refusal)
        with self._running(prompt) as sequence:
            async for _ in progress(self._engine, sequence):
                pass
            self._log(sequence, prompt)
        told: dict[str, Any] = {"generated_text": _text(prompt)}
        if prompt.wants_details:
            told["details"] = _details(prompt)
        return web.json_response(told, headers=_headers(sequence, prompt))

    async def _generate_stream(self, request: web.Request) -> web.StreamResponse:
        try:
            prompt = await self._read(request)
        except Refused as refusal:
            return _error(refusal)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        with self._running(prompt) as sequence:
            sent = 0
            async for made in progress(self._engine, sequence):
                if self._fault is not None and made >= self._fault.after_tokens:
                    return await _break(request, response, self._fault)
                await response.write(b"".join(_event(prompt, index) for index in range(sent, made)))
                sent = made
            self._log(sequence, prompt)
        await response.write_eof()
        return response

    @contextmanager
    def _running(self, prompt: Prompt) -> Iterator[Sequence]:
        self._open += 1
        try:
            with turn(self._engine, prompt_tokens=prompt.prompt_tokens, new_tokens=prompt.new_tokens) as sequence:
                yield sequence
        finally:
            self._open -= 1

    async def _read(self, request: web.Request) -> Prompt:
        """Raises Refused."""
        if not self.ready:
            raise Refused(503, "unhealthy", "healthcheck")
        if self._open >= self._limits.max_concurrent_requests:
            raise Refused(429, "Model is overloaded", "overloaded")
        return read_prompt(await request.read(), self._limits)

    def _log(self, sequence: Sequence, prompt: Prompt) -> None:
        self._journal.success(spans=_spans(sequence, prompt), new_tokens=prompt.new_tokens)


def read_prompt(body: bytes, limits: Limits) -> Prompt:
    """Validate a request. Raises Invalid."""
    try:
        fields: Any = json.loads(body)
    except ValueError as exc:
        raise Invalid("body is not valid JSON") from exc
    inputs = fields.get("inputs") if isinstance(fields, dict) else None
    if not isinstance(inputs, str) or not inputs:
        raise Invalid("`inputs` cannot be empty")
    parameters = fields.get("parameters") or {}
    new_tokens = parameters.get("max_new_tokens") if isinstance(parameters, dict) else None
    new_tokens = MAX_NEW_TOKENS_DEFAULT if new_tokens is None else new_tokens
    if isinstance(new_tokens, bool) or not isinstance(new_tokens, int) or new_tokens < 1:
        raise Invalid("`max_new_tokens` must be strictly positive")
    data = inputs.encode("utf-8", errors="replace")
    prompt_tokens = max(1, len(data) // BYTES_PER_TOKEN)
    if prompt_tokens > limits.max_input_tokens:
        raise Invalid(f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {prompt_tokens}")
    if prompt_tokens + new_tokens > limits.max_total_tokens:
        given = f"Given: {prompt_tokens} `inputs` tokens and {new_tokens} `max_new_tokens`"
        raise Invalid(f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. {given}")
    return Prompt(
        seed=zlib.crc32(data), prompt_tokens=prompt_tokens, new_tokens=new_tokens, wants_details=bool(parameters.get("details"))
    )


def _event(prompt: Prompt, index: int) -> bytes:
    text = token_text(prompt.seed, index)
    token = b'{"index":%d,"token":{"id":%d,"text":"%s","logprob":-0.5,"special":false}' % (index + 1, len(text), text.encode())
    if index + 1 < prompt.new_tokens:
        return b'data:%s,"generated_text":null,"details":null}\n\n' % token
    last = {"generated_text": _text(prompt), "details": _details(prompt) if prompt.wants_details else None}
    end = json.dumps(last, separators=(",", ":"))
    return b"data:%s,%s\n\n" % (token, end[1:].encode())


async def _break(request: web.Request, response: web.StreamResponse, fault: StreamFault) -> web.StreamResponse:
    if fault.cut and request.transport is not None:
        request.transport.close()
        return response
    await response.write(b'data:{"error":"Request failed during generation: Server error: ","error_type":"generation"}\n\n')
    await response.write_eof()
    return response


def _text(prompt: Prompt) -> str:
    return "".join(token_text(prompt.seed, index) for index in range(prompt.new_tokens))


def _details(prompt: Prompt) -> dict[str, Any]:
    return {"finish_reason": "length", "generated_tokens": prompt.new_tokens, "input_length": prompt.prompt_tokens, "seed": None}


def _spans(sequence: Sequence, prompt: Prompt) -> dict[str, float]:
    started_s = sequence.started_s if sequence.started_s is not None else sequence.queued_s
    ended_s = sequence.ended_s if sequence.ended_s is not None else started_s
    return {
        "total_time": ended_s - sequence.queued_s,
        "validation_time": 1e-4,
        "queue_time": started_s - sequence.queued_s,
        "inference_time": ended_s - started_s,
        "time_per_token": (ended_s - started_s) / prompt.new_tokens,
    }


def _headers(sequence: Sequence, prompt: Prompt) -> dict[str, str]:
    times = {f"x-{name.replace('_', '-')}": str(round(1000 * seconds)) for name, seconds in _spans(sequence, prompt).items()}
    return {**times, "x-prompt-tokens": str(prompt.prompt_tokens), "x-generated-tokens": str(prompt.new_tokens)}


def _error(refused: Refused) -> web.Response:
    return web.json_response({"error": refused.message, "error_type": refused.kind}, status=refused.status)
