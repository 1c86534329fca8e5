"""Load of image models, the same for every server of them.

One unit of load is a megapixel-step: a step of the sampler over a million pixels. A picture of 512 x 512 pixels in 20 steps is 5.24
units; time grows a little faster than that with the size (attention) and not at all with the prompt.
"""

from __future__ import annotations

from typing import Final

from pyworker.metrics import bounded_load

PIXELS_PER_UNIT: Final = 1_000_000
SIDE_DEFAULT: Final = 512
STEPS_DEFAULT: Final = 20


def sampling_load(*, width: float, height: float, steps: float, images: float = 1) -> float:
    """Return the load of sampling so many images of so many pixels in so many steps."""
    return bounded_load(width * height * steps * images / PIXELS_PER_UNIT)


def steps_for(units: float, *, side: int = SIDE_DEFAULT, steps_max: int = 50) -> int:
    """Return in how many steps a square image is about `units` of load."""
    return min(max(1, round(units * PIXELS_PER_UNIT / side**2)), steps_max)
