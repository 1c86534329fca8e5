"""A `requests` session whose exchanges end in time, whole, and whose connections are used again.

A socket's timeout bounds the pause between two bytes, so one that sends a byte now and then is never late. Here one timer spans
the exchange: connecting, sending, headers and body. When it fires the socket is shut, which ends whatever read or write waits on
it. The body is read before the exchange counts as done, at most `body_bytes_max` of it, so its connection is free again.

Nothing ambient has a say: no proxy variable, no `.netrc` (it would replace the Authorization header), no cookie is kept. Looking up
a name is bounded by the resolver's own limits, and what is looked up too late is not sent any more.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

CHUNK_BYTES: Final = 64 * 1024


class TimelySession(requests.Session):
    """Every request raises `requests.RequestException` unless it is answered in full within `call_s_max`, in real time."""

    def __init__(self, *, call_s_max: float, body_bytes_max: int) -> None:
        super().__init__()
        self.trust_env = False
        transport = _Transport(call_s_max=call_s_max, body_bytes_max=body_bytes_max)
        for scheme in ("https://", "http://"):
            self.mount(scheme, transport)


class _Watch:
    """Shuts the socket in use when an exchange has lasted too long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchange = 0
        self._late = False
        self._socket: socket.socket | None = None

    @contextmanager
    def cutting_after(self, seconds: float) -> Iterator[None]:
        """Watch over one exchange. Raises requests.Timeout when it was cut: a socket that is shut reads like an answer's end."""
        with self._lock:
            self._exchange, self._late, self._socket = self._exchange + 1, False, None
        timer = threading.Timer(seconds, self._cut, [self._exchange])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        with self._lock:
            if self._late:
                raise requests.Timeout("cut off")

    def use(self, sock: socket.socket | None) -> None:
        """Note which socket the exchange uses. Raises TimeoutError when it is over already."""
        with self._lock:
            self._socket = sock
            if self._late:
                raise TimeoutError("connected too late")

    def _cut(self, exchange: int) -> None:
        with self._lock:
            if exchange != self._exchange:
                return  # it ended as the timer fired
            self._late = True
            if self._socket is not None:
                with suppress(OSError):
                    # Of the plain socket: TLS would take its time to say good-bye.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Watched:
    """Mixed into urllib3's connections: tells the watch which socket an exchange uses."""

    watch: _Watch
    sock: socket.socket | None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc] # urllib3's
        self.watch.use(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        self.watch.use(self.sock)  # one that is used again is not connected again
        super().request(*args, **kwargs)  # type: ignore[misc] # urllib3's


class _Transport(HTTPAdapter):
    def __init__(self, *, call_s_max: float, body_bytes_max: int) -> None:
        self._watch = _Watch()
        self._call_s_max = call_s_max
        self._body_bytes_max = body_bytes_max
        super().__init__(pool_connections=2, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, of watched connections."""
        super().init_poolmanager(*args, **kwargs)
        plain = type("WatchedConnection", (_Watched, HTTPConnection), {"watch": self._watch})
        secure = type("WatchedTlsConnection", (_Watched, HTTPSConnection), {"watch": self._watch})
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("WatchedPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("WatchedTlsPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }

    def send(self, request: requests.PreparedRequest, *_args: Any, **options: Any) -> requests.Response:
        """Exchange one request for a whole response."""
        with self._watch.cutting_after(self._call_s_max):
            response = super().send(request, **{**options, "stream": True})
            body = self._read(response)
        response.raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        return response

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        try:
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > self._body_bytes_max:
                    raise requests.ConnectionError(f"more than {self._body_bytes_max} bytes")
        except HTTPError as exc:
            raise requests.ConnectionError(type(exc).__name__) from None
        finally:
            # Read to its end, this gives the connection back; else it closes it.
            response.raw.drain_conn() if len(body) <= self._body_bytes_max else response.raw.close()
        return bytes(body)
