r"""What SGLang writes, 0.2 to 0.5 (its source, logs in issues): `[2025-05-14 09:31:43 TP0] message`, at first without the date.

It warms up with a request of its own after uvicorn listens, so its last line is the sign, not uvicorn's.
"""

from __future__ import annotations

import re
from typing import Final

from pyworker.logwatch import LogRules, message_of

_FRAME: Final = re.compile(r"^\[(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(?: [A-Z]+\d+)*\] ")


def sglang_message(line: str) -> str:
    """Take off time and rank, and then what uvicorn puts before its own lines."""
    return message_of(_FRAME.sub("", line, count=1))


LOG_RULES: Final = LogRules(
    message=sglang_message,
    ready=(r"The server is fired up and ready to roll!",),
    fatal=(
        r"(?:Scheduler|DetokenizerManager|TokenizerManager) hit an exception: .*",
        r"Received sigquit from a child process\. It usually means the child failed\..*",
        r"Initialization failed\. (?:warmup )?error: .*",
        r"(?:RuntimeError|ValueError): Not enough memory\. Please try to increase --mem-fraction-static\..*",
        r"\[Errno 98\] .*address already in use.*",
    ),
    request_error=(r"Exception in ASGI application.*", r"Error: .*Input length .*", r"Health check failed\. .*"),
    loading=(r"Load weight (?:begin|end)\..*", r"Capture (?:cuda )?graph.*", r"Memory pool end\..*"),
    stats=(r"(?:Prefill|Decode) batch[.,]? .*",),
    facts=(
        r"max_total_num_tokens=(?P<max_total_num_tokens>\d+).*",
        r"max_total_num_tokens=.*\bmax_running_requests=(?P<max_running_requests>\d+).*",
    ),
)
