"""Headgate's own route function over a table in memory, on a socket: what stands behind `--router`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from functions.adapters.function_url import HttpRequest
from functions.route.answer import answer
from tests.functions.events import an_event
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import Router

_END_WITHIN_S = 10.0


class _Server(ThreadingHTTPServer):
    """A server that knows the router that its requests are for."""

    def __init__(self, router: Router) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.router = router


class _Handler(BaseHTTPRequestHandler):
    """Turns a request into the event that a Function URL makes of it."""

    server: _Server

    def handle_one(self) -> None:
        """Answer one request of any method."""
        router, asked = self.server.router, HttpRequest.of_event(self._event())
        result = answer(asked, ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS).result()
        body = result["body"].encode()
        self.send_response(result["statusCode"])
        for name, value in {**result["headers"], "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - the names that the standard library looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _event(self) -> dict[str, Any]:
        url = urlsplit(self.path)
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        bearer_token = bearer if scheme == "Bearer" else None
        return an_event(url.path, body or None, method=self.command, bearer=bearer_token, query=dict(parse_qsl(url.query)))


@contextmanager
def serving(router: Router) -> Iterator[str]:
    """Serve a router; yields its URL."""
    server = _Server(router)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_END_WITHIN_S)
