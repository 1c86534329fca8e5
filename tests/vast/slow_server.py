"""A server on loopback that answers as a test writes, byte by byte if need be, and tells how it was spoken to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[socket.socket], None]
PAUSE_S = 0.02
TLS_HANDSHAKE = b"\x16\x03"


@dataclass(slots=True)
class Heard:
    """Where the server listens, and what reached it: one entry of `requests` a request, `connections` counts."""

    url: str = ""
    connections: int = 0
    requests: list[str] = field(default_factory=list)


def whole(head: str, body: bytes = b"") -> Answer:
    """Return an answer that is sent at once."""
    return lambda peer: peer.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)


def trickling(head: bytes) -> Answer:
    """Return an answer that begins with `head` and then never ends, one byte at a time, until the peer is gone."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(head)
        closed = threading.Event()
        while not closed.wait(PAUSE_S):
            peer.sendall(b"x")

    return answer


@contextmanager
def serving(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Heard]:
    """Serve one request an answer, over as many connections as the client makes."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard = Heard(url=f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
    accept = tls.wrap_socket(listener, server_side=True) if tls else listener
    thread = threading.Thread(target=_serve, args=(accept, list(answers), heard), daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        with suppress(OSError):
            accept.shutdown(socket.SHUT_RDWR)  # wakes an accept that waits
        accept.close()
        thread.join(timeout=10)


def _serve(listener: socket.socket, answers: list[Answer], heard: Heard) -> None:
    while answers:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        heard.connections += 1
        with peer, suppress(OSError):
            while answers and (asked := _request(peer)):
                heard.requests.append(asked)
                answers.pop(0)(peer)


def _request(peer: socket.socket) -> str:
    asked = b""
    while b"\r\n\r\n" not in asked and not asked.startswith(TLS_HANDSHAKE) and (more := peer.recv(65_536)):
        asked += more
    return asked.decode(errors="replace")
