"""Sessions: a client that keeps one worker for a while, because the server remembers something for it.

One ticket opens a session, and its load stays in flight until the session ends; requests inside bring the same ticket and the
session's id, and count nothing of their own. The ticket was checked and spent when the session was created, so what is asked of
a later request is that it brings exactly that ticket: the id alone opens nothing.

A session ends when its client says so, when it has not been used for its lifetime (every request inside adds one lifetime, up to
LIFETIME_S_MAX ahead), and when the worker closes. Whatever still runs inside is cut off then, and `on_close_route`, one of the
backend's own routes, is called with `on_close_payload`.

While the worker drains, sessions go on; when it closes for good they end as soon as nothing runs inside.

Invariants: at most `sessions_max`; every session ends once; its ticket is finished once, at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.problem import ROUTE_AGAIN, Problem, RequestRefused
from protocol.ticket import Ticket, TicketRejected, parse_ticket
from pyworker.backend import BadPayload
from pyworker.clock import RouterClock
from pyworker.gate import Admitted
from pyworker.ledger import Outcome

LIFETIME_S: Final = 60.0
LIFETIME_S_MAX: Final = 86_400.0
SWEEP_S: Final = 5.0
ON_CLOSE_TIMEOUT_S: Final = 10.0

_log = logging.getLogger(__name__)


class SessionsFull(RequestRefused):
    """No room for another session."""

    def __init__(self) -> None:
        message = "this worker has as many sessions as it may"
        super().__init__(Problem(status=429, code="sessions_full", message=message, remedy=ROUTE_AGAIN))


class UnknownSession(RequestRefused):
    """There is no such session, or no more."""

    def __init__(self, *, status: int = 410) -> None:
        message = "there is no such session, or it has ended"
        super().__init__(Problem(status=status, code="unknown_session", message=message, remedy="create another session"))


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One session. Times are epoch seconds of the control plane."""

    session_id: str
    ticket: Ticket
    signature: bytes
    auth_data: Mapping[str, Any]
    lifetime_s: float
    created_s: float
    expires_s: float
    on_close_route: str
    on_close_payload: Mapping[str, Any]
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


class Sessions:
    """The sessions of this worker.

    `routes` are the paths that may be called at a session's end, by `call(path, payload)`; `on_end` is told of each end once,
    before that call.
    """

    def __init__(
        self,
        *,
        sessions_max: int,
        clock: RouterClock,
        routes: frozenset[str],
        call: Callable[[str, Mapping[str, Any]], Awaitable[object]],
        on_end: Callable[[Ticket, Outcome], None],
    ) -> None:
        self._sessions_max = sessions_max
        self._clock = clock
        self._routes = routes
        self._call = call
        self._on_end = on_end
        self._open: dict[str, Session] = {}
        self._closing = False
        self._farewells: set[asyncio.Task[None]] = set()

    def create(self, admitted: Admitted) -> Session:
        """Open a session on an admitted ticket. Raises SessionsFull and BadPayload; the ticket is then the caller's to finish."""
        payload = admitted.payload
        lifetime_s = _lifetime(payload.get("lifetime"))
        route, on_close_payload = payload.get("on_close_route") or "", payload.get("on_close_payload") or {}
        if route and route not in self._routes:
            raise BadPayload("on_close_route", "must be one of " + ", ".join(sorted(self._routes)))
        if not isinstance(on_close_payload, dict):
            raise BadPayload("on_close_payload", "must be an object")
        if len(self._open) >= self._sessions_max:
            raise SessionsFull
        now_s = self._clock.now_s()
        session = Session(
            session_id=secrets.token_urlsafe(16),
            ticket=admitted.ticket,
            signature=admitted.signature,
            auth_data=admitted.auth_data,
            lifetime_s=lifetime_s,
            created_s=now_s,
            expires_s=now_s + lifetime_s,
            on_close_route=route,
            on_close_payload=on_close_payload,
        )
        self._open[session.session_id] = session
        return session

    def find(self, session_id: Any, auth_data: Any) -> Session:
        """Return an open session to the bearer of its ticket. Raises UnknownSession and TicketRejected."""
        session = self._open.get(session_id) if isinstance(session_id, str) else None
        if session is None:
            raise UnknownSession
        if not isinstance(auth_data, dict):
            raise TicketRejected("missing_ticket")
        ticket, signature = parse_ticket(auth_data)
        if ticket != session.ticket or not hmac.compare_digest(signature, session.signature):
            raise TicketRejected("not_the_sessions_ticket")
        return session

    @contextlib.contextmanager
    def inside(self, session: Session) -> Iterator[None]:
        """Run a request of the session for the block: it lives on, and takes the request with it when it ends."""
        latest_s = self._clock.now_s() + LIFETIME_S_MAX
        session.expires_s = min(session.expires_s + session.lifetime_s, latest_s)
        task = asyncio.current_task()
        assert task is not None
        session.tasks.add(task)
        try:
            yield
        finally:
            session.tasks.discard(task)
            if self._closing and not session.tasks:
                self.end(session, Outcome.CANCELLED)

    def end(self, session: Session, outcome: Outcome = Outcome.SUCCESS) -> None:
        """End a session; one that has ended already stays as it is."""
        if self._open.pop(session.session_id, None) is None:
            return
        for task in session.tasks:
            task.cancel()
        self._on_end(session.ticket, outcome)
        if session.on_close_route:
            farewell = asyncio.create_task(self._say_farewell(session))
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)

    def sweep(self) -> None:
        """End what has expired. A request that still runs keeps its session: its client is there."""
        now_s = self._clock.now_s()
        for session in list(self._open.values()):
            if session.expires_s <= now_s and not session.tasks:
                self.end(session, Outcome.CANCELLED)

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def close(self) -> None:
        """End what is idle now, and the rest as soon as it is."""
        self._closing = True
        for session in list(self._open.values()):
            if not session.tasks:
                self.end(session, Outcome.CANCELLED)

    async def farewells(self) -> None:
        """Wait for the calls of sessions that have ended."""
        await asyncio.gather(*self._farewells)

    async def _say_farewell(self, session: Session) -> None:
        payload = {"session_id": session.session_id, **session.on_close_payload}
        try:
            async with asyncio.timeout(ON_CLOSE_TIMEOUT_S):
                await self._call(session.on_close_route, payload)
        except Exception as exc:  # noqa: BLE001 - the outermost edge of a call that nobody waits for
            _log.warning("%s at the end of a session failed: %s", session.on_close_route, type(exc).__name__)


def _lifetime(value: Any) -> float:
    if value is None:
        return LIFETIME_S
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 < value <= LIFETIME_S_MAX:
        raise BadPayload("lifetime", f"must be a number of seconds, above 0 and at most {LIFETIME_S_MAX:g}")
    return float(value)
