"""Load of AUTOMATIC1111's requests. A lock lets one run at a time; the rest waits in it, unordered, so it waits with us instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyworker.images import SIDE_DEFAULT, sampling_load
from pyworker.language import whole_number
from pyworker.metrics import Metrics

STEPS_DEFAULT: Final = 50  # of the API; the page's own default is 20
HIRES_SCALE_DEFAULT: Final = 2.0
HIRES_SCALE_MAX: Final = 8.0
UPSCALE_LOAD: Final = 1.0

METRICS: Final = Metrics()


def image_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return width x height x steps x `batch_size` x `n_iter`, and the same again enlarged with `enable_hr`."""
    width = whole_number(payload.get("width"), default=SIDE_DEFAULT)
    height = whole_number(payload.get("height"), default=SIDE_DEFAULT)
    steps = whole_number(payload.get("steps"), default=STEPS_DEFAULT)
    images = whole_number(payload.get("batch_size"), default=1) * whole_number(payload.get("n_iter"), default=1)
    load = sampling_load(width=width, height=height, steps=steps, images=images)
    if payload.get("enable_hr") is not True:
        return load
    second = whole_number(payload.get("hr_second_pass_steps"), default=steps)
    scale = _scale(payload.get("hr_scale"))
    return load + sampling_load(width=scale * width, height=scale * height, steps=second, images=images)


def one_image_load(_payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the load of enlarging one image, which samples nothing: a flat unit."""
    return UPSCALE_LOAD


def _scale(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= HIRES_SCALE_MAX
    return float(value) if known else HIRES_SCALE_DEFAULT
