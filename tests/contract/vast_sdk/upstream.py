"""A model server of a few lines: what stands behind Vast's worker in the contract tests.

`/generate` echoes, `/stream` sends three events, `/teapot` refuses, `/held` answers when it is let go. It has loaded when its log
says so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

LOADED: Final = "model is loaded"
HELD_S_MAX: Final = 30.0
_END_WITHIN_S: Final = 10.0


class Upstream:
    """The server. `log` is its log file; requests to `/held` wait while `held` is clear."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.port = 0
        self.held = threading.Event()

    def load(self) -> None:
        """Let the log say that the model is loaded."""
        with self.log.open("a") as log:
            log.write(f"{LOADED}\n")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Listen on a free port for the block."""
        self.log.touch()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.port = server.server_port
        try:
            yield
        finally:
            self.held.set()
            server.shutdown()
            server.server_close()
            thread.join(_END_WITHIN_S)


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers by the path."""

        def do_GET(self) -> None:
            """Be healthy."""
            self._send(200, "application/json", b"{}")

        def do_POST(self) -> None:
            """Serve a request."""
            asked: Any = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            match self.path:
                case "/stream":
                    events = "".join(f"data: {json.dumps({'token': token})}\n\n" for token in ("a", "b", "c"))
                    self._send(200, "text/event-stream", f"{events}data: [DONE]\n\n".encode())
                case "/teapot":
                    self._send(418, "application/json", b'{"error": "short and stout"}')
                case "/held":
                    upstream.held.wait(HELD_S_MAX)
                    self._send(200, "application/json", b'{"held": true}')
                case _:
                    self._send(200, "application/json", json.dumps({"echo": asked}).encode())

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
