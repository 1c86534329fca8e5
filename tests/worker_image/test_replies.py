"""What a reply tells while it passes: units of output, and errors inside a 200."""

from __future__ import annotations

import pytest

from pyworker.replies import EVENT_BYTES_MAX, reader_of

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


def one_each(event: bytes) -> int:
    return b'"token"' in event


def fault(content_type: str, body: bytes, *, step: int = 10_000) -> str:
    reader = reader_of(content_type, one_each)
    for at in range(0, len(body), step):
        reader.feed(body[at : at + step])
    return reader.fault()


FAULTS = {
    "vllm": (SSE, b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\ndata: [DONE]\n\n', "EngineCore died"),
    "tgi": (
        SSE,
        b'data:{"error":"Request failed during generation","error_type":"generation"}\n\n',
        "Request failed during generation",
    ),
    "named event": (SSE, b"event: error\ndata: out of memory\n\n", "out of memory"),
    "cut in its last event": (SSE, b'data: {"error": "it broke"}', "it broke"),
    "ollama": (
        NDJSON,
        b'{"response":"a"}\n{"error":"llama runner process has terminated"}\n',
        "llama runner process has terminated",
    ),
    "last line": (NDJSON, b'{"error":"unfinished"}', "unfinished"),
    "object": ("application/json", b'{"error": {"type": "server_error"}}', "server_error"),
    "object without a word": ("application/json", b'{"error": {"code": 5}}', "error"),
}
NO_FAULTS = {
    "text that speaks of errors": (SSE, b'data: {"token": "\\"error\\": 5"}\n\n'),
    "an error that is null": ("application/json", b'{"output": [], "error": null}'),
    "an error further in": ("application/json", b'{"choices": [{"error": "no"}]}'),
    "an event after an error event's end": (SSE, b"event: error\n\ndata: fine\n\n"),
    "an image": ("image/png", b'\x89PNG {"error": "no"}'),
    "broken JSON": ("application/json", b'{"error": '),
    "deep JSON": ("application/json", b'{"error":' + b"[" * 100_000),
    "a long object": ("application/json", b'{"image": "' + b"x" * EVENT_BYTES_MAX + b'", "error": "no"}'),
}


@pytest.mark.parametrize("step", [7, 10_000])
@pytest.mark.parametrize("name", FAULTS)
def test_an_error_inside_a_200_is_found_wherever_the_chunks_end(name: str, step: int) -> None:
    content_type, body, message = FAULTS[name]

    assert fault(content_type, body, step=step) == message


@pytest.mark.parametrize("name", NO_FAULTS)
def test_what_is_no_error_is_none(name: str) -> None:
    assert fault(*NO_FAULTS[name]) == ""


@pytest.mark.parametrize("step", [1, 9, 10_000])
@pytest.mark.parametrize(("content_type", "event"), [(SSE, b'data: {"token": 1}\n\n'), (NDJSON, b'{"token": 1}\n')])
def test_units_are_counted_wherever_the_chunks_end(content_type: str, event: bytes, step: int) -> None:
    reader, body = reader_of(content_type, one_each), event * 5

    assert sum(reader.feed(body[at : at + step]) for at in range(0, len(body), step)) == 5


@pytest.mark.parametrize("content_type", [SSE, NDJSON, "application/json", "image/png"])
def test_a_reply_without_an_end_does_not_fill_the_memory(content_type: str) -> None:
    reader = reader_of(content_type, one_each)
    for _ in range(40):
        reader.feed(b"x" * (EVENT_BYTES_MAX // 8))
    held = [len(value) for name in ("_partial", "_body") if isinstance(value := getattr(reader, name, b""), bytes)]

    assert max(held) <= 2 * EVENT_BYTES_MAX
