"""Requests to replay: `t_s,prompt_tokens,output_tokens` (CSV, gzip or not), or `count` a second.

The load of a request is `output_tokens + prompt_weight * prompt_tokens`, in output-token units. Rows without tokens (image
generation) take `service_s` times the stream's speed, where the file has that column, and `default_load` otherwise.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

LOAD_MIN: Final = 1.0


class UnreadableTrace(ValueError):
    """The file is not a trace; the message names the line and what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request: when it comes, in seconds from the start of the trace, and its load."""

    at_s: float
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel:
    """What a row of a trace costs. `service_load_per_s` turns a `service_s` column into load."""

    prompt_weight: float = 0.2
    default_load: float = 200.0
    service_load_per_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Arrivals in order, and how long the trace lasts (seconds; the last arrival may come earlier)."""

    name: str
    arrivals: tuple[Arrival, ...]
    duration_s: float

    @property
    def load(self) -> float:
        """Load of all requests together."""
        return sum(arrival.load for arrival in self.arrivals)


def read_trace(path: Path, model: LoadModel, *, duration_s_max: float | None = None) -> Trace:
    """Read a trace file. Raises UnreadableTrace."""
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8") as text:
        arrivals = sorted(_arrivals(text, model), key=lambda arrival: arrival.at_s)
    kept = tuple(arrival for arrival in arrivals if duration_s_max is None or arrival.at_s < duration_s_max)
    if not kept:
        raise UnreadableTrace(f"{path}: no request in it; a trace needs lines of t_s,prompt_tokens,output_tokens")
    return Trace(name=name, arrivals=kept, duration_s=kept[-1].at_s + 1.0)


def _arrivals(text: TextIO, model: LoadModel) -> Iterator[Arrival]:
    rows = csv.DictReader(text)
    columns = rows.fieldnames or ()
    if "count" in columns:
        yield from _counted(rows, model)
        return
    if "t_s" not in columns:
        raise UnreadableTrace(f"the first line is {','.join(columns)!r}; it must name t_s,prompt_tokens,output_tokens")
    for line, row in enumerate(rows, start=2):
        try:
            yield Arrival(at_s=float(row["t_s"]), load=_load(row, model))
        except ValueError as exc:
            raise UnreadableTrace(f"line {line}: {exc}; every row needs numbers") from exc


def _load(row: Mapping[str, str], model: LoadModel) -> float:
    if row.get("output_tokens"):
        return max(LOAD_MIN, float(row["output_tokens"]) + model.prompt_weight * float(row.get("prompt_tokens") or 0))
    if row.get("service_s") and model.service_load_per_s:
        return max(LOAD_MIN, float(row["service_s"]) * model.service_load_per_s)
    return model.default_load


def _counted(rows: csv.DictReader[str], model: LoadModel) -> Iterator[Arrival]:
    for second, row in enumerate(rows):
        count = int(row["count"])
        yield from (Arrival(at_s=second + index / count, load=model.default_load) for index in range(count))


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
