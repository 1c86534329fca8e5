"""Load of SGLang's own route, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.backends.openai.dialect import prompt_tokens
from pyworker.language import batch_slots, whole_number
from pyworker.metrics import Capacity, Metrics, bounded_load

NEW_TOKENS_DEFAULT: Final = 128  # SamplingParams.max_new_tokens


def generate_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/generate`: `text` or `input_ids`, and `sampling_params` with `max_new_tokens` and `n`."""
    prompt = payload.get("text", payload.get("input_ids"))
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    given = payload.get("sampling_params")
    sampling = given if isinstance(given, dict) else {}
    new_tokens = whole_number(sampling.get("max_new_tokens"), default=NEW_TOKENS_DEFAULT)
    choices = whole_number(sampling.get("n"), default=1) * prompts
    return bounded_load(prompt_weight * prompt_tokens(prompt) + new_tokens * choices)


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read the log's facts and `/get_server_info`."""
    slots = batch_slots(requests=(known.get("max_running_requests"),), cache_tokens=known.get("max_total_num_tokens"))
    return Capacity(slots=slots, version=f"sglang {known.get('version', '')}")


METRICS: Final = Metrics(
    capacity=capacity,
    info_path="/get_server_info",
    gauges_path="/metrics",
    queue_depth=("sglang:num_queue_reqs",),
    cache_use=("sglang:token_usage",),
)
