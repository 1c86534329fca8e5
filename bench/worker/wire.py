"""The client: HTTP on bare sockets, as light as the stub, so that a worker is what limits a run."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CONNECT_AT_A_TIME: Final = 50


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds from sending to the first byte of the body, and to its end."""

    first_s: float
    whole_s: float
    status: int


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._held = b""
        self._done: asyncio.Future[Timing] | None = None
        self._first: asyncio.Future[None] | None = None
        self._sent_s = self._first_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def begin(self, request: bytes) -> asyncio.Future[Timing]:
        """Send; return what will hold the timing of the whole reply."""
        loop = asyncio.get_running_loop()
        self._done, self._first, self._held, self._first_s = loop.create_future(), loop.create_future(), b"", 0.0
        self._sent_s = time.perf_counter()
        self.transport.write(request)
        return self._done

    @property
    def began(self) -> asyncio.Future[None]:
        """Done when the first byte of the body is there."""
        assert self._first is not None
        return self._first

    def data_received(self, data: bytes) -> None:
        """Gather a reply; say when its body begins and when it is whole."""
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0 or len(self._held) == end + 4 or self._done is None or self._done.done():
            return
        if not self._first_s:
            self._first_s = time.perf_counter()
            assert self._first is not None
            self._first.set_result(None)
        told = _LENGTH.search(self._held, 0, end)
        if len(self._held) >= end + 4 + int(told[1]) if told else self._held.endswith(b"0\r\n\r\n"):
            now_s = time.perf_counter()
            status = int(self._held[9:12])
            self._done.set_result(Timing(first_s=self._first_s - self._sent_s, whole_s=now_s - self._sent_s, status=status))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way."""
        for future in (self._done, self._first):
            if future is not None and not future.done():
                future.set_exception(exc or ConnectionError("closed"))
                future.exception()  # seen, whether or not anybody still waits for it


class Pool:
    """Connections to one port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def connections(self, count: int) -> Sequence[Connection]:
        """Return so many connections, open and idle."""
        while len(self._idle) < count:
            more = min(count - len(self._idle), CONNECT_AT_A_TIME)
            self._idle += await asyncio.gather(*(self._connect() for _ in range(more)))
        return self._idle[:count]

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
        return connection

    def close(self) -> None:
        """Close all; later calls open new ones."""
        for connection in self._idle:
            connection.transport.close()
        self._idle = []
