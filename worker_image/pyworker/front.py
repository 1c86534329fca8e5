"""The worker's door: HTTP in, one request through gate, ledger, queue and server, HTTP out.

Whatever happens between, an admitted request is finished in the ledger exactly once: success, failure, refusal, or a client
that went away (the server framework cancels the handler then, which closes the connection to the inference server, which stops
generating). A request inside a session takes the same way but for the ledger, in which its session stands.

What a client gets instead of the server's own answer, and when, is in `answers`.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from protocol.problem import ROUTE_AGAIN, Problem, RequestRefused
from protocol.report import Phase
from protocol.ticket import Ticket
from pyworker.answers import Handler, answering, read_body
from pyworker.backend import BadPayload, Route
from pyworker.gate import Admitted, Gate
from pyworker.ledger import Outcome
from pyworker.sessions import Session, Sessions, UnknownSession
from pyworker.slots import SlotQueue
from pyworker.standing import Standing
from pyworker.upstream import ClientGone, Upstream

_BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Serves clients. `on_finish` is told of every admitted request that ended; `on_update` that a restart is asked for."""

    gate: Gate
    standing: Standing
    slots: SlotQueue
    upstream: Upstream
    sessions: Sessions
    token: str
    on_admit: Callable[[], None]
    on_finish: Callable[[Ticket, Outcome], None]
    on_update: Callable[[], None]

    def application(self) -> web.Application:
        """Return the routes of the backend, of sessions, `GET /health` and `POST /pyworker/update`."""
        app = web.Application(client_max_size=self.gate.body_bytes_max)
        app.router.add_get("/health", self._health)
        for path, handle in {
            "/pyworker/update": self._update,
            "/session/create": self._create_session,
            "/session/get": self._get_session,
            "/session/health": self._session_health,
            "/session/end": self._end_session,
        }.items():
            app.router.add_post(path, answering(handle))
        for route in self.upstream.backend.routes:
            app.router.add_post(route.path, answering(self._handler(route)))
        return app

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            envelope = await self.gate.read(await read_body(request))
            if envelope.session_id:
                session = self.sessions.find(envelope.session_id, envelope.auth)
                return await self._serve_inside(request, route, session, envelope.payload)
            admitted = await self.gate.admit(envelope)
            self.on_admit()
            return await self._serve(request, route, admitted)

        return handle

    async def _serve(self, request: web.Request, route: Route, admitted: Admitted) -> web.StreamResponse:
        outcome = Outcome.REJECTED
        try:
            self._check_serving()
            async with self.slots.slot(route.load(admitted.payload, self.standing.prompt_weight)):
                outcome = Outcome.ERROR
                response, outcome = await self.upstream.forward(request, route, admitted.payload)
                return response
        except BadPayload:
            outcome = Outcome.SUCCESS  # a judgement of the payload, as the server's own
            raise
        except (asyncio.CancelledError, ClientGone):
            outcome = Outcome.CANCELLED
            raise
        finally:
            self.on_finish(admitted.ticket, outcome)

    async def _serve_inside(
        self, request: web.Request, route: Route, session: Session, payload: Mapping[str, Any]
    ) -> web.StreamResponse:
        # A drain lets sessions go on: their state is here and nowhere else.
        if self.standing.phase is not Phase.DRAINING:
            self._check_serving()
        with self.sessions.inside(session):
            async with self.slots.slot(route.load(payload, self.standing.prompt_weight)):
                response, _ = await self.upstream.forward(request, route, payload)
                return response

    def _check_serving(self) -> None:
        if not self.standing.serving:
            message = f"this worker accepts no requests now (phase {self.standing.phase})"
            raise RequestRefused(Problem(status=503, code="not_serving", message=message, remedy=ROUTE_AGAIN))

    async def _create_session(self, request: web.Request) -> web.Response:
        admitted = await self.gate.admit(await self.gate.read(await read_body(request)))
        self.on_admit()
        outcome: Outcome | None = Outcome.REJECTED
        try:
            self._check_serving()
            session = self.sessions.create(admitted)
            outcome = None  # in flight until the session ends
        finally:
            if outcome is not None:
                self.on_finish(admitted.ticket, outcome)
        return web.json_response({"session_id": session.session_id, "expiration": session.expires_s}, status=201)

    async def _get_session(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        told = {
            "session_id": session.session_id,
            "auth_data": dict(session.auth_data),
            "lifetime": session.lifetime_s,
            "expiration": session.expires_s,
            "created_at": session.created_s,
            "on_close_route": session.on_close_route or None,
            "on_close_payload": dict(session.on_close_payload) or None,
        }
        return web.json_response(told)

    async def _session_health(self, request: web.Request) -> web.Response:
        try:
            await self._session(request)
        except UnknownSession:
            return web.json_response({"ok": False})
        return web.json_response({"ok": True})

    async def _end_session(self, request: web.Request) -> web.Response:
        session = await self._session(request)
        self.sessions.end(session)
        return web.json_response({"ended": True, "removed_session": session.session_id})

    async def _session(self, request: web.Request) -> Session:
        """Return the session that a body names to the bearer of its ticket; here an unknown one is the caller's mistake (400)."""
        body = self.gate.parse(await read_body(request))
        if not body.get("session_id"):
            raise BadPayload("session_id", "is missing")
        try:
            return self.sessions.find(body["session_id"], body.get("session_auth"))
        except UnknownSession as exc:
            raise UnknownSession(status=400) from exc

    async def _update(self, request: web.Request) -> web.Response:
        """Drain and end: what starts the container anew brings the new version."""
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, (_BEARER + self.token).encode()):
            raise RequestRefused(Problem(status=401, code="invalid_worker_token", message="the worker's token is needed"))
        self.on_update()
        return web.json_response({"ok": True})

    async def _health(self, _request: web.Request) -> web.Response:
        ready = self.standing.phase is Phase.READY
        return web.json_response({"phase": self.standing.phase.value}, status=200 if ready else 503)
