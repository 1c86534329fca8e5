"""What one tick is told as: a line for the log and a few metrics. Neither holds a secret, an environment or a label's token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from functions.core.plan import DestroyStray
from functions.scale.apply import Result
from functions.scale.tick import Tick

# Fact of a decision -> (metric, unit). docs/operations lists them: change both together.
FACT_METRICS: Final[Mapping[str, str]] = {
    "workers_ready": "WorkersReadyCount",
    "workers_booting": "WorkersBootingCount",
    "workers_stopped": "WorkersColdCount",
    "held_micro_usd_per_hour": "HeldCostMicroUsdPerHour",
    "waiting": "RequestsWaitingNowCount",
    "oldest_wait_s": "OldestWaitSeconds",
    "arriving_load_per_s": "ArrivingLoadPerSecond",
    "serving_load_per_s": "ServingLoadPerSecond",
}
METRIC_UNLISTED: Final = "MarketplaceUnavailableCount"
METRIC_REFUSED: Final = "MarketplaceRefusalsCount"
METRIC_STRAYS: Final = "StraysDestroyedCount"


def metrics(done: Tick) -> Mapping[str, float]:
    """Return the metrics of one tick."""
    told = {name: done.plan.facts[fact] for fact, name in FACT_METRICS.items() if fact in done.plan.facts}
    results = Counter(outcome.result for outcome in done.outcomes)
    strays = sum(isinstance(outcome.action, DestroyStray) for outcome in done.outcomes)
    counts = {
        METRIC_UNLISTED: float(done.snapshot.listing is None),
        METRIC_REFUSED: float(results[Result.REFUSED]),
        METRIC_STRAYS: float(strays),
    }
    return {**told, **{name: count for name, count in counts.items() if count}}


def line(done: Tick) -> Mapping[str, Any]:
    """Return the fields of the decision's log line."""
    return {
        "endpoint": done.snapshot.group.endpoint,
        "sentences": list(done.plan.sentences),
        "facts": dict(done.plan.facts),
        "cadence": done.plan.cadence.value,
        "results": dict(Counter(f"{type(outcome.action).__name__} {outcome.result.value}" for outcome in done.outcomes)),
        "troubles": [outcome.message for outcome in done.outcomes if outcome.message],
        "listed": done.snapshot.listing is not None,
        "recorded": done.recorded,
    }
