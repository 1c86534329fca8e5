"""The worker's door: HTTP in, one request through gate, ledger, queue and server, HTTP out.

Whatever happens between, an admitted request is finished in the ledger exactly once: success, failure, refusal, or a client
that went away (the server framework cancels the handler then, which closes the connection to the inference server, which stops
generating).

| status | when |
|---|---|
| the server's own | served; also its refusals, such as 422 |
| 400, 413, 408 | no JSON object; larger than the limit; not sent within BODY_TIMEOUT_S |
| 401 | the ticket does not entitle to this request; `error` says why |
| 422 | the backend cannot send this payload; `field` |
| 429 | no slot within the allowed wait; `Retry-After` |
| 502 | the inference server could not be reached or broke off before it answered |
| 503 | not ready, draining or failed |
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from protocol.canonical import MalformedJson
from protocol.problem import Problem, RequestRefused
from protocol.report import Phase
from protocol.ticket import Ticket, TicketRejected
from pyworker.backend import BadPayload, Route
from pyworker.gate import Admitted, Gate
from pyworker.ledger import Outcome
from pyworker.slots import QueueFull, SlotQueue
from pyworker.standing import Standing
from pyworker.upstream import ClientGone, Upstream, UpstreamFailed

BODY_TIMEOUT_S: Final = 30.0
BACKLOG: Final = 1024
UNAVAILABLE_RETRY_AFTER_S: Final = 1
CLIENT_GONE_STATUS: Final = 499

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Serves clients. `on_finish` is told of every admitted request that ended."""

    gate: Gate
    standing: Standing
    slots: SlotQueue
    upstream: Upstream
    prompt_weight: float
    on_admit: Callable[[], None]
    on_finish: Callable[[Ticket, Outcome], None]

    def application(self) -> web.Application:
        """Return the routes of the backend and `GET /health`."""
        app = web.Application(client_max_size=self.gate.body_bytes_max)
        app.router.add_get("/health", self._health)
        for route in self.upstream.backend.routes:
            app.router.add_post(route.path, self._handler(route))
        return app

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                admitted = await self._admit(request)
                return await self._serve(request, route, admitted)
            except RequestRefused as refused:
                return _answer(refused.problem)
            except QueueFull as full:
                problem = Problem(status=429, code="queue_full", message=str(full), remedy="route the request again")
                return _answer(problem, retry_after_s=full.retry_after_s)
            except ClientGone:
                return web.Response(status=CLIENT_GONE_STATUS)  # written to nobody

        return handle

    async def _admit(self, request: web.Request) -> Admitted:
        body = await _read(request)
        try:
            admitted = await self.gate.admit(body)
        except MalformedJson as exc:
            raise RequestRefused(Problem(status=400, code="invalid_json", message=str(exc))) from exc
        except TicketRejected as exc:
            raise RequestRefused(_ticket_problem(exc)) from exc
        self.on_admit()
        return admitted

    async def _serve(self, request: web.Request, route: Route, admitted: Admitted) -> web.StreamResponse:
        outcome = Outcome.REJECTED
        try:
            self._check_serving()
            async with self.slots.slot(route.load(admitted.payload, self.prompt_weight)):
                outcome = Outcome.ERROR
                response, outcome = await self.upstream.forward(request, route, admitted.payload)
                return response
        except BadPayload as exc:
            outcome = Outcome.SUCCESS  # a judgement of the payload, as the server's own
            problem = Problem(status=422, code="invalid_field", message=str(exc), field=exc.field)
            raise RequestRefused(problem) from exc
        except UpstreamFailed as exc:
            raise RequestRefused(Problem(status=502, code="upstream_failed", message=exc.reason)) from exc
        except (asyncio.CancelledError, ClientGone):
            outcome = Outcome.CANCELLED
            raise
        finally:
            self.on_finish(admitted.ticket, outcome)

    def _check_serving(self) -> None:
        if not self.standing.serving:
            message = f"this worker accepts no requests now (phase {self.standing.phase})"
            raise RequestRefused(Problem(status=503, code="not_serving", message=message, remedy="route the request again"))

    async def _health(self, _request: web.Request) -> web.Response:
        ready = self.standing.phase is Phase.READY
        return web.json_response({"phase": self.standing.phase.value}, status=200 if ready else 503)


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        raise RequestRefused(
            Problem(status=413, code="body_too_large", message="the body is larger than this worker accepts")
        ) from exc
    except TimeoutError as exc:
        raise RequestRefused(Problem(status=408, code="body_too_slow", message="the body was not sent in time")) from exc


def _ticket_problem(rejected: TicketRejected) -> Problem:
    message = "the route ticket does not entitle its bearer to this request"
    return Problem(status=401, code=rejected.reason, message=message, remedy="ask for a new route")


def _answer(problem: Problem, *, retry_after_s: float = UNAVAILABLE_RETRY_AFTER_S) -> web.Response:
    headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))} if problem.status in {429, 503} else None
    return web.json_response(problem.wire(), status=problem.status, headers=headers, dumps=json.dumps)


async def listen(app: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Serve `app`; its port is in `runner.addresses`. A client that goes away cancels its handler."""
    # Bodies stay as they were sent: a small compressed one could hold gigabytes.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=BACKLOG, reuse_address=True).start()
    return runner
