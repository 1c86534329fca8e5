"""Load of ComfyUI's workflows, which run one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.images import SIDE_DEFAULT, STEPS_DEFAULT, sampling_load
from pyworker.language import whole_number
from pyworker.metrics import Capacity, Metrics


def workflow_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the sum of all `steps` in the workflow x its largest `width` x `height` (x `batch_size`, x `length` of a video).

    What is no plain number, because it comes out of another node, is not seen; without any, it counts as 512 x 512 in 20 steps.
    """
    nodes = payload.get("prompt")
    inputs = [
        node["inputs"]
        for node in (nodes.values() if isinstance(nodes, dict) else ())
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    ]
    steps = sum(_count(one, "steps", 0) for one in inputs) or STEPS_DEFAULT
    pixels = max([0, *(_pixels(one) for one in inputs)]) or SIDE_DEFAULT**2
    return sampling_load(width=pixels, height=1, steps=steps)


def _pixels(inputs: Mapping[str, Any]) -> int:
    area = _count(inputs, "width", 0) * _count(inputs, "height", 0)
    return area * _count(inputs, "batch_size", 1) * _count(inputs, "length", 1)


def _count(inputs: Mapping[str, Any], name: str, default: int) -> int:
    return whole_number(inputs.get(name), default=default)


def capacity(known: Mapping[str, Any]) -> Capacity:
    """Read `/system_stats`."""
    system = known.get("system")
    version = system.get("comfyui_version", "") if isinstance(system, dict) else ""
    return Capacity(slots=1, version=f"comfyui {version}")


METRICS: Final = Metrics(capacity=capacity, info_path="/system_stats")
