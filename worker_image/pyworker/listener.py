"""Listen for clients: one port, on which a connection may speak plain HTTP or TLS.

Which of the two it speaks shows in its first byte: a TLS handshake record begins with 22 (RFC 8446 5.1), an HTTP request with a
letter. So clients of ours can be given TLS with a pinned certificate while clients that know no pinning keep working, with one
mapped port, the scarce thing on a rented machine. A worker that is to accept TLS alone refuses the others here.

The byte is looked at (MSG_PEEK), not taken, before the connection gets a protocol. A connection that says nothing is dropped after
FIRST_BYTE_S, and at most SILENT_MAX may be silent at a time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from aiohttp import web

BACKLOG: Final = 1024
FIRST_BYTE_S: Final = 10.0
HANDSHAKE_S: Final = 10.0
SILENT_MAX: Final = 1024
ACCEPT_PAUSE_S: Final = 0.1
HEADERS_MAX: Final = 64
HEADER_BYTES_MAX: Final = 8190
_TLS_HANDSHAKE: Final = b"\x16"

_log = logging.getLogger(__name__)


async def serve(app: web.Application) -> web.AppRunner:
    """Prepare to serve `app`, within limits on headers. A client that goes away cancels its handler."""
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=1.0,
        # Bodies stay as they were sent: a small compressed one could hold gigabytes.
        auto_decompress=False,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        max_headers=HEADERS_MAX,
    )
    await runner.setup()
    return runner


async def listen(app: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Serve `app` in plain HTTP; its port is in `runner.addresses`."""
    runner = await serve(app)
    await web.TCPSite(runner, host, port, backlog=BACKLOG, reuse_address=True).start()
    return runner


class Listener:
    """Serves `app` on one port, with TLS for those who ask for it (`tls` None: for nobody). `plain` False: only for them."""

    def __init__(self, runner: web.AppRunner, listening: socket.socket, *, tls: ssl.SSLContext | None, plain: bool) -> None:
        self._runner = runner
        self._listening = listening
        self._tls = tls
        self._plain = plain
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    @classmethod
    async def start(cls, app: web.Application, *, host: str, port: int, tls: ssl.SSLContext | None, plain: bool) -> Listener:
        """Listen. Raises OSError when the port is not to be had."""
        listening = socket.create_server((host, port), backlog=BACKLOG)
        listening.settimeout(0)
        return cls(await serve(app), listening, tls=tls, plain=plain)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listening.getsockname()[:2]
        return str(host), int(port)

    async def answers(self) -> bool:
        """Connect as a client would; tell whether an HTTP answer comes back."""
        host, port = self.address
        try:
            async with asyncio.timeout(FIRST_BYTE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1" if host == "0.0.0.0" else host, port, ssl=self._probe())  # noqa: S104 - compared, not bound
                writer.write(b"GET /health HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n")
                answered = (await reader.read(9)).startswith(b"HTTP/1.1 ")
                writer.close()
        except (OSError, TimeoutError):
            return False
        return answered

    def _probe(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # To ourselves, over loopback: what is asked is whether it works.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    async def cleanup(self) -> None:
        """Accept nobody any more and close every connection."""
        self._accepting.cancel()
        tasks = {self._accepting, *self._opening}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()
        await self._runner.cleanup()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as exc:
                # No more descriptors, or a connection that was gone already: neither may end the worker.
                _log.warning("accept: %s", exc.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(self._opening) >= SILENT_MAX:
                connection.close()
                continue
            opening = asyncio.create_task(self._open(connection))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        try:
            async with asyncio.timeout(FIRST_BYTE_S):
                first = await _peek(connection)
            speaks_tls = first == _TLS_HANDSHAKE
            if first and (self._tls is not None if speaks_tls else self._plain):
                await self._hand_over(connection, self._tls if speaks_tls else None)
                return
        except (OSError, TimeoutError):  # an SSLError is an OSError
            pass
        except BaseException:
            connection.close()
            raise
        connection.close()

    async def _hand_over(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        server = self._runner.server
        assert server is not None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(
            server, connection, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S if tls else None
        )


async def _peek(connection: socket.socket) -> bytes:
    """Wait for the first byte and leave it where it is; empty when the client has gone."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    told: Callable[[], None] = readable.set
    loop.add_reader(connection, told)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)
