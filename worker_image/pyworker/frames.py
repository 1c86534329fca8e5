"""Frames in which servers write a message, beside the usual ones that `logwatch.message_of` knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pyworker.logwatch import json_message

_LOGFMT_FIELD: Final = re.compile(r'\b(msg|error|err)=(?:"((?:[^"\\]|\\.)*)"|(\S+))')


def tracing_message(crate: str) -> Callable[[str], str]:
    """Return the reading of a Rust server's log: JSON, nested or flat, or text.

    Text is timestamp, level, spans, target, and the source position: `2025-…Z  INFO span{a="b"}: crate::x: y/z.rs:12: message`.
    """
    frame = re.compile(
        r"\d{4}-\d\d-\d\dT[\d:.]+Z\s+(?:TRACE|DEBUG|INFO|WARN|ERROR)\s+"
        rf"(?:[\w-]+(?:\{{[^{{}}]*\}})?: ?)*?(?:{crate}_\w+(?:::\w+)*: )(?:\S+\.rs:\d+: )?"
    )

    def message_of(line: str) -> str:
        return json_message(line) if line.startswith("{") else frame.sub("", line, count=1)

    return message_of


def logfmt_message(line: str) -> str:
    """Read logfmt (`time=… level=INFO msg="loaded" error="why"`): the message, and after a colon what the error is."""
    if not line.startswith("time="):
        return line
    return ": ".join(quoted or bare for _, quoted, bare in _LOGFMT_FIELD.findall(line))
