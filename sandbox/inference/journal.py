"""Log lines in the forms of TGI 3 with `--json-output`: the launcher's nested JSON, the router's flat JSON, plain text at the end.

Forms, targets and wording follow the sources of tag v3.3.7 (launcher/src/main.rs, router/src/server.rs, router/src/logging.rs).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any, Final, TextIO

_LAUNCHER: Final = "text_generation_launcher"
_ROUTER: Final = "text_generation_router::server"


class Journal:
    """Writes to `out`, a line at a time. `now_s` gives epoch seconds."""

    def __init__(self, out: TextIO, *, now_s: Callable[[], float]) -> None:
        self._out = out
        self._now_s = now_s

    def launcher(self, message: str, *, level: str = "INFO") -> None:
        """Write a line of the launcher."""
        self._json({"level": level, "fields": {"message": message}, "target": _LAUNCHER})

    def router(self, message: str, *, line: int, **more: Any) -> None:
        """Write a line of the router."""
        position = {"target": _ROUTER, "filename": "router/src/server.rs", "line_number": line}
        self._json({"level": "INFO", "message": message, **position, **more})

    def success(self, *, spans: dict[str, float], new_tokens: int) -> None:
        """Write what the router writes of a served request; spans in seconds."""
        times = {name: rust_duration(seconds) for name, seconds in spans.items()}
        parameters = f"GenerateParameters {{ best_of: None, max_new_tokens: Some({new_tokens}), seed: None }}"
        span = {**times, "parameters": parameters, "seed": "None", "name": "generate"}
        self.router("Success", line=432, span=span, spans=[{"name": "generate"}])

    def plain(self, text: str) -> None:
        """Write a line of text, as the launcher's last one is, whatever the format."""
        self._out.write(text + "\n")
        self._out.flush()

    def _json(self, entry: dict[str, Any]) -> None:
        at = dt.datetime.fromtimestamp(self._now_s(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.plain(json.dumps({"timestamp": at, **entry}, separators=(",", ":"), ensure_ascii=False))


def rust_duration(seconds: float) -> str:
    """Write a duration as Rust's Debug does: `1.195713965s`, `18.683ms`, `686.203µs`, to the nanosecond."""
    nanoseconds = round(seconds * 1e9)
    for unit, digits in (("s", 9), ("ms", 6), ("µs", 3)):
        if nanoseconds >= 10**digits:
            return f"{nanoseconds / 10**digits:.{digits}f}".rstrip("0").rstrip(".") + unit
    return f"{nanoseconds}ns"
