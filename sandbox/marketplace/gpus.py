"""The GPU models on offer and what they cost: a small table of parameters.

Fitted to the public marketplace dump of November 2024 (vast-ai/vast-python, `search.json`, MIT: 1,396 offers of 949 machines):
number of machines, price and lowest bid per GPU and hour as seven quantiles, performance, and how many GPUs a machine has. Models
with very few machines are left out. Prices are micro-dollars per GPU and hour, rounded to a tenth of a cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.marketplace.quantiles import Quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """One model. `dlperf` is the marketplace's benchmark, `tflops` single precision, `bandwidth_gb_s` of its memory; all per GPU.

    `machines` is the model's weight in the market; `sizes` maps a number of GPUs in one machine to its weight.
    """

    name: str
    machines: int
    ram_mb: int
    compute_cap: int
    dlperf: float
    tflops: float
    bandwidth_gb_s: float
    power_w: float
    price_micro_usd_per_hour: Quantiles
    bid_micro_usd_per_hour: Quantiles
    sizes: dict[int, int]


def _row(
    name: str, fit: tuple[float, ...], price_milli_usd: tuple[int, ...], bid_milli_usd: tuple[int, ...], sizes: str
) -> GpuModel:
    machines, ram_mb, compute_cap, dlperf, tflops, bandwidth_gb_s, power_w = fit
    counts = (part.split(":") for part in sizes.split())
    return GpuModel(
        name=name,
        machines=int(machines),
        ram_mb=int(ram_mb),
        compute_cap=int(compute_cap),
        dlperf=dlperf,
        tflops=tflops,
        bandwidth_gb_s=bandwidth_gb_s,
        power_w=power_w,
        price_micro_usd_per_hour=Quantiles(*(1_000 * milli for milli in price_milli_usd)),
        bid_micro_usd_per_hour=Quantiles(*(1_000 * milli for milli in bid_milli_usd)),
        sizes={int(gpus): int(weight) for gpus, weight in counts},
    )


# name, (machines, MB, compute capability x 100, dlperf, TFLOPS, GB/s, W), price quantiles, lowest-bid quantiles ($/1000), sizes
GPU_MODELS: Final = (
    _row(
        "RTX 4090",
        (221, 24564, 890, 72.05, 81.4, 3393.2, 450.0),
        (160, 251, 347, 422, 573, 933, 20000),
        (80, 134, 240, 333, 400, 667, 20000),
        "1:60 2:41 3:3 4:34 5:10 6:7 8:45 10:3",
    ),
    _row(
        "RTX 3090",
        (130, 24576, 860, 38.37, 35.27, 767.7, 350.0),
        (80, 107, 160, 213, 255, 333, 2667),
        (51, 87, 120, 149, 213, 333, 14667),
        "1:43 2:32 3:9 4:21 5:2 6:4 8:14 10:2",
    ),
    _row(
        "RTX 3060",
        (85, 12288, 860, 12.22, 12.13, 313.3, 170.0),
        (29, 43, 53, 80, 100, 267, 2667),
        (17, 40, 43, 53, 73, 167, 2000),
        "1:35 2:20 3:1 4:12 5:2 6:5 8:8",
    ),
    _row(
        "RTX A4000",
        (57, 16376, 860, 19.99, 20.64, 363.5, 140.0),
        (55, 56, 80, 93, 107, 172, 200),
        (31, 47, 53, 80, 87, 150, 933),
        "1:19 2:17 3:4 4:9 5:1 8:2 10:1",
    ),
    _row(
        "RTX A5000",
        (43, 24564, 860, 21.92, 27.53, 628.8, 230.0),
        (133, 160, 227, 231, 307, 387, 440),
        (20, 51, 133, 253, 347, 347, 453),
        "1:3 2:5 4:11 5:3 8:15 10:4",
    ),
    _row(
        "RTX 3080",
        (33, 10240, 860, 25.04, 29.35, 631.0, 320.0),
        (67, 67, 93, 131, 148, 1320, 1320),
        (41, 60, 67, 92, 96, 1000, 1000),
        "1:16 2:8 3:1 4:4 5:1 6:1 8:2",
    ),
    _row(
        "RTX 3070",
        (42, 8192, 860, 16.11, 19.78, 378.2, 220.0),
        (47, 47, 65, 81, 104, 133, 399),
        (29, 30, 53, 72, 107, 200, 627),
        "1:14 2:17 3:2 4:6 5:1 6:1",
    ),
    _row(
        "RTX A6000",
        (23, 49140, 860, 50.22, 36.13, 623.7, 300.0),
        (333, 400, 467, 520, 587, 651, 651),
        (267, 267, 312, 507, 587, 651, 653),
        "1:7 2:7 4:3 5:1 8:5",
    ),
    _row(
        "A40",
        (17, 46068, 860, 33.48, 29.93, 527.3, 300.0),
        (253, 253, 333, 400, 520, 600, 600),
        (267, 267, 267, 440, 600, 600, 600),
        "1:1 2:3 4:1 5:8 8:3 10:1",
    ),
    _row(
        "RTX 4070S Ti",
        (16, 16376, 890, 41.94, 41.97, 655.6, 285.0),
        (200, 200, 207, 208, 224, 267, 267),
        (77, 83, 133, 187, 197, 240, 349),
        "1:6 2:2 3:1 6:5 8:2",
    ),
    _row(
        "RTX 4060 Ti",
        (14, 16380, 890, 21.96, 21.62, 246.2, 165.0),
        (80, 80, 87, 93, 113, 133, 140),
        (44, 44, 80, 87, 93, 127, 133),
        "1:4 2:6 4:4",
    ),
    _row(
        "RTX 4080S",
        (12, 16376, 890, 72.37, 50.87, 1458.4, 320.0),
        (147, 160, 187, 240, 265, 267, 267),
        (77, 84, 100, 133, 199, 200, 267),
        "1:10 2:1 4:1",
    ),
    _row(
        "RTX 3090 Ti",
        (5, 24564, 860, 43.08, 36.38, 819.4, 430.0),
        (147, 147, 173, 227, 267, 320, 320),
        (124, 124, 133, 147, 153, 160, 160),
        "1:2 2:2 4:1",
    ),
    _row(
        "Tesla V100",
        (9, 16384, 700, 16.64, 11.3, 709.0, 250.0),
        (69, 69, 107, 127, 240, 241, 279),
        (63, 67, 80, 100, 104, 240, 240),
        "1:2 2:3 4:3 6:1",
    ),
    _row(
        "RTX 2080 Ti",
        (11, 11264, 750, 8.64, 14.62, 508.8, 215.0),
        (60, 60, 60, 80, 87, 107, 147),
        (40, 40, 41, 80, 80, 80, 100),
        "1:3 2:3 4:1 8:4",
    ),
    _row(
        "RTX 6000Ada",
        (9, 49140, 890, 130.82, 81.4, 4024.9, 300.0),
        (511, 511, 707, 740, 867, 967, 967),
        (267, 293, 312, 400, 451, 511, 545),
        "1:3 2:4 4:1 8:1",
    ),
    _row(
        "L40S",
        (9, 46068, 890, 108.22, 73.29, 4032.2, 350.0),
        (667, 800, 800, 853, 867, 1333, 1333),
        (600, 600, 611, 611, 611, 733, 733),
        "1:3 2:2 4:1 8:3",
    ),
    _row(
        "A100 SXM4",
        (8, 81920, 800, 128.67, 15.59, 1374.8, 400.0),
        (600, 787, 1333, 1333, 1520, 1600, 1751),
        (400, 400, 472, 1200, 1333, 1467, 1467),
        "1:3 2:2 4:2 8:1",
    ),
    _row(
        "A100 PCIE",
        (5, 81920, 800, 111.49, 15.59, 1361.0, 300.0),
        (813, 813, 967, 1200, 1791, 2400, 2400),
        (813, 813, 953, 1200, 1500, 2133, 2133),
        "1:5",
    ),
    _row(
        "H100 PCIE",
        (6, 81559, 900, 203.8, 40.97, 1484.8, 350.0),
        (2133, 2133, 2533, 2533, 2851, 3467, 3467),
        (667, 667, 2400, 2533, 2667, 2933, 2933),
        "1:1 2:1 8:4",
    ),
    _row(
        "H100 SXM",
        (8, 81559, 900, 308.47, 53.53, 2158.8, 700.0),
        (2133, 2133, 2267, 2440, 2533, 2667, 2667),
        (1333, 1333, 1700, 2133, 2200, 2400, 2400),
        "1:2 2:3 4:3",
    ),
    _row(
        "H100 NVL",
        (8, 95830, 900, 311.38, 48.25, 2303.3, 400.0),
        (2267, 2267, 2667, 2667, 3200, 3467, 3467),
        (403, 403, 1600, 2200, 2423, 2467, 2467),
        "2:3 4:2 8:3",
    ),
)

# The documented answer of the unauthenticated name list has every model ever seen; ours has what ours rents.
GPU_NAMES: Final = tuple(sorted(model.name for model in GPU_MODELS))
