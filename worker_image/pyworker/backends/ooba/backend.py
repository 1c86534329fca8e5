"""oobabooga behind a worker. OOBA_API says which API it speaks: `openai` (since November 2023), or `blocking` (until then).

The blocking API cannot stream: its stream was a WebSocket on a port of its own.
"""

from __future__ import annotations

from typing import Final

from pyworker.backend import Ask, Backend, Route, Trial, chosen
from pyworker.backends.ooba.logwatch import LOG_RULES
from pyworker.backends.ooba.metrics import METRICS, generate_load
from pyworker.backends.openai.dialect import CHAT, COMPLETIONS, completion_trial
from pyworker.language import trial_prompt

GENERATE: Final = Route(path="/api/v1/generate", load=generate_load)


def blocking_trial(ask: Ask) -> Trial:
    """Ask for so many tokens in one piece; it can be told not to stop before, so all of them are counted when it ends."""
    payload = {"prompt": trial_prompt(ask), "max_new_tokens": max(1, round(ask.units)), "ban_eos_token": True}
    return Trial(route=GENERATE, payload=payload, unit_load=float(max(1, round(ask.units))))


_BLOCKING: Final = chosen("OOBA_API", ("openai", "blocking")) == "blocking"

BACKEND: Final = Backend(
    name="ooba",
    routes=(GENERATE,) if _BLOCKING else (COMPLETIONS, CHAT),
    trial=blocking_trial if _BLOCKING else completion_trial(ban_eos_token=True),
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    health_path="/api/v1/model" if _BLOCKING else "/v1/internal/health",
    required_environment=("MODEL_ID", "OOBA_DIR"),
)
