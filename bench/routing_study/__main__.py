"""The table of the study: `python -m bench.routing_study [--quick] [--costs FILE] [--json]`.

Every policy of one row serves the same fleet and the same requests. `--costs` takes the costs from the column `output_tokens` of a
CSV (also gzipped), in order and over again, instead of drawing them. `--quick` looks at a tenth of the requests, in seconds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.routing_study.policies import POLICIES
from bench.routing_study.world import Outcome, Scenario, World, central_queue

SEED: Final = 20_261_122
CENTRAL: Final = "central queue (limit)"
WARM_UP_SHARE: Final = 0.2
QUICK_SHARE: Final = 0.1
QUANTILES: Final = (0.5, 0.95, 0.99)
# Workers, routers, utilisation, requests: enough of them for some minutes of a small group and half a minute of a large one.
SIZES: Final = (
    (1, 1, 0.5, 2_000),
    (8, 1, 0.8, 6_000),
    (8, 8, 0.8, 6_000),
    (32, 1, 0.8, 12_000),
    (32, 4, 0.95, 12_000),
    (32, 32, 0.8, 12_000),
    (100, 2, 0.8, 16_000),
    (100, 10, 0.5, 16_000),
    (100, 10, 0.9, 16_000),
    (100, 100, 0.9, 16_000),
    (1_000, 10, 0.8, 30_000),
    (1_000, 100, 0.9, 30_000),
    (1_000, 500, 0.8, 30_000),
    (1_000, 500, 0.95, 30_000),
)
# A ceiling of a few seconds, so that writes are refused and requests wait.
TIGHT: Final = (Scenario(workers=32, routers=32, utilisation=0.9, requests=12_000, max_queue_time=3.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one policy made of one scenario: seconds waited, and refused writes for each request."""

    policy: str
    p50_s: float
    p95_s: float
    p99_s: float
    mean_s: float
    refused_per_route: float


def study(scenario: Scenario, *, costs: Sequence[float]) -> list[Row]:
    """Return a row a policy, the central queue first."""
    first = World(scenario, POLICIES["random"], seed=SEED, costs=costs)
    limit = _row(CENTRAL, central_queue(first.perfs, first.requests))
    return [limit, *(_row(name, World(scenario, policy, seed=SEED, costs=costs).run()) for name, policy in POLICIES.items())]


def scenarios(*, quick: bool) -> list[Scenario]:
    """Return what is looked at."""
    full = [
        Scenario(workers=workers, routers=routers, utilisation=load, requests=number) for workers, routers, load, number in SIZES
    ]
    share = QUICK_SHARE if quick else 1.0
    return [replace(each, requests=round(each.requests * share)) for each in (*full, *TIGHT)]


def read_costs(path: Path) -> list[float]:
    """Return the positive `output_tokens` of a trace."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [float(row["output_tokens"]) for row in csv.DictReader(lines) if float(row["output_tokens"] or 0) > 0]


def _row(policy: str, outcome: Outcome) -> Row:
    waits = sorted(outcome.waits_s[int(WARM_UP_SHARE * len(outcome.waits_s)) :])
    p50, p95, p99 = (round(waits[int(share * (len(waits) - 1))], 2) for share in QUANTILES)
    refused = round(outcome.refused / len(outcome.waits_s), 4)
    return Row(policy=policy, p50_s=p50, p95_s=p95, p99_s=p99, mean_s=round(sum(waits) / len(waits), 3), refused_per_route=refused)


def _title(scenario: Scenario) -> str:
    tight = f", ceiling {scenario.max_queue_time:g} s" if scenario in TIGHT else ""
    return f"{scenario.workers} workers, {scenario.routers} routers, utilisation {scenario.utilisation:g}{tight}"


def _show(scenario: Scenario, rows: Sequence[Row]) -> None:
    print(f"\n### {_title(scenario)}\n\n| policy | mean s | p50 s | p95 s | p99 s | refused writes a route |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        seconds = " | ".join(f"{value:.2f}" for value in (row.mean_s, row.p50_s, row.p95_s, row.p99_s))
        print(f"| {row.policy} | {seconds} | {row.refused_per_route:.3f} |", flush=True)


def main() -> int:
    """Run every scenario and print it as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--costs", type=Path, help="a CSV with a column output_tokens")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    costs = read_costs(arguments.costs) if arguments.costs else []
    found: list[Mapping[str, Any]] = []
    for scenario in scenarios(quick=arguments.quick):
        rows = study(scenario, costs=costs)
        found.append({"scenario": asdict(scenario), "rows": [asdict(row) for row in rows]})
        if not arguments.json:
            _show(scenario, rows)
    if arguments.json:
        print(json.dumps({"seed": SEED, "found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
