r"""What an inference server's log says about whether it can serve.

A backend gives rules (regular expressions over the whole *message*, whatever frame it came in); this decides what a line is:

* READY is a hint: servers print it before they listen, before the model is loaded, and again on every reload. It makes the
  worker look at once; what counts is `readiness`.
* FATAL lines are named one by one. Level ERROR is not enough: servers log a client's bad request at it.
* CAUSE is an exception's line. It often comes just before a fatal line that says nothing, and is told along with it.
* REQUEST_ERROR is the failure of one request, at whatever level: not the server's, nor the cause of a later one.
* LOADING and STATS are what servers say of a start and of their work; with any other line (PROGRESS) they are signs of life.

Any line may also tell facts of the server (its version, how many requests it takes), by the named groups of a pattern.

The newest line of JSON or text decides nothing about earlier ones; the watch remembers one cause and the facts, and forgets
everything else.
"""

from __future__ import annotations

import enum
import functools
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

ERROR_TEXT_MAX: Final = 400
FACT_TEXT_MAX: Final = 100

# `torch.cuda.OutOfMemoryError: CUDA out of memory.` as a traceback prints it: at the start of the line.
_EXCEPTION: Final = r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)\b: .+"
# What loggers put before a message, in any order: process, date, time, level, source.
_FRAME: Final = re.compile(
    r"(?:(?:\([\w .:,=-]+\)"
    r"|\[?\d{2,4}[-/]\d\d(?:[-/]\d\d)?(?:[T ]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?)?\]?"
    r"|\[?\d\d:\d\d:\d\d[\d.,]*\]?"
    r"|\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\]?:?"
    r"|\[(?!Errno )[\w .:/=-]+\]"
    r")\s+)+"
)


class LineKind(enum.Enum):
    """What a line means."""

    READY = enum.auto()
    FATAL = enum.auto()
    REQUEST_ERROR = enum.auto()
    CAUSE = enum.auto()
    LOADING = enum.auto()
    STATS = enum.auto()
    PROGRESS = enum.auto()


def message_of(line: str) -> str:
    """Return what was said, out of the usual frames: JSON with `message` or `msg`, else text after date, level and source."""
    return json_message(line) if line.startswith("{") else line[frame.end() :] if (frame := _FRAME.match(line)) else line


def json_message(line: str) -> str:
    """Return the message of a JSON line, flat or under `fields`; the line itself if it is no JSON, nothing if it has none."""
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError):
        return line
    fields = entry.get("fields") if isinstance(entry, dict) else None
    found = [one.get(name) for one in (entry, fields) if isinstance(one, dict) for name in ("message", "msg")]
    return next((str(message) for message in found if message), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRules:
    """A backend's reading of its server's log. `message` takes a line out of its frame (JSON, timestamp, level).

    The rest are regular expressions that must match the whole message (a dot matches a line's end too). The named groups of
    `facts` become what `Metrics.capacity` is told.
    """

    ready: tuple[str, ...] = ()
    fatal: tuple[str, ...] = ()
    request_error: tuple[str, ...] = ()
    cause: tuple[str, ...] = (_EXCEPTION,)
    loading: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    message: Callable[[str], str] = message_of

    def classify(self, line: str) -> tuple[LineKind, str]:
        """Return what the line is, and its message."""
        message = self.message(line).strip()
        for kind, patterns in self._order():
            if patterns and _any_of(patterns).fullmatch(message):
                return kind, message
        return LineKind.PROGRESS, message

    def _order(self) -> tuple[tuple[LineKind, tuple[str, ...]], ...]:
        return (
            (LineKind.FATAL, self.fatal),
            (LineKind.READY, self.ready),
            (LineKind.REQUEST_ERROR, self.request_error),
            (LineKind.CAUSE, self.cause),
            (LineKind.LOADING, self.loading),
            (LineKind.STATS, self.stats),
        )

    def told(self, message: str) -> dict[str, str]:
        """Return the facts that a message tells."""
        found = [match.groupdict() for pattern in self.facts if (match := re.fullmatch(pattern, message, re.DOTALL))]
        return {name: text[:FACT_TEXT_MAX] for groups in found for name, text in groups.items() if text is not None}


@functools.lru_cache(maxsize=64)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL)


@dataclass(slots=True, kw_only=True)
class LogWatch:
    """Turns lines into three signals, and gathers `facts`. `on_fatal` gets a sentence that says why."""

    rules: LogRules
    on_ready: Callable[[], None]
    on_fatal: Callable[[str], None]
    on_progress: Callable[[], None]
    cause: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def see(self, line: str) -> None:
        """Take one line."""
        kind, message = self.rules.classify(line)
        self.facts |= self.rules.told(message)
        match kind:
            case LineKind.FATAL:
                self.on_fatal(self.explain(message))
            case LineKind.READY:
                self.on_ready()
            case LineKind.CAUSE:
                self.cause = message[:ERROR_TEXT_MAX]
            case LineKind.REQUEST_ERROR | LineKind.LOADING | LineKind.STATS | LineKind.PROGRESS:
                self.on_progress()

    def explain(self, message: str) -> str:
        """Return a fatal message with what led to it, as far as the log told."""
        told = message[:ERROR_TEXT_MAX]
        return f"{told} ({self.cause})" if self.cause and self.cause not in told else told

    async def watch(self, lines: AsyncIterator[str]) -> None:
        """Take lines until they end."""
        async for line in lines:
            self.see(line)
