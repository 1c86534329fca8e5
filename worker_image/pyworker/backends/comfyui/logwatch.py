r"""What ComfyUI writes, 2023 to 2026 (its source, logs in issues): bare lines, and in its log file behind a time and a dash.

It is ready before any model is loaded: models load with the first workflow, which is the trial. What fails there is one request's.
"""

from __future__ import annotations

import re
from typing import Final

from pyworker.logwatch import LogRules

_FRAME: Final = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+ - (?:\[?(?:INFO|WARNING|ERROR)\]? )?")


def comfyui_message(line: str) -> str:
    """Take off the time."""
    return _FRAME.sub("", line, count=1)


LOG_RULES: Final = LogRules(
    message=comfyui_message,
    ready=(r"To see the GUI go to: http.*",),
    fatal=(
        r"OSError: \[Errno 98\] .*address already in use.*",
        r"RuntimeError: (?:Found no NVIDIA driver on your system|No CUDA GPUs are available).*",
        r"RuntimeError: Unexpected error from cudaGetDeviceCount.*",
    ),
    request_error=(
        r"!!! Exception during processing ?!!!.*",
        r"Got an OOM, unloading all loaded models\..*",
        r"(?:torch\.(?:cuda\.)?)?OutOfMemoryError: .*",
        r"invalid prompt: .*",
        r"Failed to validate prompt for output .*",
        r".*Value not in list: .*",
    ),
    loading=(r"Starting server", r"Requested to load .*", r"Loading \d+ new models?", r"loaded (?:completely|partially).*"),
    stats=(r"Prompt executed in .*",),
)
