"""The edges of every HTTP exchange with a client: a body read within limits, and an error answered in one place.

| status | when |
|---|---|
| 400, 413, 408 | no JSON object; larger than the limit; not sent within BODY_TIMEOUT_S |
| 401 | the ticket does not entitle to this request; `error` says why |
| 410 | the session is over |
| 422 | a field of the payload that this worker itself reads; `field` |
| 429 | no slot within the allowed wait, or no room for another session; `Retry-After` |
| 502 | the inference server could not be reached or broke off before it answered |
| 503 | not ready, draining or failed |
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from protocol.canonical import MalformedJson
from protocol.problem import ROUTE_AGAIN, Problem, RequestRefused
from protocol.ticket import TicketRejected
from pyworker.slots import QueueFull
from pyworker.upstream import ClientGone, UpstreamFailed

BODY_TIMEOUT_S: Final = 30.0
RETRY_AFTER_S: Final = 1
CLIENT_GONE_STATUS: Final = 499
_COME_BACK: Final = frozenset({429, 503})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(handle: Handler) -> Handler:
    """Return a handler that answers what `handle` raises."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except ClientGone:
            return web.Response(status=CLIENT_GONE_STATUS)  # written to nobody
        except QueueFull as full:
            return _answer(_problem(full), retry_after_s=full.retry_after_s)
        except (RequestRefused, MalformedJson, TicketRejected, UpstreamFailed) as exc:
            return _answer(_problem(exc))

    return answered


async def read_body(request: web.Request) -> bytes:
    """Return the whole body. Raises RequestRefused when it is too large or too slow."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        message = "the body is larger than this worker accepts"
        raise RequestRefused(Problem(status=413, code="body_too_large", message=message)) from exc
    except TimeoutError as exc:
        raise RequestRefused(Problem(status=408, code="body_too_slow", message="the body was not sent in time")) from exc


def _problem(exc: Exception) -> Problem:
    match exc:
        case RequestRefused():
            return exc.problem
        case MalformedJson():
            return Problem(status=400, code="invalid_json", message=str(exc))
        case TicketRejected():
            message = "the route ticket does not entitle its bearer to this request"
            return Problem(status=401, code=exc.reason, message=message, remedy="ask for a new route")
        case UpstreamFailed():
            return Problem(status=502, code="upstream_failed", message=exc.reason, remedy=ROUTE_AGAIN)
        case QueueFull():
            return Problem(status=429, code="queue_full", message=str(exc), remedy=ROUTE_AGAIN)
    raise AssertionError(f"an error without an answer: {type(exc).__name__}")


def _answer(problem: Problem, *, retry_after_s: float = RETRY_AFTER_S) -> web.Response:
    headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))} if problem.status in _COME_BACK else None
    return web.json_response(problem.wire(), status=problem.status, headers=headers, dumps=json.dumps)
