"""The inference server, seen from the worker: health, information, trials, and clients' requests passed through.

A reply is passed on as it comes: status, a few headers, and the body without being decoded or gathered, at the client's pace (its
socket's full buffer stops our reading, which stops the server's writing), until the client takes nothing for CLIENT_STALL_S. A
short reply of known length goes out in one piece.

A connection that the server closed just when we used it is tried once more on a new one: no byte of a reply has been seen, and a
generation changes nothing but a cache. Anything later is not repeated here; the client has the router find another worker.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp import web

from pyworker.backend import Answer, Backend, Route, Trial
from pyworker.ledger import Outcome
from pyworker.replies import ReplyReader, reader_of

CONNECT_TIMEOUT_S: Final = 5.0
SILENCE_MAX_S: Final = 600.0  # between two reads of a reply: a long prompt in a long queue, before its first token
CLIENT_STALL_S: Final = 60.0
HEALTH_TIMEOUT_S: Final = 10.0
PROBE_TIMEOUT_S: Final = 300.0  # a first generation may compile kernels or read the model from disk
WHOLE_REPLY_BYTES_MAX: Final = 262_144
ANSWER_BYTES_MAX: Final = 256 * 2**20  # of `call`: images come in base64
PAGE_BYTES_MAX: Final = 4 * 2**20  # of `info_path` and `gauges_path`

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_MAX_S)
# RFC 9110 7.6.1: fields of one connection. Length and date are written anew.
_NOT_FORWARDED: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "date", "server", "set-cookie"}
)
_ACCEPT: Final = {"accept-encoding": "identity"}
_JSON: Final = {"content-type": "application/json"}

_log = logging.getLogger(__name__)


class UpstreamFailed(Exception):
    """The inference server could not be reached or broke off; `reason` is fit for a client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


class Upstream:
    """The server at `url`; `headers` go with every request. Make it inside the running loop, and `close` it."""

    def __init__(self, backend: Backend, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.backend = backend
        self.url = url
        connector = aiohttp.TCPConnector(limit=0, force_close=not backend.keeps_connections)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=_TIMEOUT,
            headers={**_ACCEPT, **(headers or {})},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def healthy(self) -> bool:
        """Tell whether the server says that it is."""
        path = self.backend.health_path
        url = path if "://" in path else self.url + path
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S), self._session.get(url) as reply:
                return reply.status == 200 or not path
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def page(self, path: str) -> bytes:
        """Return a page that the server tells of itself, cut at PAGE_BYTES_MAX; empty if it has none. Raises UpstreamFailed."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S), self._session.get(self.url + path) as reply:
                return await _read_at_most(reply, PAGE_BYTES_MAX) if reply.status == 200 else b""
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UpstreamFailed(f"{path} could not be read: {type(exc).__name__}") from exc

    async def call(self, method: str, path: str, payload: Mapping[str, Any] | None = None) -> Answer:
        """Make one call for a backend; any status is an answer. Raises UpstreamFailed."""
        try:
            async with self._request(method, path, payload) as reply:
                body = await _read_at_most(reply, ANSWER_BYTES_MAX)
                return Answer(status=reply.status, body=body, content_type=reply.content_type)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UpstreamFailed(f"{path} broke off: {_told(exc)}") from exc

    async def attempt(self, trial: Trial) -> AsyncGenerator[int, None]:
        """Send a trial; yield how many units of output arrived, whenever some did: a reply in one piece is one.

        Raises UpstreamFailed for any reply but a whole good one.
        """
        route = trial.route
        if route.serve is not None:
            answer = await route.serve(self, trial.payload)
            if answer.status != 200:
                raise UpstreamFailed(f"{route.path} answered {answer.status}: {_excerpt(answer.body)}")
            yield 1
            return
        try:
            async with self._request("POST", route.target, route.prepare(trial.payload)) as reply:
                async for units in _units(reply, route):
                    yield units
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UpstreamFailed(f"{route.path} broke off: {_told(exc)}") from exc

    async def forward(
        self, request: web.BaseRequest, route: Route, payload: Mapping[str, Any]
    ) -> tuple[web.StreamResponse, Outcome]:
        """Serve a client's request.

        Raises BadPayload and UpstreamFailed while nothing has been sent to the client, ClientGone at any time.
        """
        if route.serve is not None:
            return self._served(await route.serve(self, payload))
        try:
            async with self._request("POST", route.target, route.prepare(payload)) as reply:
                if route.respond is not None:
                    return self._judged(await route.respond(request, reply))
                reader = reader_of(reply.content_type, None)
                response, whole = await (_whole(reply, reader) if _is_short(reply) else _stream(request, reply, reader))
                # A refusal tells an error too, but that is the server's judgement of the payload.
                failed = not whole or self.backend.metrics.failed(reply.status) or (reply.ok and reader.fault())
                return response, Outcome.ERROR if failed else Outcome.SUCCESS
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise UpstreamFailed(_told(exc)) from exc

    def _served(self, answer: Answer) -> tuple[web.StreamResponse, Outcome]:
        return self._judged(web.Response(status=answer.status, body=answer.body, content_type=answer.content_type))

    def _judged(self, response: web.StreamResponse) -> tuple[web.StreamResponse, Outcome]:
        return response, Outcome.ERROR if self.backend.metrics.failed(response.status) else Outcome.SUCCESS

    @asynccontextmanager
    async def _request(self, method: str, path: str, payload: Mapping[str, Any] | None) -> AsyncIterator[aiohttp.ClientResponse]:
        body = None if payload is None else json.dumps(payload, separators=(",", ":")).encode()
        headers = None if payload is None else _JSON
        try:
            reply = await self._session.request(method, self.url + path, data=body, headers=headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            if isinstance(exc, aiohttp.ClientConnectorError):
                raise
            reply = await self._session.request(method, self.url + path, data=body, headers=headers)
        async with reply:
            yield reply


async def _read_at_most(reply: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    read = bytearray()
    async for chunk in reply.content.iter_any():
        read += chunk
        if len(read) >= bytes_max:
            break
    return bytes(read[:bytes_max])


async def _units(reply: aiohttp.ClientResponse, route: Route) -> AsyncIterator[int]:
    if reply.status != 200:
        raise UpstreamFailed(f"{route.path} answered {reply.status}: {_excerpt(await reply.content.read(200))}")
    reader = reader_of(reply.content_type, route.units)
    async for chunk in reply.content.iter_any():
        if units := reader.feed(chunk):
            yield units
    if fault := reader.fault():
        raise UpstreamFailed(f"{route.path} failed: {fault}")
    if route.units is None:
        yield 1


def _is_short(reply: aiohttp.ClientResponse) -> bool:
    return reply.content_length is not None and reply.content_length <= WHOLE_REPLY_BYTES_MAX


async def _whole(reply: aiohttp.ClientResponse, reader: ReplyReader) -> tuple[web.StreamResponse, bool]:
    body = await reply.read()
    reader.feed(body)
    return web.Response(status=reply.status, body=body, headers=_forwarded(reply)), True


async def _stream(request: web.BaseRequest, reply: aiohttp.ClientResponse, reader: ReplyReader) -> tuple[web.StreamResponse, bool]:
    """Pass a reply on as it comes; the second value tells whether it came whole. Raises ClientGone."""
    response = web.StreamResponse(status=reply.status, headers=_forwarded(reply))
    try:
        await response.prepare(request)
        cut = await _pass_on(reply, reader, response)
        if cut:
            await _tell_cut(reply, response)
        else:
            await response.write_eof()
    except (ConnectionError, TimeoutError) as exc:
        if request.transport is not None:
            request.transport.abort()  # what it did not take is not kept for it
        raise ClientGone from exc
    if cut and request.transport is not None:
        # Without a last chunk the client sees that the reply is cut, not that it ended.
        request.transport.close()
    return response, not cut


async def _pass_on(reply: aiohttp.ClientResponse, reader: ReplyReader, response: web.StreamResponse) -> bool:
    """Copy the body as it comes; tell whether the server broke it off. Raises what `_write` does."""
    chunks = reply.content.iter_any()
    while True:
        try:
            chunk = await anext(chunks, b"")
        except (aiohttp.ClientError, TimeoutError) as exc:
            _log.warning("reply of the inference server broke off: %s", _told(exc))
            return True
        if not chunk:
            return False
        reader.feed(chunk)
        await _write(response, chunk)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    """Write at the client's pace. Raises ConnectionError, and TimeoutError when it takes nothing for CLIENT_STALL_S."""
    async with asyncio.timeout(CLIENT_STALL_S):
        await response.write(data)


async def _tell_cut(reply: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    if reply.content_type == "text/event-stream":
        await _write(response, b'\n\ndata: {"error":"the inference server broke off","error_type":"upstream_failed"}\n\n')


def _forwarded(reply: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.lower() not in _NOT_FORWARDED}


def _excerpt(body: bytes) -> str:
    return body[:200].decode("utf-8", errors="replace")


def _told(exc: BaseException) -> str:
    # Only the kind: messages of the client library hold addresses and parts of replies.
    return f"inference server: {type(exc).__name__}"
