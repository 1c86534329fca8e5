r"""What oobabooga writes, March 2023 to 3.x (its source, logs in issues): bare lines, later `19:23:08-284548 INFO  message`.

Its logger wraps at the width of the console: launch.sh makes that wide, so that a message is one line.
"""

from __future__ import annotations

import re
from typing import Final

from pyworker.logwatch import LogRules

_FRAME: Final = re.compile(r"^\d\d:\d\d:\d\d-\d+ (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) +")


def ooba_message(line: str) -> str:
    """Take off time and level."""
    return _FRAME.sub("", line, count=1)


LOG_RULES: Final = LogRules(
    message=ooba_message,
    ready=(r'Loaded (?:the model|".*") in [\d.]+ seconds\..*',),
    fatal=(
        r"Failed to load the model\..*",
        r"The path to the model does not exist\. Exiting\..*",
        r"Could not load the model .*",
        r"(?:OSError|ERROR): +(?:Cannot find empty port|\[Errno 98\]) .*",
    ),
    request_error=(r"Exception in ASGI application.*",),
    loading=(
        r"Loading (?:the model|model|\S+)\s*\.\.\.",
        r'Loading ".*"',
        r"Starting (?:API|streaming server) at .*",
        r"(?:Blocking API|OpenAI.compatible API|OpenAI/Anthropic-compatible API) URL:.*",
    ),
    stats=(r"Output generated in .*",),
)
