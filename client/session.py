"""A session: one worker for a while, for servers that remember something between requests.

Opening it takes one route and one ticket; what is asked inside goes to that worker without the route function. The worker counts
the session's cost as long as it is open, so close it: `with client.session(...) as session`. It cannot move: if the worker is
lost, or the session has not been used for its lifetime, `SessionOver` says so, and the application opens another one and tells
it what it must know.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from client.errors import HeadgateError, SessionOver
from client.events import EventError, events, fault_of

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSession:
    """An open session. `send(path, body, deadline_s)` puts a body on its worker; made by `Client.session`."""

    session_id: str
    ticket: Mapping[str, Any]
    send: Callable[[str, bytes, float | None], AbstractContextManager[requests.Response]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def request(self, path: str, payload: Mapping[str, Any], *, deadline_s: float | None = None) -> bytes:
        """Return the body of the model's whole reply. Raises SessionOver, WorkerRefused, DeadlineExceeded."""
        with self.send(path, self._body(payload), deadline_s) as response:
            body = response.content
        if fault := fault_of(body):
            raise SessionOver(f"the model failed: {fault}")
        return body

    def stream(self, path: str, payload: Mapping[str, Any], *, deadline_s: float | None = None) -> Iterator[dict[str, Any]]:
        """Yield the events of a streamed reply. Raises as `request`."""
        with self.send(path, self._body(payload), deadline_s) as response:
            try:
                yield from events(response.iter_content(chunk_size=None))
            except EventError as exc:
                raise SessionOver(f"the stream failed: {exc}") from exc

    def close(self) -> None:
        """End the session. One that is over already, or whose worker is gone, is left alone."""
        body = json.dumps({"session_id": self.session_id, "session_auth": dict(self.ticket)}).encode()
        with contextlib.suppress(HeadgateError), self.send("/session/end", body, None):
            pass

    def _body(self, payload: Mapping[str, Any]) -> bytes:
        body = {"auth_data": dict(self.ticket), "session_id": self.session_id, "payload": dict(payload)}
        return json.dumps(body, allow_nan=False).encode()
