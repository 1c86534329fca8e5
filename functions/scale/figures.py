"""What one tick is told as: a line for the log and a few metrics. Neither holds a secret, an environment or a label's token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from functions.core.plan import DestroyStray
from functions.scale.apply import Result
from functions.scale.tick import Tick

# Fact of a decision -> metric, whose unit stands last in its name. docs/operations lists them: change both together.
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
# Of these only what is above zero is told: a metric that is never written costs nothing.
TROUBLE_METRICS: Final[Mapping[str, str]] = {
    "budget_reached": "BudgetReachedCount",
    "no_offers": "NoOffersCount",
    "halted_autogroups": "AutogroupsHaltedCount",
    "avoided_machines": "MachinesAvoidedCount",
    "update_failed": "UpdatesFailedCount",
    "releases_unconfirmed": "ReleasesUnconfirmedCount",
}
METRIC_RELEASES: Final = TROUBLE_METRICS["releases_unconfirmed"]
METRIC_CREDIT: Final = "CreditLeftHours"
METRIC_UNLISTED: Final = "MarketplaceUnavailableCount"
METRIC_REFUSED: Final = "MarketplaceRefusalsCount"
METRIC_STRAYS: Final = "StraysDestroyedCount"


def metrics(done: Tick) -> Mapping[str, float]:
    """Return the metrics of one tick, which are the group's."""
    facts = done.plan.facts
    told = {name: facts[fact] for fact, name in FACT_METRICS.items() if fact in facts}
    results = Counter(outcome.result for outcome in done.outcomes)
    strays = sum(isinstance(outcome.action, DestroyStray) for outcome in done.outcomes)
    counts = {
        **{name: facts.get(fact, 0.0) for fact, name in TROUBLE_METRICS.items()},
        METRIC_UNLISTED: float(done.snapshot.listing is None),
        METRIC_REFUSED: float(results[Result.REFUSED]),
        METRIC_STRAYS: float(strays),
    }
    return {**told, **{name: count for name, count in counts.items() if count}}


def account_metrics(done: Tick) -> Mapping[str, float]:
    """Return the metrics of one tick that are the stack's, whichever group's it was: none, unless it has read the credit."""
    hours = done.plan.facts.get("credit_hours")
    return {METRIC_CREDIT: hours} if done.read_credit and hours is not None else {}


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
