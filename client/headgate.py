"""The two-step call: ask the route function who serves, then put the request on that worker; again, until it is served.

A request keeps one number (`request_idx`) through all of it. While it waits, the number holds its place in the queue; after a
worker failed, it tells the router to choose another one. So a request is never in the queue twice, and never starts again at
its end.

What fails is tried again within the deadline: the route function not answering, a worker that cannot be reached, breaks off, is
full or draining. A generation may therefore run twice; what is returned ran once, whole. A stream is only begun again while
none of it has been given out.

Thread-safe: any number of threads may share a client; each has its own connections.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import requests

from client.errors import ClientClosed, DeadlineExceeded, RouteRefused, SessionOver, StreamBroken, WorkerRefused
from client.events import EventError, events, fault_of
from client.pauses import PollSchedule
from client.pins import worker_url
from client.session import WorkerSession

DEADLINE_S: Final = 600.0
ROUTE_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
TICKETS_REFUSED_MAX: Final = 3
_TRY_ANOTHER: Final = frozenset({408, 429})
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model answered, and how it came about. `waited_s` is from the call to the assignment that served it."""

    status: int
    body: bytes
    worker_url: str
    request_idx: int
    attempts: int
    waited_s: float
    ticket: Mapping[str, Any] = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError if it is none."""
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class _Call:
    """One request on its way. Times are monotonic."""

    endpoint: str
    path: str
    payload: bytes
    cost: float
    deadline_s: float
    on_waiting: Callable[[str], None] | None
    affinity: str = ""
    started_s: float = field(default_factory=time.monotonic)
    request_idx: int = 0
    attempts: int = 0
    tickets_refused: int = 0
    events_given: int = 0
    last: str = ""

    def left_s(self) -> float:
        """Return the time left. Raises DeadlineExceeded if there is none."""
        left_s = self.started_s + self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded(deadline_s=self.deadline_s, last=self.last)
        return left_s


class _TryAnother(Exception):
    """This worker did not serve the request; another one may."""


def _plain_session() -> requests.Session:
    session = requests.Session()
    # Nothing of the user's environment: a .netrc entry would replace our Authorization header.
    session.trust_env = False
    return session


class Client:
    """Calls endpoint groups of one Headgate. `route_url` is the route function's URL.

    `deadline_s` bounds every call unless the call says otherwise. `session` makes the HTTP session of a thread (proxies,
    certificates).
    """

    def __init__(
        self,
        route_url: str,
        api_key: str,
        *,
        deadline_s: float = DEADLINE_S,
        schedule: PollSchedule | None = None,
        session: Callable[[], requests.Session] = _plain_session,
    ) -> None:
        self._route_url = route_url.rstrip("/") + "/route/"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._deadline_s = deadline_s
        self._schedule = schedule or PollSchedule()
        self._make_session = session
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._rng = random.Random()  # noqa: S311 - spreads polls, guards nothing

    def __repr__(self) -> str:
        return f"Client({self._route_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; calls that wait end with ClientClosed."""
        self._closed.set()
        with self._lock:
            for session in self._sessions:
                session.close()

    def request(  # noqa: PLR0913 - the options of a call, by name
        self,
        endpoint: str,
        path: str,
        payload: Mapping[str, Any],
        *,
        cost: float = 1.0,
        deadline_s: float | None = None,
        on_waiting: Callable[[str], None] | None = None,
        affinity: str = "",
    ) -> Reply:
        """Return the model's whole reply.

        `cost` is the request's load in the endpoint's load units (for a language model about the tokens to generate); `on_waiting`
        is told, with every poll, why the request waits. Requests of one `affinity` (a conversation, a long prefix they share; at
        most 256 characters) go to the same worker while it has room. Raises HeadgateError.
        """
        call = self._call(endpoint, path, payload, cost=cost, deadline_s=deadline_s, on_waiting=on_waiting, affinity=affinity)
        while True:
            ticket, waited_s = self._route(call)
            with self._trying(call), self._sent(call, ticket) as response:
                body = b"".join(self._chunks(call, response))
                if fault := fault_of(body):
                    raise EventError(fault)
                return Reply(
                    status=response.status_code,
                    body=body,
                    worker_url=ticket["url"],
                    request_idx=call.request_idx,
                    attempts=call.attempts,
                    waited_s=waited_s,
                    ticket=ticket,
                )

    def stream(  # noqa: PLR0913 - as for request
        self,
        endpoint: str,
        path: str,
        payload: Mapping[str, Any],
        *,
        cost: float = 1.0,
        deadline_s: float | None = None,
        on_waiting: Callable[[str], None] | None = None,
        affinity: str = "",
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of a streamed reply as they arrive; `client.text_of` gives an event's text.

        Arguments as for `request`. Raises HeadgateError; StreamBroken once the first event has been given out.
        """
        call = self._call(endpoint, path, payload, cost=cost, deadline_s=deadline_s, on_waiting=on_waiting, affinity=affinity)
        while True:
            ticket, _ = self._route(call)
            with self._trying(call), self._sent(call, ticket) as response:
                for event in events(self._chunks(call, response)):
                    call.events_given += 1
                    yield event
                return

    def session(
        self,
        endpoint: str,
        *,
        cost: float = 1.0,
        lifetime_s: float = 60.0,
        on_close: tuple[str, Mapping[str, Any]] | None = None,
        deadline_s: float | None = None,
    ) -> WorkerSession:
        """Open a session on one worker. `cost` is its load while it is open; every request inside adds `lifetime_s` to its life.

        `on_close` is a route of the backend and a payload, posted there by the worker when the session ends. Raises HeadgateError.
        """
        route, payload = on_close or (None, None)
        asked = {"lifetime": lifetime_s, "on_close_route": route, "on_close_payload": payload and dict(payload)}
        reply = self.request(endpoint, "/session/create", asked, cost=cost, deadline_s=deadline_s)

        def send(path: str, body: bytes, deadline_s: float | None) -> AbstractContextManager[requests.Response]:
            return self._inside(reply.ticket, path, body, self._deadline_s if deadline_s is None else deadline_s)

        return WorkerSession(session_id=str(reply.json()["session_id"]), ticket=reply.ticket, send=send)

    @contextmanager
    def _inside(self, ticket: Mapping[str, Any], path: str, body: bytes, deadline_s: float) -> Iterator[requests.Response]:
        """Put a body on the worker of a session; while it is full, again. Raises SessionOver, WorkerRefused, DeadlineExceeded."""
        call = _Call(endpoint="", path=path, payload=body, cost=0.0, deadline_s=deadline_s, on_waiting=None)
        while True:
            call.attempts += 1
            try:
                with self._post(call, ticket, body) as response:
                    if response.status_code != 429:
                        _check_inside(response)
                        yield response
                        return
            except requests.RequestException as exc:
                raise SessionOver(f"the worker was lost: {type(exc).__name__}") from exc
            call.last = "the worker is full"
            self._wait(call, self._schedule.retry_s(call.attempts + 1, self._rng))

    def _call(self, endpoint: str, path: str, payload: Mapping[str, Any], *, deadline_s: float | None, **rest: Any) -> _Call:
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        # Encoded once, here: what cannot be JSON is the caller's error, now, and no failure of a worker later.
        encoded = json.dumps(payload, allow_nan=False).encode()
        return _Call(endpoint=endpoint, path=path, payload=encoded, deadline_s=deadline_s, **rest)

    def _route(self, call: _Call) -> tuple[dict[str, Any], float]:
        """Poll until the request is assigned; return the ticket as it came, and how long that took since the call."""
        polls = failures = 0
        while True:
            answer = self._ask(call)
            if answer is None:
                failures += 1
                self._wait(call, self._schedule.retry_s(failures + 1, self._rng))
                continue
            call.request_idx = answer.get("request_idx") or call.request_idx
            if "url" in answer:
                return answer, time.monotonic() - call.started_s
            call.last = str(answer.get("status", "waiting"))
            if call.on_waiting is not None:
                call.on_waiting(call.last)
            self._wait(call, self._schedule.poll_s(polls, self._rng))
            polls, failures = polls + 1, 0

    def _ask(self, call: _Call) -> dict[str, Any] | None:
        """Ask once; None if there was no answer to rely on. Raises RouteRefused."""
        body: dict[str, Any] = {"endpoint": call.endpoint, "cost": call.cost, "request_idx": call.request_idx}
        if call.affinity:
            body["session"] = call.affinity
        timeout_s = min(ROUTE_TIMEOUT_S, call.left_s())
        try:
            response = self._session().post(
                self._route_url, json=body, headers=self._headers, timeout=timeout_s, allow_redirects=False
            )
        except (requests.ConnectionError, requests.Timeout) as exc:
            # A call cut short by the deadline says nothing; what was heard before it does.
            if timeout_s == ROUTE_TIMEOUT_S or not call.last:
                call.last = f"the route function did not answer: {type(exc).__name__}"
            return None
        answer = _object(response)
        if response.status_code == 200 and answer:
            return answer
        code, message = _problem(answer)
        if response.status_code < 400 or response.status_code >= 500 or response.status_code in _TRY_ANOTHER:
            call.last = f"the route function answered {response.status_code} {code}"
            return None
        raise RouteRefused(status=response.status_code, code=code, message=message)

    @contextmanager
    def _sent(self, call: _Call, ticket: Mapping[str, Any]) -> Iterator[requests.Response]:
        """Put the request on the worker; the block reads the reply. Raises _TryAnother, WorkerRefused."""
        call.attempts += 1
        body = b'{"auth_data":%s,"payload":%s}' % (json.dumps(ticket).encode(), call.payload)
        with self._post(call, ticket, body) as response:
            self._check(call, response)
            yield response

    def _post(self, call: _Call, ticket: Mapping[str, Any], body: bytes) -> requests.Response:
        session, timeout_s = self._session(), (CONNECT_TIMEOUT_S, call.left_s())
        url = worker_url(session, ticket) + call.path
        return session.post(url, data=body, headers=_JSON, stream=True, timeout=timeout_s, allow_redirects=False)

    def _check(self, call: _Call, response: requests.Response) -> None:
        status = response.status_code
        if status < 300:
            return
        text = response.text
        call.tickets_refused += status == 401
        elsewhere = status < 400 or status >= 500 or status in _TRY_ANOTHER
        # A ticket may have expired on the way, or the worker restarted; one that is refused again and again is another matter.
        if elsewhere or (status == 401 and call.tickets_refused < TICKETS_REFUSED_MAX):
            raise _TryAnother(f"the worker answered {status}: {text[:200]}")
        raise WorkerRefused(status=status, body=text)

    @contextmanager
    def _trying(self, call: _Call) -> Iterator[None]:
        """Turn a worker's failure into a pause before the next route, or an error if part of the reply was given out."""
        try:
            yield
        except (requests.RequestException, _TryAnother, EventError) as exc:
            if self._closed.is_set():
                raise ClientClosed from exc
            call.last = str(exc) if isinstance(exc, _TryAnother | EventError) else f"the worker broke off: {type(exc).__name__}"
            if call.events_given:
                raise StreamBroken(events=call.events_given, reason=call.last) from exc
            self._wait(call, self._schedule.retry_s(call.attempts, self._rng))

    def _chunks(self, call: _Call, response: requests.Response) -> Iterator[bytes]:
        for chunk in response.iter_content(chunk_size=None):
            call.left_s()
            yield chunk

    def _wait(self, call: _Call, pause_s: float) -> None:
        if self._closed.wait(min(pause_s, call.left_s())):
            raise ClientClosed

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._make_session()
            with self._lock:
                self._sessions.append(session)
            self._local.session = session
        if self._closed.is_set():
            raise ClientClosed
        return session


def _check_inside(response: requests.Response) -> None:
    status = response.status_code
    if status in {401, 410} or status >= 500:
        raise SessionOver(f"the worker answered {status}: {response.text[:200]}")
    if status >= 300:
        raise WorkerRefused(status=status, body=response.text)


def _object(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object of an answer, an empty one if it holds none."""
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _problem(answer: Mapping[str, Any]) -> tuple[str, str]:
    told = " ".join(str(answer[name]) for name in ("error_msg", "remedy") if answer.get(name))
    return str(answer.get("error", "refused")), told
