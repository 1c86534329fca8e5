r"""What TGI's launcher and router write, versions 0.8 to 3.3 (sources of those tags, issues, captured logs).

Three frames occur in one log, with `--json-output` too: the launcher's JSON `{"fields":{"message"}}`, the router's flat
`{"message"}`, and plain text (`2025-05-01T01:31:02.842858Z  INFO target: file:line: message`), in which panics and the last
`Error: …` always come. What the model's own Python process prints is passed on by the launcher as a message of its own.
"""

from __future__ import annotations

import re
from typing import Final

from pyworker.logwatch import LogRules, json_message

# timestamp, level, then any spans and the target, and from the router the source position: `a::b: x/y.rs:12: `
_TEXT_FRAME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z\s+(?:TRACE|DEBUG|INFO|WARN|ERROR)\s+"
    r"(?:[\w-]+(?:\{[^{}]*\})?: ?)*?(?:text_generation_\w+(?:::\w+)*: )(?:\S+\.rs:\d+: )?"
)

_ERROR_NAMES: Final = (
    "ArgumentValidation|CUDADeviceCountError|DownloadError|NotEnoughCUDADevices|ShardCannotStart|ShardDisconnected|ShardFailed"
    "|WebserverCannotStart|WebserverFailed|WebServer|TokenizerDownload|TooFewShards|EmptyShards|RouterCrashed"
)


def message_of(line: str) -> str:
    """Return what was said, out of whichever frame. A JSON line without a message says nothing."""
    return json_message(line) if line.startswith("{") else _TEXT_FRAME.sub("", line, count=1)


LOG_RULES: Final = LogRules(
    message=message_of,
    ready=(r"Connected",),
    fatal=(
        rf"Error: (?:{_ERROR_NAMES})\b.*",
        r"Shard \d+ (?:failed to start|crashed)\b.*",
        r"Shard process was signaled to shutdown with signal \d+.*",
        r"Webserver Crashed.*",
        r"Download encountered an error:.*",
        r"Failed to bind to .+",
        r"(?:Error: )?.*Not enough memory to handle (?:`max_total_tokens=|\d+ (?:total |prefill )?tokens|`max_batch).*",
    ),
)
