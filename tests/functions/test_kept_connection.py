"""A connection that is kept: reused, noticed when it is gone, never waited for without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from functions.adapters.kept_connection import IDLE_S_MAX, KeptConnection, Unanswered
from tests.waiting import until

REQUEST = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Amzn-RequestId: r\r\n\r\nok"
SHORT_S = 0.2


class Peer:
    """A server that answers each request on a connection with the next of `answers`; None closes instead."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        """End it and every connection."""
        for each in (self._listening, *self.connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(65_536):
                answer = self.answers.pop(0) if self.answers else b""
                if answer is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(answer)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Run a server on loopback."""
    running = Peer()
    yield running
    running.close()


@pytest.fixture
def ask(peer: Peer) -> Iterator[Callable[..., bytes]]:
    """Return what sends a request over one kept connection and returns the body of the answer."""
    kept = KeptConnection(peer.url)

    def send(*, now_s: float = 0.0) -> bytes:
        return kept.exchange(REQUEST, method="POST", now_s=now_s, timeout_s=SHORT_S).body

    yield send
    kept.close()


def test_a_second_request_uses_the_same_connection(peer: Peer, ask: Callable[..., bytes]) -> None:
    peer.answers = [OK, OK]

    assert [ask(), ask()] == [b"ok", b"ok"]
    assert len(peer.connections) == 1


def test_status_and_headers_come_with_the_answer(peer: Peer) -> None:
    peer.answers = [OK]
    kept = KeptConnection(peer.url)
    answer = kept.exchange(REQUEST, method="POST", now_s=0.0, timeout_s=SHORT_S)
    kept.close()

    assert (answer.status, answer.headers["x-amzn-requestid"]) == (200, "r")


def test_the_host_is_named_with_its_port(peer: Peer) -> None:
    assert KeptConnection(peer.url).host == peer.url.removeprefix("http://")


def test_a_connection_that_was_closed_meanwhile_is_replaced_without_an_error(peer: Peer, ask: Callable[..., bytes]) -> None:
    peer.answers = [OK, OK]
    ask()
    peer.connections[0].shutdown(socket.SHUT_RDWR)

    assert ask() == b"ok"
    assert len(peer.connections) == 2


def test_one_that_was_idle_for_long_is_not_trusted(peer: Peer, ask: Callable[..., bytes]) -> None:
    peer.answers = [OK, OK, OK]
    ask(now_s=0.0)
    ask(now_s=IDLE_S_MAX)
    ask(now_s=2 * IDLE_S_MAX + 1)

    assert len(peer.connections) == 2


def test_one_that_the_server_asks_to_close_is_closed(peer: Peer, ask: Callable[..., bytes]) -> None:
    peer.answers = [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK]

    assert [ask(), ask()] == [b"ok", b"ok"]
    assert len(peer.connections) == 2


def test_an_answer_in_chunks_is_read_whole(peer: Peer, ask: Callable[..., bytes]) -> None:
    peer.answers = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", OK]

    assert [ask(), ask()] == [b"ok", b"ok"]
    assert len(peer.connections) == 1


NO_ANSWERS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200",
    "half a body": OK[:-1],
    "another language": b"SMTP ready\r\n\r\n",
    "closed": None,
}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_what_is_no_answer_is_told_in_time_and_not_used_again(peer: Peer, ask: Callable[..., bytes], case: str) -> None:
    peer.answers = [NO_ANSWERS[case], OK]

    with pytest.raises(Unanswered):
        ask()
    assert ask() == b"ok"
    assert until(lambda: len(peer.connections) == 2, what="a second connection")


def test_a_host_that_is_not_there_is_unanswered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(Unanswered, match="ConnectionRefusedError"):
        KeptConnection(f"http://127.0.0.1:{port}").exchange(REQUEST, method="POST", now_s=0.0, timeout_s=SHORT_S)
