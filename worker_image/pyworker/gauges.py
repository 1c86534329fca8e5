"""How long the inference server's own queue is and how full its cache, read from its Prometheus page while the worker serves.

The text format (prometheus.io/docs/instrumenting/exposition_formats; OpenMetrics is alike in what is read here) holds one sample a
line: `name{labels} value [timestamp]`. Only named gauges are read, and nothing is believed beyond their range.

A page that cannot be read, or does not hold the names, leaves the values unknown, which is not zero.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

from pyworker.metrics import Gauges, Metrics
from pyworker.upstream import Upstream, UpstreamFailed

LOOK_BUSY_S: Final = 2.0
LOOK_IDLE_S: Final = 10.0
QUEUE_DEPTH_MAX: Final = 10**9

# Labels hold quoted values in which a brace may stand, hence the greedy match up to the last one of the line.
_SAMPLE: Final = re.compile(rb"^([A-Za-z_:][\w:]*)(?:\{.*\})?[ \t]+(\S+)", re.MULTILINE)

_log = logging.getLogger(__name__)


def read_gauges(page: bytes, metrics: Metrics) -> Gauges:
    """Read a Prometheus page by a backend's names. Never raises."""
    wanted = {part.encode() for name in (*metrics.queue_depth, *metrics.cache_use) for part in name.split("/")}
    samples: dict[bytes, list[float]] = {}
    for name, text in _SAMPLE.findall(page):
        if name in wanted and not math.isnan(value := _number(text)):
            samples.setdefault(name, []).append(value)
    queues, caches = _first(samples, metrics.queue_depth), _first(samples, metrics.cache_use)
    return Gauges(
        queue_depth=round(min(max(sum(queues), 0.0), QUEUE_DEPTH_MAX)) if queues else None,
        cache_use=min(max(0.0, *caches), 1.0) if caches else None,
    )


def _first(samples: dict[bytes, list[float]], names: Sequence[str]) -> list[float]:
    return next((found for name in names if (found := _of(samples, *name.encode().split(b"/")))), [])


def _of(samples: dict[bytes, list[float]], name: bytes, limit: bytes = b"") -> list[float]:
    """Return a gauge's values; with the name of its limit, the share of it that is used."""
    if not limit:
        return samples.get(name, [])
    return [value / whole for value, whole in zip(samples.get(name, []), samples.get(limit, []), strict=False) if whole > 0]


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


async def watch_gauges(upstream: Upstream, *, take: Callable[[Gauges], None], busy: Callable[[], bool]) -> None:
    """Read the page for ever, more often while the worker is busy; a page that cannot be read is told once in a row."""
    metrics, failing = upstream.backend.metrics, False
    while metrics.gauges_path is not None:
        try:
            take(read_gauges(await upstream.page(metrics.gauges_path), metrics))
            failing = False
        except UpstreamFailed as exc:
            take(Gauges())
            if not failing:
                _log.warning("gauges not read: %s", exc)
            failing = True
        await asyncio.sleep(LOOK_BUSY_S if busy() else LOOK_IDLE_S)
