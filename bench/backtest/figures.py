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
    ideal_usd: float  # every machine always full, bought by the second: nobody can pay less
    within_target: float
    dropped: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    running_max: int

    def json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)


def figures(name: str, policy: str, world: World, *, target_s: float = TARGET_S) -> Figures:
    """Sum up a finished run."""
    began = world.served.began_s
    waits = sorted(at_s - world.arrival(index).at_s for index, at_s in enumerate(began) if not math.isnan(at_s))
    load = sum(world.arrival(index).load for index in range(len(began)))
    kind = world.rules.machine
    return Figures(
        trace=name,
        policy=policy,
        usd=float(world.bill.total_micro_usd()) / 1e6,
        ideal_usd=load / kind.perf / 3_600 * kind.running_micro_usd_per_hour / 1e6,
        within_target=sum(wait_s <= target_s for wait_s in waits) / len(began),
        dropped=len(world.served.dropped) / len(began),
        wait_p50_s=_quantile(waits, 0.50),
        wait_p95_s=_quantile(waits, 0.95),
        wait_p99_s=_quantile(waits, 0.99),
        running_max=max(moment.running for moment in world.history),
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan
