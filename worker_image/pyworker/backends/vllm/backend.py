"""vLLM behind a worker: OpenAI's API and its own routes for ranking, measured by generated tokens."""

from __future__ import annotations

from typing import Final

from pyworker.backend import Backend, Route
from pyworker.backends.openai.dialect import RERANK, ROUTES, bearer, completion_trial, ranking_load, with_model
from pyworker.backends.vllm.logwatch import LOG_RULES
from pyworker.backends.vllm.metrics import METRICS

SCORE: Final = Route(path="/v1/score", load=ranking_load, prepare=with_model)

BACKEND: Final = Backend(
    name="vllm",
    routes=(*ROUTES, RERANK, SCORE),
    trial=completion_trial(ignore_eos=True, return_token_ids=True),
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    server_headers=bearer("VLLM_API_KEY"),
    required_environment=("MODEL_ID",),
)
