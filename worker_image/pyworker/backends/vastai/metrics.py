"""How many requests a worker file's server takes at a time: as many as it is measured with, if all its routes may be parallel."""

from __future__ import annotations

from collections.abc import Sequence

from pyworker.backends.vastai.routes import Handler
from pyworker.metrics import Capacity, Metrics


def metrics_of(handlers: Sequence[Handler], measured: Handler) -> Metrics:
    """Return the metrics."""
    slots = measured.concurrency if all(handler.parallel for handler in handlers) else 1
    return Metrics(capacity=lambda _known: Capacity(slots=slots))
