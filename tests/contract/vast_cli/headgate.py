"""Headgate's own route function over a table in memory, on a socket: what stands behind `--router`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from functions.adapters.function_url import HttpRequest
from functions.route.answer import answer
from tests.functions.events import an_event
from tests.functions.reporter import PUBLIC_KEYS
from tests.functions.router import Router

_END_WITHIN_S = 10.0


@contextmanager
def serving(router: Router) -> Iterator[str]:
    """Serve a router; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        """Turns a request into the event that a Function URL makes of it."""

        def handle_one(self) -> None:
            """Answer one request of any method."""
            url = urlsplit(self.path)
            scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
            event = an_event(
                url.path,
                self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode() or None,
                method=self.command,
                bearer=bearer if scheme == "Bearer" else None,
                query=dict(parse_qsl(url.query)),
            )
            result = answer(
                HttpRequest.of_event(event), ports=router.ports(), caches=router.caches, public_keys=lambda: PUBLIC_KEYS
            ).result()
            self.send_response(result["statusCode"])
            for name, value in result["headers"].items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(result["body"].encode())))
            self.end_headers()
            self.wfile.write(result["body"].encode())

        do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - the names that the standard library looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_END_WITHIN_S)
