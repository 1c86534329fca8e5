r"""What TGI's launcher and router write, versions 0.8 to 3.3 (sources of those tags, issues, captured logs).

Three frames occur in one log, with `--json-output` too: the launcher's JSON `{"fields":{"message"}}`, the router's flat
`{"message"}`, and plain text (`2025-05-01T01:31:02.842858Z  INFO target: file:line: message`), in which panics and the last
`Error: …` always come. What the model's own Python process prints is passed on by the launcher as a message of its own.
"""

from __future__ import annotations

from typing import Final

from pyworker.frames import tracing_message
from pyworker.logwatch import LogRules

_ERROR_NAMES: Final = (
    "ArgumentValidation|CUDADeviceCountError|DownloadError|NotEnoughCUDADevices|ShardCannotStart|ShardDisconnected|ShardFailed"
    "|WebserverCannotStart|WebserverFailed|WebServer|TokenizerDownload|TooFewShards|EmptyShards|RouterCrashed"
)


LOG_RULES: Final = LogRules(
    message=tracing_message("text_generation"),
    ready=(r"Connected",),
    fatal=(
        rf"Error: (?:{_ERROR_NAMES})\b.*",
        r"Shard \d+ (?:failed to start|crashed)\b.*",
        r"Shard process was signaled to shutdown with signal \d+.*",
        r"Webserver Crashed.*",
        r"Download encountered an error:.*",
        r"Failed to bind to .+",
        r"(?:(?:\w+\.)*\w+: )*Not enough memory to handle (?:`max_total_tokens=|\d+ (?:total |prefill )?tokens|`max_batch).*",
    ),
    request_error=(
        r"(?:Input validation error|Request failed during generation|Incomplete generation|Template error): .*",
        r"Model is overloaded",
    ),
    loading=(
        r"Starting (?:check and )?download process.*",
        r"Download(?: file)?: .*",
        r"Files are already present on the host\. Skipping download\.",
        r"Successfully downloaded weights.*",
        r"Starting shard.*|Waiting for shard .*|Shard \d* ?ready in .*|Starting Webserver|Warming up model",
    ),
    stats=(r"Success",),
)
