"""AUTOMATIC1111 behind a worker: text and image to image, measured by megapixel-steps."""

from __future__ import annotations

from typing import Final

from pyworker.backend import Ask, Backend, Route, Trial
from pyworker.backends.sdauto.logwatch import LOG_RULES
from pyworker.backends.sdauto.metrics import METRICS, image_load, one_image_load
from pyworker.images import SIDE_DEFAULT, steps_for
from pyworker.language import trial_prompt

TXT2IMG: Final = Route(path="/sdapi/v1/txt2img", load=image_load)
IMG2IMG: Final = Route(path="/sdapi/v1/img2img", load=image_load)
UPSCALE: Final = Route(path="/sdapi/v1/extra-single-image", load=one_image_load)


def trial(ask: Ask) -> Trial:
    """Ask for a picture of so many megapixel-steps."""
    payload = {
        "prompt": trial_prompt(ask),
        "width": SIDE_DEFAULT,
        "height": SIDE_DEFAULT,
        "steps": steps_for(ask.units),
        "seed": ask.rng.randrange(2**31),
    }
    return Trial(route=TXT2IMG, payload=payload, unit_load=image_load(payload, 0.0))


BACKEND: Final = Backend(
    name="sdauto",
    routes=(TXT2IMG, IMG2IMG, UPSCALE),
    trial=trial,
    trial_units_min=1.3,
    trial_units_max=13.1,
    metrics=METRICS,
    log_rules=LOG_RULES,
    health_path="/sdapi/v1/progress?skip_current_image=true",
    required_environment=("SDAUTO_DIR",),
)
