"""What vLLM tells of itself: its log says how many sequences it runs and how large its cache is, its page what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.language import batch_slots
from pyworker.metrics import Capacity, Metrics


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read the log's facts and `/version`. vLLM runs as many as fit its cache, and 256 unless told otherwise."""
    slots = batch_slots(requests=(known.get("max_num_seqs"),), cache_tokens=known.get("cache_tokens"))
    return Capacity(slots=slots, version=f"vllm {known.get('version', '')}")


METRICS: Final = Metrics(
    capacity=capacity,
    info_path="/version",
    gauges_path="/metrics",
    queue_depth=("vllm:num_requests_waiting",),
    cache_use=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
)
