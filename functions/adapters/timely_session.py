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
    """Shuts the connection in use when an exchange has lasted too long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchange = 0
        self._late = False
        self._handle: socket.socket | None = None

    @contextmanager
    def cutting_after(self, seconds: float) -> Iterator[None]:
        """Watch over one exchange. Raises requests.Timeout when it was cut: what is shut reads like an answer's end."""
        with self._lock:
            self._exchange, self._late = self._exchange + 1, False
        timer = threading.Timer(seconds, self._cut, [self._exchange])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._let_go()
        with self._lock:
            if self._late:
                raise requests.Timeout("cut off")

    def use(self, sock: socket.socket) -> None:
        """Note which connection the exchange uses. Raises TimeoutError when it is over already.

        A handle of our own is kept: while TLS shakes hands, urllib3's socket is no longer, or not yet, what holds the connection.
        """
        self._let_go()
        with self._lock:
            if self._late:
                raise TimeoutError("connected too late")
            self._handle = socket.fromfd(sock.fileno(), sock.family, sock.type)

    def _let_go(self) -> None:
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _cut(self, exchange: int) -> None:
        with self._lock:
            if exchange != self._exchange:
                return  # it ended as the timer fired
            self._late = True
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)


class _Watched:
    """Mixed into urllib3's connections: tells the watch which one an exchange uses, from before its TLS handshake on."""

    watch: _Watch
    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc] # urllib3's
        try:
            self.watch.use(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # used again, and so not connected again
            self.watch.use(self.sock)
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
