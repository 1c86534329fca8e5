"""A stream of server-sent events, out of bytes that arrive as they like."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

EVENT_BYTES_MAX: Final = 4 * 2**20


class EventError(Exception):
    """The stream told an error, or is none."""


def events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of every `data:` line, `[DONE]` and comments left out. Raises EventError for `{"error": …}`."""
    partial = b""
    for chunk in chunks:
        *lines, partial = (partial + chunk).split(b"\n")
        if len(partial) > EVENT_BYTES_MAX:
            raise EventError("an event is larger than a client accepts")
        for line in lines:
            yield from _event(line)
    yield from _event(partial)


def text_of(event: dict[str, Any]) -> str:
    """Return the text that an event adds to the reply: TGI's token, OpenAI's completion or chat delta, else nothing."""
    token = event.get("token")
    if isinstance(token, dict):
        return "" if token.get("special") else str(token.get("text") or "")
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = first.get("delta")
    return str((delta.get("content") if isinstance(delta, dict) else first.get("text")) or "")


def _event(line: bytes) -> Iterator[dict[str, Any]]:
    if not line.startswith(b"data:"):
        return
    data = line[5:].strip()
    if data == b"[DONE]":
        return
    try:
        event = json.loads(data)
    except ValueError as exc:
        raise EventError("an event is not JSON") from exc
    if isinstance(event, dict):
        if event.get("error"):
            raise EventError(_told(event["error"]))
        yield event


def _told(error: Any) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def fault_of(body: bytes) -> str:
    """Return what a whole reply tells as its error; empty if it is none. A server may answer 200 and say that it failed."""
    if b'"error"' not in body:
        return ""
    try:
        reply = json.loads(body)
    except ValueError:
        return ""
    error = reply.get("error") if isinstance(reply, dict) else None
    return _told(error) if error else ""
