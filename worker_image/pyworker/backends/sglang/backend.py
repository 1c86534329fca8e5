"""SGLang behind a worker: OpenAI's API and its own `/generate`, measured by generated tokens.

`/health` runs a token through the engine and takes a second; `/health_generate` is the same. It is what tells a hung engine.
"""

from __future__ import annotations

from typing import Final

from pyworker.backend import Backend, Route
from pyworker.backends.openai.dialect import ROUTES, bearer, completion_trial, token_units
from pyworker.backends.sglang.logwatch import LOG_RULES
from pyworker.backends.sglang.metrics import METRICS, generate_load

GENERATE: Final = Route(path="/generate", load=generate_load, units=token_units)

BACKEND: Final = Backend(
    name="sglang",
    routes=(*ROUTES, GENERATE),
    trial=completion_trial(ignore_eos=True),
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    server_headers=bearer("SGLANG_API_KEY"),
    required_environment=("MODEL_ID",),
)
