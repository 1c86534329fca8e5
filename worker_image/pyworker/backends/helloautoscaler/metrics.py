"""Load of `helloautoscaler` requests: the units of work that they ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

UNITS_DEFAULT: Final = 1.0
UNITS_MAX: Final = 1e6


def load_of(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return `units` of the payload."""
    value = payload.get("units", UNITS_DEFAULT)
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return UNITS_DEFAULT
    return float(min(max(value, 0.0), UNITS_MAX))
