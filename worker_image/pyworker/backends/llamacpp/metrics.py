"""Load of llama-server's own routes, and what it tells of itself. What is beyond its slots waits in it (`deferred`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.backends.openai.dialect import prompt_tokens
from pyworker.language import batch_slots, whole_number
from pyworker.metrics import Capacity, Metrics, bounded_load

NEW_TOKENS_DEFAULT: Final = 256  # n_predict -1, to the end of text, unless given
SLOTS_DEFAULT: Final = 1


def completion_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/completion` and `/infill`: `prompt` and what stands around it, and `n_predict` new tokens."""
    texts = [payload.get(name) for name in ("prompt", "input_prefix", "input_suffix", "input_extra")]
    new_tokens = whole_number(payload.get("n_predict"), default=NEW_TOKENS_DEFAULT)
    return bounded_load(prompt_weight * prompt_tokens(texts) + new_tokens)


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read `/props` (`total_slots`), else the log's facts: a slot runs one request, and there are as many as `-np` says."""
    slots = batch_slots(requests=(known.get("total_slots", known.get("n_slots", SLOTS_DEFAULT)),))
    return Capacity(slots=slots, version=f"llama.cpp {known.get('build_info', '')}")


METRICS: Final = Metrics(
    capacity=capacity,
    info_path="/props",
    gauges_path="/metrics",
    queue_depth=("llamacpp:requests_deferred",),
    cache_use=("llamacpp:kv_cache_usage_ratio",),  # until 2025
)
