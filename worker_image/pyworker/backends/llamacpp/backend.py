"""llama-server behind a worker: OpenAI's API and its own `/completion`, measured by generated tokens.

It breaks every second reply on a connection that carried a stream before (30 of 60, November 2026; none of 60 on new ones), so
each request gets a connection of its own.
"""

from __future__ import annotations

from typing import Final

from pyworker.backend import Backend, Route
from pyworker.backends.llamacpp.logwatch import LOG_RULES
from pyworker.backends.llamacpp.metrics import METRICS, completion_load
from pyworker.backends.openai.dialect import RERANK, ROUTES, bearer, completion_trial, token_units

COMPLETION: Final = Route(path="/completion", load=completion_load, units=token_units)
INFILL: Final = Route(path="/infill", load=completion_load, units=token_units)

BACKEND: Final = Backend(
    name="llamacpp",
    routes=(*ROUTES, COMPLETION, INFILL, RERANK),
    trial=completion_trial(ignore_eos=True, cache_prompt=False),
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    keeps_connections=False,
    server_headers=bearer("LLAMA_API_KEY"),
    required_environment=("MODEL_ID",),
)
