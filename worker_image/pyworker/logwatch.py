"""What an inference server's log says about whether it can serve.

A backend gives rules (regular expressions over the *message*, whatever frame it came in); this decides what a line is:

* READY is a hint: servers print it before they listen, before the model is loaded, and again on every reload. It makes the
  worker look at once; what counts is `readiness`.
* FATAL lines are named one by one. Level ERROR is not enough: servers log a client's bad request at it.
* CAUSE is an exception's line. It often comes just before a fatal line that says nothing, and is told along with it.
* PROGRESS is any other sign of life.

The newest line of JSON or text decides nothing about earlier ones; the watch remembers one cause and forgets everything else.
"""

from __future__ import annotations

import enum
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from re import Pattern
from typing import Final

ERROR_TEXT_MAX: Final = 400

# `torch.cuda.OutOfMemoryError: CUDA out of memory.` as a traceback prints it: at the start of the line.
_EXCEPTION: Final = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)\b: .+")


class LineKind(enum.Enum):
    """What a line means."""

    READY = enum.auto()
    FATAL = enum.auto()
    CAUSE = enum.auto()
    PROGRESS = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRules:
    """A backend's reading of its server's log. `message` takes a line out of its frame (JSON, timestamp, level)."""

    message: Callable[[str], str]
    ready: tuple[Pattern[str], ...]
    fatal: tuple[Pattern[str], ...]
    cause: tuple[Pattern[str], ...] = field(default=(_EXCEPTION,))

    def classify(self, line: str) -> tuple[LineKind, str]:
        """Return what the line is, and its message."""
        message = self.message(line).strip()
        for kind, patterns in ((LineKind.FATAL, self.fatal), (LineKind.READY, self.ready), (LineKind.CAUSE, self.cause)):
            if any(pattern.fullmatch(message) for pattern in patterns):
                return kind, message
        return LineKind.PROGRESS, message


@dataclass(slots=True, kw_only=True)
class LogWatch:
    """Turns lines into three signals. `on_fatal` gets a sentence that says why."""

    rules: LogRules
    on_ready: Callable[[], None]
    on_fatal: Callable[[str], None]
    on_progress: Callable[[], None]
    cause: str = ""

    def see(self, line: str) -> None:
        """Take one line."""
        kind, message = self.rules.classify(line)
        match kind:
            case LineKind.FATAL:
                self.on_fatal(self.explain(message))
            case LineKind.READY:
                self.on_ready()
            case LineKind.CAUSE:
                self.cause = message[:ERROR_TEXT_MAX]
            case LineKind.PROGRESS:
                self.on_progress()

    def explain(self, message: str) -> str:
        """Return a fatal message with what led to it, as far as the log told."""
        told = message[:ERROR_TEXT_MAX]
        return f"{told} ({self.cause})" if self.cause and self.cause not in told else told

    async def watch(self, lines: AsyncIterator[str]) -> None:
        """Take lines until they end."""
        async for line in lines:
            self.see(line)
