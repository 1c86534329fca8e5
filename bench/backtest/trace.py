"""Requests to replay: `t_s,prompt_tokens,output_tokens` (CSV, gzip or not), or `count` a second.

The load of a request is `output_tokens + prompt_weight * prompt_tokens`, in output-token units. What a single stream cannot exceed
holds for the output alone, for a prompt is read at the speed of the whole machine: `output_share` is the output's part of all load.

Rows without tokens (image generation) take `service_s` as their load, where the file has that column: seconds of a machine that
serves one request at a time (`serial`).

A file of counts holds more requests than a judge needs. Of it the first COUNTED_S_MAX seconds are taken, and each request of these
with the same chance (seeded), such that about COUNTED_MAX are left: rates and bursts keep their shape.

`warmed`: a trace of less than EXCERPT_S seconds is an excerpt from the life of a system that had long been running, with stopped
machines and memory of its own. It is played twice, and only the second time is billed and judged.
"""

from __future__ import annotations

import csv
import math
import random
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.backtest.csv_file import name_of, opened

LOAD_MIN: Final = 1.0
COUNTED_S_MAX: Final = 7 * 86_400
COUNTED_MAX: Final = 100_000
EXCERPT_S: Final = 6 * 3_600.0


class UnreadableTrace(ValueError):
    """The file is not a trace; the message names the line and what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request: when it comes, in seconds from the start of the trace, and its load."""

    at_s: float
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel:
    """What a row of a trace costs."""

    prompt_weight: float = 0.2
    default_load: float = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Arrivals in order, and how long the trace lasts (seconds; the last arrival may come earlier).

    What happens before `judged_from_s` is played and not judged. `output_share`: see the module.
    """

    name: str
    arrivals: tuple[Arrival, ...]
    duration_s: float
    output_share: float = 1.0
    serial: bool = False
    judged_from_s: float = 0.0

    @property
    def load(self) -> float:
        """Load of all requests together."""
        return sum(arrival.load for arrival in self.arrivals)

    @property
    def judged_from(self) -> int:
        """The number of the first request that is judged."""
        return bisect_left(self.arrivals, self.judged_from_s, key=lambda arrival: arrival.at_s)


def read_trace(path: Path, model: LoadModel, *, duration_s_max: float | None = None) -> Trace:
    """Read a trace file. Raises UnreadableTrace."""
    with opened(path) as text:
        rows = csv.DictReader(text)
        columns = rows.fieldnames or ()
        read = list(_rows(rows, columns, model))
    read.sort(key=lambda row: row[0])
    kept = [row for row in read if duration_s_max is None or row[0] < duration_s_max]
    if not kept:
        raise UnreadableTrace(f"{path}: no request in it; a trace needs lines of t_s,prompt_tokens,output_tokens")
    return Trace(
        name=name_of(path),
        arrivals=tuple(Arrival(at_s=at_s, load=load) for at_s, load, _ in kept),
        duration_s=kept[-1][0] + 1.0,
        output_share=sum(output for _, _, output in kept) / sum(load for _, load, _ in kept),
        serial="service_s" in columns,
    )


def is_trace(path: Path) -> bool:
    """Tell whether the first line of the file is that of a trace."""
    with opened(path) as text:
        columns = next(csv.reader(text), [])
    return columns[:3] == ["t_s", "prompt_tokens", "output_tokens"] or columns == ["count"]


def warmed(trace: Trace) -> Trace:
    """Return the trace as it is played: an excerpt after itself, any other as it is."""
    if trace.duration_s >= EXCERPT_S:
        return trace
    again = (Arrival(at_s=arrival.at_s + trace.duration_s, load=arrival.load) for arrival in trace.arrivals)
    return replace(trace, arrivals=(*trace.arrivals, *again), duration_s=2 * trace.duration_s, judged_from_s=trace.duration_s)


def _rows(rows: csv.DictReader[str], columns: Sequence[str], model: LoadModel) -> Iterator[tuple[float, float, float]]:
    """Yield when, the load, and the part of it that is output."""
    if "count" in columns:
        counts = [_count(row, line) for line, row in zip(range(2, 2 + COUNTED_S_MAX), rows, strict=False)]
        yield from ((at_s, model.default_load, model.default_load) for at_s in _thinned(counts, COUNTED_MAX))
        return
    if "t_s" not in columns:
        raise UnreadableTrace(f"the first line is {','.join(columns)!r}; it must name t_s,prompt_tokens,output_tokens")
    for line, row in enumerate(rows, start=2):
        yield (_amount(row, "t_s", line), *_load(row, model, line))


def _load(row: Mapping[str, str], model: LoadModel, line: int) -> tuple[float, float]:
    if row.get("output_tokens"):
        output = max(LOAD_MIN, _amount(row, "output_tokens", line))
        prompt = _amount(row, "prompt_tokens", line) if row.get("prompt_tokens") else 0.0
        return output + model.prompt_weight * prompt, output
    load = max(LOAD_MIN, _amount(row, "service_s", line)) if row.get("service_s") else model.default_load
    return load, load


def _count(row: Mapping[str, str], line: int) -> int:
    amount = _amount(row, "count", line)
    if amount % 1:
        raise UnreadableTrace(f"line {line}: count is {row['count']!r}; every row needs a whole number there")
    return int(amount)


def _amount(row: Mapping[str, str], column: str, line: int) -> float:
    """Return the number in a column of a row. Raises UnreadableTrace."""
    text = row.get(column)
    try:
        amount = float(text or "")
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise UnreadableTrace(f"line {line}: {column} is {text!r}; every row needs a number there, 0 or more")
    return amount


def _thinned(counts: Sequence[int], number: int, *, seed: int = 1) -> Iterator[float]:
    """Yield when about `number` of the counted requests came, spread evenly over their second."""
    chance, rng = min(1.0, number / max(1, sum(counts))), random.Random(seed)
    skipped = _gap(chance, rng)
    for second, count in enumerate(counts):
        while skipped < count:
            yield second + skipped / count
            skipped += 1 + _gap(chance, rng)
        skipped -= count


def _gap(chance: float, rng: random.Random) -> int:
    """Return how many are left out before the next is taken, each being taken with this chance."""
    return 0 if chance >= 1 else int(math.log(1 - rng.random()) / math.log(1 - chance))


def synthetic(*, seed: int = 1, days: int = 2, rate_per_s: float = 0.5) -> Trace:
    """Return the trace that ships: a day's shape with quiet nights, a lognormal length, and a burst a day.

    Poisson arrivals thinned by the hour; every day at a drawn minute of the afternoon, five times the rate for ten minutes.
    """
    rng = random.Random(seed)
    bursts = [day * 86_400 + rng.uniform(12, 18) * 3_600 for day in range(days)]
    arrivals: list[Arrival] = []
    at_s = 0.0
    while (at_s := at_s + rng.expovariate(rate_per_s * 5)) < days * 86_400:
        hour = at_s % 86_400 / 3_600
        shape = max(0.02, 1 - abs(hour - 14) / 10)
        burst = 5.0 if any(0 <= at_s - begin < 600 for begin in bursts) else 1.0
        if rng.random() < shape * burst / 5:
            arrivals.append(Arrival(at_s=round(at_s, 3), load=round(min(4_000.0, rng.lognormvariate(5.3, 0.8)), 1)))
    return Trace(name="synthetic", arrivals=tuple(arrivals), duration_s=days * 86_400.0)
