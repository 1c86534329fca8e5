"""What a request may end in, named for what the application does next.

    HeadgateError
    ├── RouteRefused       the route function said no, and would again: mend the key, the endpoint's name or the field
    ├── WorkerRefused      the model's server judged the payload (4xx): mend the payload
    ├── DeadlineExceeded   no result in time: try again later, or wait longer; says what it waited for
    ├── SessionOver        the session's worker is lost, or it was not used in time: open another one
    ├── StreamBroken       a stream failed after some of it had been given out: start over, or keep what came
    └── ClientClosed       `close` was called meanwhile

Everything that another try can mend (a worker that vanished, a full queue, a slow table) is tried again until the deadline and is
no error of its own.
"""

from __future__ import annotations


class HeadgateError(Exception):
    """Root of everything that `Client` raises."""


class RouteRefused(HeadgateError):
    """`code` is stable across versions (`invalid_api_key`, `unknown_endpoint`, ...); the message says what to do."""

    def __init__(self, *, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.status = status
        self.code = code


class WorkerRefused(HeadgateError):
    """The worker's answer: `status` and its `body`, as the model's server or the worker wrote it."""

    def __init__(self, *, status: int, body: str) -> None:
        super().__init__(f"the worker answered {status}: {body[:200]}")
        self.status = status
        self.body = body


class DeadlineExceeded(HeadgateError):
    """`last` is the last thing that was heard: why the request waits, or how the last worker failed."""

    def __init__(self, *, deadline_s: float, last: str) -> None:
        super().__init__(f"no result within {deadline_s:g} s; last heard: {last or 'nothing'}")
        self.last = last


class StreamBroken(HeadgateError):
    """`events` of the stream had been given out when it failed."""

    def __init__(self, *, events: int, reason: str) -> None:
        super().__init__(f"the stream failed after {events} events: {reason}")
        self.events = events


class SessionOver(HeadgateError):
    """The session serves no more."""


class ClientClosed(HeadgateError):
    """The client was closed while the request was under way."""
