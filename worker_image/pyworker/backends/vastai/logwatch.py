"""A worker file's own pieces of lines: one of `on_load` means ready, one of `on_error` failed, one of `on_info` progress."""

from __future__ import annotations

import re

from pyworker.backends.vastai.surface import LogActionConfig
from pyworker.logwatch import LogRules


def rules_of(config: LogActionConfig) -> LogRules:
    """Return the rules. Such files list pieces of whole lines, frames and all."""
    return LogRules(
        message=lambda line: line,
        ready=_anywhere(config.on_load),
        fatal=_anywhere(config.on_error),
        loading=_anywhere(config.on_info),
    )


def _anywhere(pieces: list[str]) -> tuple[str, ...]:
    return tuple(f".*{re.escape(piece)}.*" for piece in pieces)
