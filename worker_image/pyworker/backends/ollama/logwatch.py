r"""What Ollama writes, 0.1.30 to 2026 (its source, logs in issues).

Lines are `time=… level=INFO source=server.go:1339 msg="…"`, its web frame's `[GIN] …`, and bare ones of llama.cpp. It is ready
again at every load of a model. `headgate:` lines are those of launch.sh.
"""

from __future__ import annotations

from typing import Final

from pyworker.frames import logfmt_message
from pyworker.logwatch import LogRules

_RUNNER: Final = r"(?:[\w ]+: )?"

LOG_RULES: Final = LogRules(
    message=logfmt_message,
    ready=(r"llama runner started in .* seconds", r"llama-server started in .* seconds"),
    fatal=(
        _RUNNER + r"llama runner process has terminated: .*",
        _RUNNER + r"model requires more system memory \(.*",
        _RUNNER + r"timed out waiting for llama runner to start.*",
        r"Error: listen tcp .*: bind: address already in use",
        r"(?:\S+/)?ggml-cuda(?:/\S+)?\.cu:\d+: CUDA error.*",
        r"CUDA error: .*",
        r"headgate: .*",
    ),
    cause=(r"ggml_\w+: cudaMalloc failed: out of memory.*", r"Error: .*"),
    request_error=(r"\[GIN\] \S+ - \S+ \| 5\d\d \|.*",),
    loading=(r"Listening on \S+ \(version .*\)", r"downloading \S+ in \d+ .*part\(s\)", r"(?:pulling|verifying) .*"),
    stats=(r'\[GIN\] .* POST +"/(?:api|v1)/.*',),
    facts=(r"Listening on \S+ \(version (?P<version>[\w.-]+)\)",),
)
