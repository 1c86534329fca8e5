"""What a run came to: dollars, waits, and the share of requests that began in time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.backtest.world import World

TARGET_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One policy over one trace. Waits in seconds, of the requests that began; shares of all requests."""

    trace: str
    policy: str
    usd: float
    bound_usd: float  # the lower bound (see `bound`); NaN: not asked for
    ideal_usd: float  # every machine always full, bought by the second
    within_target: float
    dropped: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    running_max: int
    seconds: float  # of computation

    @property
    def ratio(self) -> float:
        """Dollars over the lower bound."""
        return self.usd / self.bound_usd

    def json(self) -> dict[str, Any]:
        """Return the JSON object. What is not known is null."""
        return {name: None if value != value else value for name, value in asdict(self).items()}  # noqa: PLR0124 - NaN is not itself


def figures(world: World, policy: str, *, bound_usd: float = math.nan, seconds: float = math.nan) -> Figures:
    """Sum up a finished run: the part of its trace that is judged."""
    trace, kind = world.trace, world.rules.machine
    asked = range(trace.judged_from, len(trace.arrivals))
    began = [world.served.began_s[request] for request in asked]
    waits = sorted(at_s - trace.arrivals[request].at_s for request, at_s in zip(asked, began, strict=True) if not math.isnan(at_s))
    load = sum(trace.arrivals[request].load for request in asked)
    return Figures(
        trace=trace.name,
        policy=policy,
        usd=float(world.bill.total_micro_usd()) / 1e6,
        bound_usd=bound_usd,
        ideal_usd=load / kind.perf / 3_600 * kind.running_micro_usd_per_hour / 1e6,
        within_target=sum(wait_s <= TARGET_S for wait_s in waits) / len(asked),
        dropped=sum(request in world.served.dropped for request in asked) / len(asked),
        wait_p50_s=_quantile(waits, 0.50),
        wait_p95_s=_quantile(waits, 0.95),
        wait_p99_s=_quantile(waits, 0.99),
        running_max=max(moment.running for moment in world.history),
        seconds=seconds,
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan
