"""An inference server and a control plane that take no time, in one process: `python -m bench.worker.stub RSA_PEM ED25519_BASE64`.

Written on bare sockets, since anything in front of which workers are compared must be faster than all of them.

| request | answer |
|---|---|
| `POST /generate` | a short JSON object |
| `POST /generate_stream` | as many events as `max_new_tokens` says; with `"hold"` in the body the first, and then nothing |
| `GET /health`, `/info` | 200 |
| `GET /pubkey/` | JSON for those who accept it, else PEM |
| `POST /worker_status/`, `/delete_requests/` | taken |
| `GET /ready/<id>` | whether the worker of this id has said that it is ready |
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, Final

REPLY: Final = json.dumps({"generated_text": "word " * 30}).encode()
EVENT: Final = b'data:{"index":1,"token":{"id":1,"text":" word","special":false},"generated_text":null}\n\n'
READY_LINE: Final = "stub is ready"  # what its log says
TOKENS_MAX: Final = 10_000
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TOKENS: Final = re.compile(rb'"max_new_tokens": ?(\d+)')


def whole(body: bytes, content_type: bytes = b"application/json") -> bytes:
    """Return an HTTP reply in one piece."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (content_type, len(body), body)


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked reply."""
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER: Final = whole(REPLY)


class Stub:
    """What all connections share: the keys, and which workers are ready."""

    def __init__(self, *, pem: bytes, ed25519: str) -> None:
        keys = [{"key_id": "k1", "algorithm": "Ed25519", "public_key": ed25519}]
        self._pem, self._keys = whole(pem, b"text/plain"), whole(json.dumps({"keys": keys}).encode())
        self._ready: set[str] = set()

    def answer(self, path: bytes, head: bytes, body: bytes) -> bytes:
        """Return the whole reply to one request."""
        match path:
            case b"/generate":
                return ANSWER
            case b"/generate_stream":
                return self._stream(body)
            case b"/pubkey/":
                return self._keys if b"application/json" in head else self._pem
            case b"/worker_status/":
                self._note(json.loads(body))
                return whole(json.dumps({"ok": True, "now_s": time.time()}).encode())
            case _ if path.startswith(b"/ready/"):
                return whole(b"true" if path[7:].decode() in self._ready else b"false")
            case _:
                return whole(b'{"max_concurrent_requests": 1000, "version": "stub"}')

    def _stream(self, body: bytes) -> bytes:
        if b'"hold"' in body:
            return HEAD + chunk(EVENT)
        told = _TOKENS.search(body)
        return HEAD + chunk(EVENT) * min(int(told[1]) if told else 1, TOKENS_MAX) + b"0\r\n\r\n"

    def _note(self, report: dict[str, Any]) -> None:
        if report.get("loadtime") and report.get("phase", "ready") == "ready":
            self._ready.add(str(report["id"]))


class Connection(asyncio.Protocol):
    """One connection: requests in, replies out, in order."""

    def __init__(self, answer: Callable[[bytes, bytes, bytes], bytes]) -> None:
        self._answer = answer
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end]
            told = _LENGTH.search(head)
            length = end + 4 + (int(told[1]) if told else 0)
            if len(self._held) < length:
                return
            body, self._held = self._held[end + 4 : length], self._held[length:]
            self._transport.write(self._answer(head.split(b" ", 2)[1], head, body))


async def main(pem: bytes, ed25519: str) -> None:
    """Serve on a free port, which is written to standard output, until standard input ends."""
    stub, loop, stop = Stub(pem=pem, ed25519=ed25519), asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(lambda: Connection(stub.answer), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(base64.b64decode(sys.argv[1]), sys.argv[2]))
