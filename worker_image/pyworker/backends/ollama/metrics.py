"""Load of Ollama's own routes, and how many requests it takes at a time: what its environment says, since it tells nobody."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from pyworker.backends.openai.dialect import MEDIA_TOKENS, prompt_tokens
from pyworker.language import batch_slots, whole_number
from pyworker.metrics import Capacity, Metrics, bounded_load

NEW_TOKENS_DEFAULT: Final = 256  # num_predict -1, to the end of text, unless given
SLOTS_DEFAULT: Final = "1"  # OLLAMA_NUM_PARALLEL

_TEXT: Final = re.compile(rb'"(?:response|content|thinking)":\s*"(?!")')


def generate_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/api/generate` and `/api/chat`: system text, prompt, messages, images, `options.num_predict`."""
    given = payload.get("options")
    options = given if isinstance(given, dict) else {}
    images = payload.get("images")
    prompt = prompt_tokens([payload.get(name) for name in ("system", "prompt", "suffix", "messages")])
    media = MEDIA_TOKENS * len(images) if isinstance(images, list) else 0
    return bounded_load(prompt_weight * (prompt + media) + whole_number(options.get("num_predict"), default=NEW_TOKENS_DEFAULT))


def embed_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the load of `/api/embed`: a unit a token of its input."""
    return bounded_load(prompt_tokens(payload.get("input")))


def line_units(line: bytes) -> int:
    """Count the tokens of a line: one, if it carries text."""
    return _TEXT.search(line) is not None


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read the environment, and `/api/version`."""
    slots = batch_slots(requests=(os.environ.get("OLLAMA_NUM_PARALLEL") or SLOTS_DEFAULT,))
    return Capacity(slots=slots, version=f"ollama {known.get('version', '')}")


METRICS: Final = Metrics(capacity=capacity, info_path="/api/version", failed_statuses=frozenset({429}))
