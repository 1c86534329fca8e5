"""The GPU models on offer and what they cost, for two years of the market.

`catalogue/gpus_2024.csv` is fitted to the public marketplace dump of November 2024 (vast-ai/vast-python `search.json`, MIT: 1,396
offers of 949 machines), with every model of at least three machines.

`catalogue/gpus_2026.csv` has prices and lowest bids of 67,031 search results of May to August 2026 (minebtx-start, MIT), one value
a machine; how common a model is, and its benchmark, from a count of the whole market in December 2025; how many GPUs a machine has
from 2024 where the model existed then. Models that 2026 shows on fewer than four machines, or without a benchmark, are left out.
Memory bandwidth and power of models newer than 2024 are their maker's data sheet's; an RTX A6000 has the memory of 2024, since four
of the six machines of 2026 give up some of it to error correction.

In both files: `machines` is the model's weight in the market, `dlperf` the marketplace's benchmark, `tflops` single precision,
`bandwidth_gb_s` of the memory and `price_micro_usd` (seven quantiles, an hour) per GPU; `bid_ratio` is the lowest bid over the
price (seven quantiles), `sizes` the number of GPUs in one machine with its weight.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.marketplace.quantiles import Quantiles

YEARS: Final = (2024, 2026)
YEAR_DEFAULT: Final = 2026
_CATALOGUE: Final = Path(__file__).parent / "catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """One model; see the module for its columns."""

    name: str
    machines: int
    ram_mb: int
    compute_cap: int
    dlperf: float
    tflops: float
    bandwidth_gb_s: float
    power_w: float
    price_micro_usd_per_hour: Quantiles
    bid_ratio: Quantiles
    sizes: dict[int, int]


def _models(year: int) -> tuple[GpuModel, ...]:
    with (_CATALOGUE / f"gpus_{year}.csv").open(newline="") as file:
        return tuple(_model(row) for row in csv.DictReader(file))


def _model(row: Mapping[str, str]) -> GpuModel:
    counts = (part.split(":") for part in row["sizes"].split())
    return GpuModel(
        name=row["name"],
        machines=int(row["machines"]),
        ram_mb=int(row["ram_mb"]),
        compute_cap=int(row["compute_cap"]),
        dlperf=float(row["dlperf"]),
        tflops=float(row["tflops"]),
        bandwidth_gb_s=float(row["bandwidth_gb_s"]),
        power_w=float(row["power_w"]),
        price_micro_usd_per_hour=Quantiles(*map(float, row["price_micro_usd"].split())),
        bid_ratio=Quantiles(*map(float, row["bid_ratio"].split())),
        sizes={int(gpus): int(weight) for gpus, weight in counts},
    )


MODELS: Final[Mapping[int, tuple[GpuModel, ...]]] = {year: _models(year) for year in YEARS}
GPU_MODELS: Final = MODELS[YEAR_DEFAULT]

# The documented answer of the unauthenticated name list has every model ever seen; so has ours.
GPU_NAMES: Final = tuple(sorted({model.name for models in MODELS.values() for model in models}))
