"""What TEI writes, 1.0 to 1.9 (its source at 1.9.3, logs in issues): Rust's frames, as text or with `--json-output`."""

from __future__ import annotations

from typing import Final

from pyworker.frames import tracing_message
from pyworker.logwatch import LogRules

LOG_RULES: Final = LogRules(
    message=tracing_message("text_embeddings"),
    ready=(r"Ready",),
    fatal=(r"Error: (?:Could not create backend|Model backend is not healthy|Could not download model artifacts).*",),
    request_error=(r"(?:Input validation error: |Model is overloaded).*",),
    cause=(r"Could not start backend: .*", r"Error: .*"),
    loading=(r"Starting download", r"Model artifacts downloaded in .*", r"Starting model backend", r"Warming up model"),
    stats=(r"Success",),
)
