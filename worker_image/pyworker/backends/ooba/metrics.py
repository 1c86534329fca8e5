"""Load of oobabooga's first API. It generates one request at a time, and tells nothing of a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.language import text_tokens, whole_number
from pyworker.metrics import Metrics, bounded_load

NEW_TOKENS_DEFAULT: Final = 200  # max_new_tokens of the blocking API

METRICS: Final = Metrics()


def generate_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/api/v1/generate`: `prompt` and `max_new_tokens` (first called `max_length`)."""
    limit = whole_number(payload.get("max_length"), default=NEW_TOKENS_DEFAULT)
    new_tokens = whole_number(payload.get("max_new_tokens"), default=limit)
    return bounded_load(prompt_weight * text_tokens(payload.get("prompt")) + new_tokens)
