"""A route function and a worker on loopback that answer from a script, and remember what they were asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

REQUEST_IDX: Final = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that came in."""

    path: str
    authorization: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to send. `chunks` make a streamed reply; `cut` breaks it off without an end; `hang_up` sends nothing at all."""

    status: int = 200
    body: Any = None
    chunks: Iterable[bytes] = ()
    cut: bool = False
    hang_up: bool = False
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[Asked], Answer]


class Scripted:
    """A server whose answers come from `script`; the last one stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Answer | Script] = []
        self.lock = threading.Lock()
        self.url = ""

    def will(self, *answers: Answer | Script) -> None:
        """Set what the next requests are answered; the last one goes on."""
        self.answers = list(answers)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Scripted]:
        """Listen on a free port of loopback for the block."""
        server = _Server(self)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, asked: Asked) -> Answer:
        """Take the next line of the script."""
        with self.lock:
            self.asked.append(asked)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Answer) else answer(asked)


class _Server(ThreadingHTTPServer):
    def __init__(self, scripted: Scripted) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripted = scripted


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Answer as the script says."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        authorization = self.headers.get("Authorization", "")
        answer = self.server.scripted.answer(Asked(path=self.path, authorization=authorization, body=body))
        if answer.hang_up:
            self.close_connection = True
        elif answer.chunks:
            self._stream(answer)
        else:
            self._whole(answer)

    def _whole(self, answer: Answer) -> None:
        data = json.dumps(answer.body).encode()
        self._head(answer, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        self.wfile.write(data)

    def _stream(self, answer: Answer) -> None:
        self._head(answer, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for chunk in answer.chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        if answer.cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, answer: Answer, headers: dict[str, str]) -> None:
        self.send_response(answer.status)
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


def waiting(status: str = "no worker is ready") -> Answer:
    """The route function's answer to a request that has to wait."""
    return Answer(body={"endpoint": "words", "request_idx": REQUEST_IDX, "status": status, "waiting_ahead": 0})


def assigned(worker: Scripted) -> Answer:
    """The route function's answer that names a worker."""
    return Answer(body={"url": worker.url, "request_idx": REQUEST_IDX, "endpoint": "words", "signature": "signed"})


def event(index: int) -> bytes:
    """One token of a stream."""
    return b'data:{"index":%d,"token":{"text":" word%d","special":false}}\n\n' % (index, index)
