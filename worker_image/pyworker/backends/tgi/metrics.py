"""Load of TGI requests, the tokens of its replies, the capacity it tells at `/info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.language import TOKENS_PER_REQUEST, batch_slots, text_tokens, whole_number
from pyworker.metrics import Capacity, Metrics, bounded_load

# The default of TGI 1.4 to 2.4. It was 20 before, and is the rest of the context since 3.0, which no estimate can know.
MAX_NEW_TOKENS_DEFAULT: Final = 100
SLOTS_DEFAULT: Final = 16


def load_of(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return `prompt_weight` x prompt tokens + new tokens, for each of `best_of` sequences."""
    given = payload.get("parameters")
    parameters = given if isinstance(given, dict) else {}
    new_tokens = whole_number(parameters.get("max_new_tokens"), default=MAX_NEW_TOKENS_DEFAULT)
    sequences = whole_number(parameters.get("best_of"), default=1)
    return bounded_load(prompt_weight * text_tokens(payload.get("inputs")) + new_tokens * sequences)


def token_units(event: bytes) -> int:
    """Count the tokens of an event of `/generate_stream`: one each, `{"index":1,"token":{…},…}`."""
    return b'"token":' in event


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read `/info`. The least of the limits that it states; `max_batch_size` is only there if it was set."""
    slots = batch_slots(
        requests=(known.get("max_batch_size"), known.get("max_concurrent_requests")),
        cache_tokens=known.get("max_batch_total_tokens", SLOTS_DEFAULT * TOKENS_PER_REQUEST),
    )
    return Capacity(slots=slots, version=f"tgi {known.get('version', '')}")


# 424: a generation failed; 429: the server is overloaded.
METRICS: Final = Metrics(
    capacity=capacity,
    info_path="/info",
    failed_statuses=frozenset({424, 429}),
    gauges_path="/metrics",
    queue_depth=("tgi_queue_size",),
    cache_use=("tgi_batch_current_max_tokens/tgi_batch_max_total_tokens",),
)
