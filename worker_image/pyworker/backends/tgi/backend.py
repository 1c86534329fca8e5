"""TGI behind a worker: `/generate` and `/generate_stream`, measured by generated tokens."""

from __future__ import annotations

import random
from typing import Final

from pyworker.backend import Backend, Route, Trial
from pyworker.backends.tgi.logwatch import LOG_RULES
from pyworker.backends.tgi.metrics import capacity, load_of, token_events
from pyworker.language import text_tokens, trial_prompt

GENERATE: Final = Route(path="/generate", load=load_of)
GENERATE_STREAM: Final = Route(path="/generate_stream", load=load_of, reader=token_events)


def trial(rng: random.Random, units: float, prompt_weight: float) -> Trial:
    """Ask for `units` tokens, streamed. TGI cannot be told to ignore the end of text, so what counts is what comes."""
    prompt = trial_prompt(rng, units)
    payload = {"inputs": prompt, "parameters": {"max_new_tokens": max(1, round(units)), "do_sample": False}}
    return Trial(route=GENERATE_STREAM, payload=payload, input_load=prompt_weight * text_tokens(prompt))


BACKEND: Final = Backend(
    name="tgi",
    routes=(GENERATE, GENERATE_STREAM),
    trial=trial,
    trial_units_min=16,
    trial_units_max=256,
    info_path="/info",
    capacity=capacity,
    log_rules=LOG_RULES,
    required_environment=("MODEL_ID",),
)
