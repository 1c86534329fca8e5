"""What is rented, in the backtest: how fast it is, what it costs in each state, and how long it takes to become ready.

Times are drawn, machine by machine, from distributions whose defaults are what was measured on the marketplace: from rent to
ready lognormal with median 180 s and 95 % under 600 s, and one in twenty never; from stopped to ready lognormal with median 25 s
and 95 % under 90 s, and one start in thirty is refused because the GPUs are taken. Any of them can be replaced by other figures or
by a file of measured times (`read_duration`).
"""

from __future__ import annotations

import csv
import math
import random
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bench.backtest.csv_file import opened

P95: Final = 1.6449  # standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """A duration by its median and its 95th percentile, in seconds."""

    median_s: float
    p95_s: float

    def draw_s(self, rng: random.Random) -> float:
        """Return one duration."""
        return rng.lognormvariate(math.log(self.median_s), self._sigma)

    def mean_s(self) -> float:
        """Return the mean duration."""
        return self.median_s * math.exp(self._sigma**2 / 2)

    def within(self, limit_s: float) -> tuple[float, float]:
        """Return the share of durations up to `limit_s`, and the mean of min(duration, limit), in seconds."""
        if self._sigma == 0:
            return float(self.median_s <= limit_s), min(self.median_s, limit_s)
        z = math.log(limit_s / self.median_s) / self._sigma
        share = _normal(z)
        return share, self.mean_s() * _normal(z - self._sigma) + limit_s * (1 - share)

    @property
    def _sigma(self) -> float:
        return math.log(self.p95_s / self.median_s) / P95


@dataclass(frozen=True, slots=True)
class Observed:
    """A duration that was measured: one of these, in seconds and in ascending order, each as likely as the others."""

    values_s: tuple[float, ...]

    def draw_s(self, rng: random.Random) -> float:
        """Return one duration."""
        return rng.choice(self.values_s)

    def mean_s(self) -> float:
        """Return the mean duration."""
        return math.fsum(self.values_s) / len(self.values_s)

    def within(self, limit_s: float) -> tuple[float, float]:
        """Return the share of durations up to `limit_s`, and the mean of min(duration, limit), in seconds."""
        number = bisect_right(self.values_s, limit_s)
        beyond = len(self.values_s) - number
        return number / len(self.values_s), (math.fsum(self.values_s[:number]) + limit_s * beyond) / len(self.values_s)


Duration: TypeAlias = Lognormal | Observed


class UnreadableDuration(ValueError):
    """Neither figures nor a file of times; the message says what would be."""


def read_duration(said: str) -> Duration:
    """Return the duration of `median:p95` (seconds), or of a CSV file with a column `ms` or `s`. Raises UnreadableDuration."""
    median_s, colon, p95_s = said.partition(":")
    if colon:
        try:
            found = Lognormal(median_s=float(median_s), p95_s=float(p95_s))
        except ValueError as exc:
            raise UnreadableDuration(f"{said!r} is not median:p95 in seconds, such as 180:600") from exc
        if not 0 < found.median_s <= found.p95_s:
            raise UnreadableDuration(f"{said!r}: the median must be above 0, and the 95th percentile not below it")
        return found
    path = Path(said)
    if not path.is_file():
        raise UnreadableDuration(f"{said!r} is neither median:p95 in seconds nor a CSV file with a column ms or s")
    return Observed(tuple(sorted(_times_s(path))))


def _times_s(path: Path) -> list[float]:
    with opened(path) as text:
        rows = csv.DictReader(text)
        unit = next((name for name in ("ms", "s") if name in (rows.fieldnames or ())), None)
        if unit is None:
            raise UnreadableDuration(f"{path}: the first line names no column ms or s")
        try:
            times_s = [float(row[unit]) / (1_000 if unit == "ms" else 1) for row in rows]
        except ValueError as exc:
            raise UnreadableDuration(f"{path}: {exc}; every row of the column {unit} needs a number") from exc
    if not times_s:
        raise UnreadableDuration(f"{path} holds no time")
    return times_s


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Boots:
    """How long machines take. `never_ready` and `unavailable` are shares of rents and of starts."""

    new: Duration = Lognormal(median_s=180.0, p95_s=600.0)
    started: Duration = Lognormal(median_s=25.0, p95_s=90.0)
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
