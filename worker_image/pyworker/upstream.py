"""The inference server, seen from the worker: health, information, trials, and clients' requests passed through.

A reply is passed on as it comes: status, a few headers, and the body without being decoded or gathered, at the client's pace (its
socket's full buffer stops our reading, which stops the server's writing). A short reply of known length goes out in one piece.

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

from pyworker.backend import Backend, Capacity, Route, Trial
from pyworker.ledger import Outcome
from pyworker.replies import PlainReader, ReplyReader

CONNECT_TIMEOUT_S: Final = 5.0
SILENCE_MAX_S: Final = 600.0  # between two reads of a reply: a long prompt in a long queue, before its first token
HEALTH_TIMEOUT_S: Final = 10.0
PROBE_TIMEOUT_S: Final = 300.0  # a first generation may compile kernels or read the model from disk
WHOLE_REPLY_BYTES_MAX: Final = 262_144
INFO_BYTES_MAX: Final = 1_048_576

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_MAX_S)
# RFC 9110 7.6.1: fields of one connection. Length and date are written anew.
_NOT_FORWARDED: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "date", "server", "set-cookie"}
)
_FAILED_STATUSES: Final = frozenset({424, 429})  # TGI: generation failed, model overloaded
_HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}

_log = logging.getLogger(__name__)


class UpstreamFailed(Exception):
    """The inference server could not be reached or broke off; `reason` is fit for a client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


class Upstream:
    """The server at `url`. Use as a context manager of the running loop."""

    def __init__(self, backend: Backend, url: str) -> None:
        self.backend = backend
        self.url = url
        connector = aiohttp.TCPConnector(limit=0, force_close=not backend.keeps_connections)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def healthy(self) -> bool:
        """Tell whether the server says that it is."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S), self._session.get(self.url + self.backend.health_path) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def capacity(self) -> Capacity:
        """Ask the server how many requests it takes at a time. Raises UpstreamFailed."""
        if self.backend.info_path is None:
            return self.backend.capacity({})
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S), self._session.get(self.url + self.backend.info_path) as reply:
                body = await reply.content.read(INFO_BYTES_MAX)
                info = json.loads(body) if reply.status == 200 else {}
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise UpstreamFailed(f"{self.backend.info_path} could not be read: {type(exc).__name__}") from exc
        return self.backend.capacity(info if isinstance(info, dict) else {})

    async def attempt(self, trial: Trial) -> AsyncGenerator[int, None]:
        """Send a trial; yield how many units of output arrived, whenever some did.

        Raises UpstreamFailed for any reply but a whole good one.
        """
        reader = trial.route.reader()
        try:
            async with self._post(trial.route, trial.payload) as reply:
                if reply.status != 200:
                    raise UpstreamFailed(f"{trial.route.path} answered {reply.status}: {await _excerpt(reply)}")
                async for chunk in reply.content.iter_any():
                    if units := reader.feed(chunk):
                        yield units
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise UpstreamFailed(f"{trial.route.path} broke off: {_told(exc)}") from exc
        if reader.error:
            raise UpstreamFailed(f"{trial.route.path} failed: {reader.error}")
        if isinstance(reader, PlainReader):
            yield 1

    async def forward(
        self, request: web.BaseRequest, route: Route, payload: Mapping[str, Any]
    ) -> tuple[web.StreamResponse, Outcome]:
        """Serve a client's request. Raises UpstreamFailed while nothing has been sent to the client, ClientGone at any time."""
        reader = route.reader()
        try:
            async with self._post(route, payload) as reply:
                if _is_short(reply):
                    return await _whole(reply, reader)
                return await _stream(request, reply, reader)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise UpstreamFailed(_told(exc)) from exc

    @asynccontextmanager
    async def _post(self, route: Route, payload: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        body = json.dumps(payload, separators=(",", ":")).encode()
        try:
            reply = await self._session.post(self.url + route.path, data=body, headers=_HEADERS)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            if isinstance(exc, aiohttp.ClientConnectorError):
                raise
            reply = await self._session.post(self.url + route.path, data=body, headers=_HEADERS)
        async with reply:
            yield reply


def _is_short(reply: aiohttp.ClientResponse) -> bool:
    return reply.content_length is not None and reply.content_length <= WHOLE_REPLY_BYTES_MAX


async def _whole(reply: aiohttp.ClientResponse, reader: ReplyReader) -> tuple[web.StreamResponse, Outcome]:
    body = await reply.read()
    reader.feed(body)
    response = web.Response(status=reply.status, body=body, headers=_forwarded(reply))
    return response, _outcome(reply, reader)


async def _stream(
    request: web.BaseRequest, reply: aiohttp.ClientResponse, reader: ReplyReader
) -> tuple[web.StreamResponse, Outcome]:
    response = web.StreamResponse(status=reply.status, headers=_forwarded(reply))
    try:
        await response.prepare(request)
        cut = await _pass_on(reply, reader, response)
        if cut:
            await _tell_cut(reply, response)
        else:
            await response.write_eof()
    except ConnectionError as exc:
        raise ClientGone from exc
    if cut and request.transport is not None:
        # Without a last chunk the client sees that the reply is cut, not that it ended.
        request.transport.close()
    return response, Outcome.ERROR if cut else _outcome(reply, reader)


async def _pass_on(reply: aiohttp.ClientResponse, reader: ReplyReader, response: web.StreamResponse) -> bool:
    """Copy the body as it comes; tell whether the server broke it off. Raises ConnectionError for the client's side."""
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
        await response.write(chunk)


async def _tell_cut(reply: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    if reply.content_type == "text/event-stream":
        await response.write(b'\n\ndata: {"error":"the inference server broke off","error_type":"upstream_failed"}\n\n')


def _outcome(reply: aiohttp.ClientResponse, reader: ReplyReader) -> Outcome:
    # Another 4xx is the server's judgement of the payload: a service rendered, not a failure of this worker.
    failed = reply.status >= 500 or reply.status in _FAILED_STATUSES
    return Outcome.ERROR if failed or reader.error else Outcome.SUCCESS


def _forwarded(reply: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.lower() not in _NOT_FORWARDED}


async def _excerpt(reply: aiohttp.ClientResponse) -> str:
    return (await reply.content.read(200)).decode("utf-8", errors="replace")


def _told(exc: BaseException) -> str:
    # Only the kind: messages of the client library hold addresses and parts of replies.
    return f"inference server: {type(exc).__name__}"
