r"""What llama-server writes, in four forms (each run: January and August 2024, May 2025, November 2026).

    {"level":"INFO","function":"main","line":3,"message":"model loaded"}          January 2024
    INFO [                    main] model loaded | tid="…" timestamp=…             August 2024
    main: server is listening on http://127.0.0.1:8080 - starting the main loop    May 2025
    0.00.588.590 I srv  llama_server: listening on http://127.0.0.1:8080           2026

Until 2025 the port is open before the model is loaded, and a line says so ("HTTP server is listening"); that is no sign.
"""

from __future__ import annotations

import re
from typing import Final

from pyworker.logwatch import LogRules, json_message

_FRAME: Final = re.compile(r"^(?:\d+\.\d\d\.\d{3}\.\d{3} [A-Z] |(?:INFO|WARN|ERR|VERB|DBUG) \[ *\w+\] )")
_SOURCE: Final = r"(?:main: |srv +\w+(?:\(\))?: |cmn +\w+: |\w+: )*"


def llama_message(line: str) -> str:
    """Take off JSON, time and level. The function's name stays: it tells lines of the same words apart."""
    return json_message(line) if line.startswith("{") else _FRAME.sub("", line, count=1)


LOG_RULES: Final = LogRules(
    message=llama_message,
    ready=(
        r"model loaded(?: \|.*)?",
        r"main: server is listening on http.*",
        r"srv +llama_server: listening on http.*",
    ),
    fatal=(
        _SOURCE + r"exiting due to (?:model loading|HTTP server) error.*",
        _SOURCE + r"couldn't bind (?:to |HTTP )?server socket.*",
        _SOURCE + r"unable to load model.*",
        r"(?:\S+/)?ggml-cuda(?:/\S+)?\.cu:\d+: CUDA error.*",
        r"CUDA error: .*",
        r"error: invalid argument: .*",
    ),
    request_error=(r"srv +send_error: .*", r"srv +operator\(\): got exception: .*"),
    cause=(
        r"ggml_\w+: (?:cudaMalloc failed: out of memory|insufficient memory|failed to allocate).*",
        r"llama_\w+: (?:.*: )?failed to allocate buffer for kv cache.*",
        r"llama_model_load: error loading model: .*",
        r"gguf_init_from_\w+: (?:failed to open GGUF file|invalid magic characters).*",
        r"llama_model_load_from_file_impl: exactly one out .*",
    ),
    loading=(r"srv +load_model: loading model .*", r"main: HTTP server is listening.*", r"HTTP server (?:is )?listening.*"),
    stats=(r"(?:slot +print_timing: id +\d+ \| task \d+ \| +)?total time = .*", r"print_timings: +total time = .*"),
    facts=(r"(?:srv +load_model|\S+): initializing(?: slots)?, n_slots = (?P<n_slots>\d+).*",),
)
