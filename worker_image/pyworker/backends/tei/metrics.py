"""Load of TEI's routes: tokens of input. It is stateless, so there is no cache to tell of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.backends.openai.dialect import prompt_tokens
from pyworker.language import whole_number
from pyworker.metrics import Capacity, Metrics, bounded_load

# Requests that TEI batches by tokens: enough to fill its batch of 16,384 with usual texts. It admits 512.
SLOTS_MAX: Final = 32


def inputs_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the tokens of `inputs`: a text, texts, pairs of texts, or a source sentence and what to compare it with."""
    inputs = payload.get("inputs")
    return bounded_load(prompt_tokens(list(inputs.values()) if isinstance(inputs, dict) else inputs))


def rerank_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the tokens of `texts`, and of `query` once for each of them."""
    texts = payload.get("texts")
    pairs = len(texts) if isinstance(texts, list) else 1
    return bounded_load(prompt_tokens(texts) + pairs * prompt_tokens(payload.get("query")))


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read `/info`."""
    slots = min(whole_number(known.get("max_concurrent_requests"), default=SLOTS_MAX), SLOTS_MAX)
    return Capacity(slots=slots, version=f"tei {known.get('version', '')}")


METRICS: Final = Metrics(
    capacity=capacity,
    info_path="/info",
    failed_statuses=frozenset({424, 429}),
    gauges_path="/metrics",
    queue_depth=("te_queue_size",),
)
