r"""What AUTOMATIC1111 prints, February 2023 to 1.10 (its source, logs in issues). No frame but what a log file adds.

The model is loaded in a thread of its own: its line and "Startup time" come in either order. If it cannot be loaded the process
stays up and answers, so that line is fatal here.
"""

from __future__ import annotations

from typing import Final

from pyworker.logwatch import LogRules

LOG_RULES: Final = LogRules(
    ready=(r"Model loaded in [\d.]+s\b.*",),
    fatal=(
        r"Stable diffusion model failed to load.*",
        r"OSError: Cannot find empty port in range: .*",
        r"ERROR: +\[Errno 98\] .*address already in use.*",
        r"RuntimeError: Torch is not able to use GPU.*",
    ),
    request_error=(r"\*\*\* (?:Error completing request|API error: ).*",),
    loading=(
        r"Loading weights \[.*",
        r"Creating model from config: .*",
        r"Startup time: .*",
        r"Running on local URL: .*",
        r"Downloading: .*",
    ),
    stats=(r"API \d{4}-\d\d-\d\d \S+ \d{3} \S+ POST /sdapi/.*",),
)
