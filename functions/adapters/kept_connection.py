"""One HTTP/1.1 connection to one host, kept between requests, with a deadline for every wait.

The standard library opens the connection, checks the certificate and reads the answer; a request is written here, in one piece, so
that it is one system call and one TLS record.

A connection that the other end has closed meanwhile is noticed before it is used again: an idle one has nothing to read, so
readable means closed. While an execution environment is frozen nothing is noticed, hence one that has been idle for IDLE_S_MAX is
not trusted either. What then still goes wrong is `Unanswered`, after which the request may or may not have had its effect.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final, Protocol
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S: Final = 1.0
IDLE_S_MAX: Final = 50.0
ANSWER_BYTES_MAX: Final = 32 * 2**20  # a page of DynamoDB holds 1 MB of data, some times that as JSON


class Unanswered(Exception):
    """No answer: unreachable, timed out or cut off. The request may have had its effect. The message names the kind of error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the host answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection(Protocol):
    """What sends requests to one host. For one thread at a time."""

    @property
    def host(self) -> str:
        """The host as a request names it, with the port if it has one of its own."""

    def exchange(self, request: bytes, *, method: str, now_s: float, timeout_s: float) -> Answer:
        """Send a whole request and return the answer, waiting at most `timeout_s` for each part of it. Raises Unanswered."""


class KeptConnection:
    """A connection to the host of a URL, opened when first needed. Implements `Connection`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host = parts.netloc
        self._secure = parts.scheme == "https"
        self._address = (parts.hostname, parts.port)
        self._open: HTTPConnection | None = None
        self._used_at_s = 0.0

    @property
    def host(self) -> str:
        """The host of the URL."""
        return self._host

    def exchange(self, request: bytes, *, method: str, now_s: float, timeout_s: float) -> Answer:
        """Send over the open connection, or a new one."""
        try:
            stream = self._stream(now_s=now_s, timeout_s=timeout_s)
            stream.sendall(request)
            answer, closes = _read(stream, method)
        except (OSError, HTTPException) as exc:
            self.close()
            raise Unanswered(type(exc).__name__) from exc
        self._used_at_s = now_s
        if closes:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _stream(self, *, now_s: float, timeout_s: float) -> socket.socket:
        if self._open is not None and (now_s - self._used_at_s > IDLE_S_MAX or _is_closed(self._open.sock)):
            self.close()
        if self._open is None:
            self._open = self._connected(min(CONNECT_TIMEOUT_S, timeout_s))
        stream: socket.socket = self._open.sock
        stream.settimeout(timeout_s)
        return stream

    def _connected(self, timeout_s: float) -> HTTPConnection:
        host, port = self._address
        connection = (
            HTTPSConnection(host, port, timeout=timeout_s, context=tls_context())
            if self._secure
            else HTTPConnection(host, port, timeout=timeout_s)
        )
        connection.connect()
        return connection


@cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS context, made once: reading the certificate authorities takes 20 ms."""
    return ssl.create_default_context()


def _read(stream: socket.socket, method: str) -> tuple[Answer, bool]:
    response = HTTPResponse(stream, method=method)
    try:
        response.begin()
        body = response.read(ANSWER_BYTES_MAX + 1)
        if len(body) > ANSWER_BYTES_MAX:
            raise HTTPException("the answer is too large")
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=headers, body=body), response.will_close or not response.isclosed()
    finally:
        response.close()


def _is_closed(stream: socket.socket) -> bool:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(0))
