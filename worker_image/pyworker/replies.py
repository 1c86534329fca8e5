"""Read a reply while it passes: count the work that arrives, and notice an error told inside a 200.

A streamed reply has sent its status long before anything can go wrong, so servers put the error into the stream (vLLM and TGI:
`data: {"error": …}`, others `event: error`, Ollama a line `{"error": …}`) or cut it; and some answer 200 with an object that holds
nothing but an error. Who does not look records a failure as a success.

Every reader takes chunks as they come from the network, which are not lines. What is remembered is bounded: an event or an object
longer than EVENT_BYTES_MAX is not one that tells an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

EVENT_BYTES_MAX: Final = 1_048_576
EVENT_STREAM: Final = "text/event-stream"
LINE_STREAMS: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


class ReplyReader(Protocol):
    """Follows one reply."""

    def feed(self, chunk: bytes) -> int:
        """Take the next bytes; return how many units of output (tokens, images) they completed."""
        ...

    def fault(self) -> str:
        """Return why the reply failed, as far as it told; empty if it did not."""
        ...


def reader_of(content_type: str, units: Callable[[bytes], int] | None) -> ReplyReader:
    """Return the reader for a reply of this type; `units` counts the units of output in an event of a stream."""
    if content_type == EVENT_STREAM:
        return EventReader(units or _uncounted)
    if content_type in LINE_STREAMS:
        return LineReader(units or _uncounted)
    return ObjectReader() if content_type == "application/json" else OpaqueReader()


def _uncounted(_event: bytes) -> int:
    return 0


class OpaqueReader:
    """A reply whose bytes tell nothing, such as an image."""

    def feed(self, chunk: bytes) -> int:
        """Count nothing."""
        del chunk
        return 0

    def fault(self) -> str:
        """Know of none."""
        return ""


class ObjectReader:
    """One JSON object. It is read only if it is small enough to be an error."""

    def __init__(self) -> None:
        self._body = b""
        self._whole = True

    def feed(self, chunk: bytes) -> int:
        """Count nothing: the work is done when the reply ends."""
        self._whole = self._whole and len(self._body) + len(chunk) <= EVENT_BYTES_MAX
        self._body = self._body + chunk if self._whole else b""
        return 0

    def fault(self) -> str:
        """Return the object's `error`."""
        return error_of(self._body)


class LineReader:
    """One JSON object a line (NDJSON)."""

    def __init__(self, units: Callable[[bytes], int]) -> None:
        self._units = units
        self._partial = b""
        self._error = ""

    def feed(self, chunk: bytes) -> int:
        """Count the units of the lines that this chunk completes."""
        *lines, rest = (self._partial + chunk).split(b"\n")
        # A line longer than this is no event; forget its beginning, so that memory stays bounded.
        self._partial = rest if len(rest) <= EVENT_BYTES_MAX else b""
        return sum([self._see(line) for line in lines])

    def fault(self) -> str:
        """Return the first error that was told, the unfinished last line included."""
        return self._error or error_of(self._partial)

    def _see(self, line: bytes) -> int:
        self._error = self._error or error_of(line)
        return self._units(line)


class EventReader:
    """Server-sent events, each with one `data:` line, as every inference server writes them."""

    def __init__(self, units: Callable[[bytes], int]) -> None:
        self._units = units
        self._partial = b""
        self._error = ""
        self._named_error = False  # after `event: error`: its data is the error, in whatever form

    def feed(self, chunk: bytes) -> int:
        """Count the units of the events that this chunk completes."""
        *lines, rest = (self._partial + chunk).split(b"\n")
        self._partial = rest if len(rest) <= EVENT_BYTES_MAX else b""
        return sum([self._see(line) for line in lines])

    def fault(self) -> str:
        """Return the first error that was told, the unfinished last event included."""
        self._see(self._partial)
        return self._error

    def _see(self, line: bytes) -> int:
        if not line.startswith(b"data:"):
            self._named_error = line.startswith(b"event:") and line[6:].strip() == b"error"
            return 0
        if not self._error:
            self._error = error_of(line[5:]) or (line[5:].decode(errors="replace").strip() if self._named_error else "")
        return self._units(line[5:])


def error_of(data: bytes) -> str:
    """Return what the `error` of a JSON object says; empty if the bytes are no object or tell none."""
    # Inside generated text the quotes would be escaped, so this test is cheap and misses nothing.
    if b'"error"' not in data:
        return ""
    try:
        event: Any = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    error = event.get("error") if isinstance(event, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("type") or "error"
    return str(error) if error else ""
