"""Anything with OpenAI's API. OPENAI_TRIAL says what it can be measured by, for a server that does not chat."""

from __future__ import annotations

import os
from typing import Final

from pyworker.backend import Backend, chosen
from pyworker.backends.openai.dialect import ROUTES, bearer, chat_trial, completion_trial, embedding_trial
from pyworker.backends.openai.logwatch import LOG_RULES
from pyworker.backends.openai.metrics import METRICS

TRIALS: Final = {"chat": chat_trial, "completions": completion_trial(), "embeddings": embedding_trial}

BACKEND: Final = Backend(
    name="openai",
    routes=ROUTES,
    trial=TRIALS[chosen("OPENAI_TRIAL", tuple(TRIALS))],
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    health_path=os.environ.get("OPENAI_HEALTH_PATH", "/v1/models"),
    server_headers=bearer("OPENAI_API_KEY"),
)
