"""A front with everything around it but the process: a model that does as it is told, a control plane that signs, real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from protocol.ticket import Ticket
from pyworker.backend import Backend
from pyworker.backends.tgi.backend import BACKEND
from pyworker.certificate import make_certificate
from pyworker.front import Front
from pyworker.gate import Gate
from pyworker.keys import KeyRing
from pyworker.ledger import Ledger, Outcome
from pyworker.listener import Listener
from pyworker.sessions import Sessions
from pyworker.slots import SlotQueue
from pyworker.standing import Standing
from pyworker.upstream import Upstream
from tests.worker_image.clocks import aged_clock
from tests.worker_image.control_plane import TOKEN, WORKER_ID, FakeControlPlane
from tests.worker_image.model import FakeModel

BODY_MAX: Final = 100_000


@dataclass(kw_only=True)
class Stand:
    """A front with everything around it."""

    url: str
    cert_sha256: str
    control_plane: FakeControlPlane
    model: FakeModel
    ledger: Ledger
    slots: SlotQueue
    standing: Standing
    sessions: Sessions
    upstream: Upstream
    session: aiohttp.ClientSession
    outcomes: list[Outcome]
    updates: list[bool]
    schemes: list[str]  # of the requests that came in
    ahead_s: float = 0.0  # of the worker's clock

    def post(self, do: str, path: str = "/generate", **more: Any) -> Any:
        """Send an authentic request that makes the model do something."""
        return self.session.post(self.url + path, json=self.control_plane.body({"inputs": "hi", "do": do, **more}))


@asynccontextmanager
async def stand(
    *,
    backend: Backend = BACKEND,
    slots: int = 2,
    wait_s_max: float = 30,
    perf: float = 1000,
    sessions_max: int = 2,
    body_bytes_max: int = BODY_MAX,
) -> AsyncIterator[Stand]:
    ledger, outcomes = Ledger(), list[Outcome]()

    def finished(ticket: Ticket, outcome: Outcome) -> None:
        ledger.finish(ticket.reqnum, outcome)
        outcomes.append(outcome)

    async with FakeModel().serving() as model, aiohttp.ClientSession() as session:
        control_plane, upstream, queue = FakeControlPlane(), Upstream(backend, model.url), SlotQueue(wait_s_max=wait_s_max)
        queue.measured(slots=slots, perf=perf)
        standing, clock, updates = _ready(), aged_clock(ahead_s=lambda: it.ahead_s), list[bool]()
        sessions = Sessions(
            sessions_max=sessions_max,
            clock=clock,
            routes=frozenset(route.path for route in backend.routes),
            call=lambda path, payload: upstream.call("POST", path, payload),
            on_end=finished,
        )
        front = Front(
            gate=Gate(
                worker_id=WORKER_ID,
                keys=KeyRing(control_plane.fetch_keys),
                ledger=ledger,
                clock=clock,
                body_bytes_max=body_bytes_max,
            ),
            standing=standing,
            slots=queue,
            upstream=upstream,
            sessions=sessions,
            token=TOKEN,
            on_admit=lambda: None,
            on_finish=finished,
            on_update=lambda: updates.append(True),
        )
        app, certificate, schemes = front.application(), make_certificate(), list[str]()

        async def note(request: web.Request, _response: web.StreamResponse) -> None:
            schemes.append(request.scheme)

        app.on_response_prepare.append(note)
        listener = await Listener.start(app, host="127.0.0.1", port=0, tls=certificate.context, plain=True)
        try:
            it = Stand(
                url="http://{}:{}".format(*listener.address),
                cert_sha256=certificate.sha256,
                control_plane=control_plane,
                model=model,
                ledger=ledger,
                slots=queue,
                standing=standing,
                sessions=sessions,
                upstream=upstream,
                session=session,
                outcomes=outcomes,
                updates=updates,
                schemes=schemes,
            )
            yield it
        finally:
            model.go.set()
            await listener.cleanup()
            await upstream.close()


def _ready() -> Standing:
    standing = Standing()
    standing.measuring()
    standing.ready(loadtime_s=1)
    return standing
