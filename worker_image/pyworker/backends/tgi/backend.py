"""TGI behind a worker: `/generate` and `/generate_stream`, measured by generated tokens."""

from __future__ import annotations

from typing import Final

from pyworker.backend import Ask, Backend, Route, Trial
from pyworker.backends.openai.dialect import CHAT
from pyworker.backends.tgi.logwatch import LOG_RULES
from pyworker.backends.tgi.metrics import METRICS, load_of, token_units
from pyworker.language import text_tokens, trial_prompt

GENERATE: Final = Route(path="/generate", load=load_of)
GENERATE_STREAM: Final = Route(path="/generate_stream", load=load_of, units=token_units)


def trial(ask: Ask) -> Trial:
    """Ask for so many tokens, streamed. TGI cannot be told to ignore the end of text, so what counts is what comes."""
    prompt = trial_prompt(ask)
    payload = {"inputs": prompt, "parameters": {"max_new_tokens": max(1, round(ask.units)), "do_sample": False}}
    return Trial(route=GENERATE_STREAM, payload=payload, prompt_tokens=text_tokens(prompt))


BACKEND: Final = Backend(
    name="tgi",
    routes=(GENERATE, GENERATE_STREAM, CHAT),
    trial=trial,
    trial_units_min=16,
    trial_units_max=256,
    metrics=METRICS,
    log_rules=LOG_RULES,
    required_environment=("MODEL_ID",),
)
