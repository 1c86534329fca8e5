"""What requests mean for load, and what an inference server tells of itself: the reporting half of a backend.

A request's load is stated by its ticket and accounted in `ledger`, the same for every server: it is in flight from its start to its
end, however it ends. What differs from server to server is here: how many requests it takes at a time, which of its answers are
failures of this worker, and under which names its Prometheus page tells how long its queue is and how full its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

LOAD_MAX: Final = 1e9
PROMPT_WEIGHT: Final = 0.2  # load of a prompt token in generated tokens, until it is measured
TOO_MANY_REQUESTS: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many requests the server takes at a time, and which software says so (part of what a measurement is kept under)."""

    slots: int
    version: str = ""


def one_at_a_time(_known: Mapping[str, Any]) -> Capacity:
    """Return the capacity of a server that works off one request after another."""
    return Capacity(slots=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """A backend's reading of what its server tells; the default is a serial server that tells nothing.

    `capacity(known)` reads what is known of the running server: the facts that its log told (named groups of `LogRules.facts`,
    as text) under the JSON object of `info_path`. It never raises. `failed_statuses` are answers that count as failures of this
    worker, beside every 5xx; any other 4xx is the server's judgement of a payload: a service rendered.

    `queue_depth` and `cache_use` name gauges of the Prometheus page at `gauges_path`, newest name first; the first that is there
    counts: summed over its label sets for the queue, the fullest of them for the cache (0 to 1, or `used/limit`: two gauges).
    """

    capacity: Callable[[Mapping[str, Any]], Capacity] = one_at_a_time
    info_path: str | None = None
    failed_statuses: frozenset[int] = frozenset({TOO_MANY_REQUESTS})
    gauges_path: str | None = None
    queue_depth: tuple[str, ...] = ()
    cache_use: tuple[str, ...] = ()

    def failed(self, status: int) -> bool:
        """Tell whether an answer with this status is a failure of this worker."""
        return status >= 500 or status in self.failed_statuses


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What the server's page told last; None: it does not tell."""

    queue_depth: int | None = None  # requests that it holds and has not begun
    cache_use: float | None = None  # 0 to 1


SERIAL: Final = Metrics()


def bounded_load(load: float) -> float:
    """Keep a load that a stranger's payload gave rise to within what can be counted; NaN counts as nothing."""
    return min(max(load, 0.0), LOAD_MAX) if load == load else 0.0  # noqa: PLR0124 - NaN alone differs from itself
