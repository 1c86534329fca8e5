"""What a server of which nothing but its API is known tells: nothing. One request at a time, unless HEADGATE_SLOTS says more."""

from __future__ import annotations

from typing import Final

from pyworker.metrics import Metrics

METRICS: Final = Metrics()
