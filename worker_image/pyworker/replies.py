"""Read a reply while it passes: count the work that arrives, and notice an error told inside a 200.

A streamed reply has sent its status long before anything can go wrong, so servers put the error into the stream (vLLM and TGI:
`data: {"error": …}`) or cut it. Who does not look records a failure as a success.

Every counter takes chunks as they come from the network, which are not lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

EVENT_BYTES_MAX: Final = 1_048_576


class ReplyReader(Protocol):
    """Follows one reply. `error` is why it failed, empty while it has not."""

    error: str

    def feed(self, chunk: bytes) -> int:
        """Take the next bytes; return how many units of output (tokens, images) they completed."""
        ...


class PlainReader:
    """A reply in one piece: its status says everything, and the work is done when it ends."""

    error = ""

    def feed(self, chunk: bytes) -> int:
        """Count nothing."""
        del chunk
        return 0


class EventReader:
    """Server-sent events. `is_output` tells from a `data:` line's bytes whether it carries a unit of output."""

    def __init__(self, is_output: Callable[[bytes], bool]) -> None:
        self.error = ""
        self._is_output = is_output
        self._partial = b""

    def feed(self, chunk: bytes) -> int:
        """Count the output events that this chunk completes."""
        *lines, rest = (self._partial + chunk).split(b"\n")
        # An event longer than this is not an event; forget its beginning, so that memory stays bounded.
        self._partial = rest if len(rest) <= EVENT_BYTES_MAX else b""
        return sum(self._see(line) for line in lines)

    def _see(self, line: bytes) -> bool:
        if not line.startswith(b"data:"):
            return False
        # Inside generated text the quotes would be escaped, so this test is cheap and misses nothing.
        if b'"error"' in line:
            self.error = self.error or _error_of(line[5:])
        return self._is_output(line)


def _error_of(data: bytes) -> str:
    try:
        event: Any = json.loads(data)
    except ValueError:
        return ""
    error = event.get("error") if isinstance(event, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("type") or "error"
    return str(error) if error else ""
