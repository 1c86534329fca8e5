"""Ollama behind a worker: its own API (lines of JSON) and OpenAI's, measured by generated tokens."""

from __future__ import annotations

from typing import Final

from pyworker.backend import Ask, Backend, Route, Trial
from pyworker.backends.ollama.logwatch import LOG_RULES
from pyworker.backends.ollama.metrics import METRICS, embed_load, generate_load, line_units
from pyworker.backends.openai.dialect import ROUTES, with_model
from pyworker.language import text_tokens, trial_prompt

GENERATE: Final = Route(path="/api/generate", load=generate_load, units=line_units, prepare=with_model)
CHAT: Final = Route(path="/api/chat", load=generate_load, units=line_units, prepare=with_model)
EMBED: Final = Route(path="/api/embed", load=embed_load, prepare=with_model)


def trial(ask: Ask) -> Trial:
    """Ask for so many tokens. Ollama cannot be told to ignore the end of text, so what counts is what comes."""
    prompt = trial_prompt(ask)
    payload = {"prompt": prompt, "options": {"num_predict": max(1, round(ask.units)), "temperature": 0}}
    return Trial(route=GENERATE, payload=payload, prompt_tokens=text_tokens(prompt))


BACKEND: Final = Backend(
    name="ollama",
    routes=(GENERATE, CHAT, EMBED, *ROUTES),
    trial=trial,
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    health_path="/",
    model_url="http://127.0.0.1:11434",
    required_environment=("MODEL_ID",),
)
