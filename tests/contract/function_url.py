"""A Function URL on loopback: every request becomes the event that AWS would make of it, every result an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from tests.functions.events import an_event

_END_WITHIN_S: Final = 10.0


@contextmanager
def function_url(handler: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """Serve a Lambda handler on a free port; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _front(handler))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_END_WITHIN_S)


def _front(handler: Callable[[dict[str, Any]], dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Front(BaseHTTPRequestHandler):
        """Knows no path and no method: what there is, the handler says."""

        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            """Answer one request."""
            url = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode() or None
            event = an_event(url.path, text, method=self.command, query=dict(parse_qsl(url.query)))
            event["headers"] |= {name.lower(): value for name, value in self.headers.items()}
            result = handler(event)
            body = result["body"].encode()
            self.send_response(result["statusCode"])
            for name, value in {**result["headers"], "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names that the standard library looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Front
