"""What is rented, in the backtest: how fast it is, what it costs in each state, and how long it takes to become ready.

Times are drawn, machine by machine, from distributions whose defaults are what was measured on the marketplace: from rent to
ready lognormal with median 180 s and 95 % under 600 s, and one in twenty never; from stopped to ready lognormal with median 25 s
and 95 % under 90 s, and one start in thirty is refused because the GPUs are taken.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

P95: Final = 1.6449  # standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """A duration by its median and its 95th percentile, in seconds."""

    median_s: float
    p95_s: float

    def draw_s(self, rng: random.Random) -> float:
        """Return one duration."""
        return rng.lognormvariate(math.log(self.median_s), math.log(self.p95_s / self.median_s) / P95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """How long machines take. `never_ready` and `unavailable` are shares of rents and of starts."""

    new: Lognormal = Lognormal(median_s=180.0, p95_s=600.0)
    started: Lognormal = Lognormal(median_s=25.0, p95_s=90.0)
    never_ready: float = 0.05
    unavailable: float = 0.03
    stopping_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One kind of machine. `stream_perf` is the load per second of a single request: what one stream can never exceed.

    It bills `running_micro_usd_per_hour` from the rent on, while it boots too, and `stopped_micro_usd_per_hour` while stopped.
    """

    gpu_name: str = "RTX 4090"
    perf: float = 1_000.0
    stream_perf: float = 60.0
    slots: int = 32
    dlperf: float = 100.0
    running_micro_usd_per_hour: int = 420_000
    stopped_micro_usd_per_hour: int = 20_000
