"""What Headgate costs on AWS: dollars per million routes, and a month of an idle stack.

`python -m bench.cost` prints the tables of docs/cost.md, which a test holds to this module.

Prices are AWS's list prices of us-east-1 (PRICES_OF), without free tiers and without discounts. What a route uses is of the code:
its operations are counted by `python -m bench.route`, its log lines and the worker's item are measured by a test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PRICES_OF: Final = "November 2026, as last published before it"
MILLION: Final = 1e6
GB: Final = 1e9

# Under https://aws.amazon.com: lambda/pricing (arm64, first tier), dynamodb/pricing/on-demand, cloudwatch/pricing,
# secrets-manager/pricing, eventbridge/pricing, ec2/pricing/on-demand (data to the internet).
LAMBDA_REQUEST: Final = 0.20 / MILLION
LAMBDA_GB_S: Final = 0.0000133334
WRITE_UNIT: Final = 0.625 / MILLION
READ_UNIT: Final = 0.125 / MILLION
LOG_GB: Final = 0.50
OUT_GB: Final = 0.09
SECRET_CALL: Final = 0.05 / 10_000
SECRET_MONTH: Final = 0.40
METRIC_MONTH: Final = 0.30
ALARM_MONTH: Final = 0.10
SCHEDULED: Final = 1.00 / MILLION

ROUTE_MEMORY_GB: Final = 0.5
SCALE_MEMORY_GB: Final = 1.0
# A route's time: its CPU at this memory's share of a core (1,769 MB are one), and the answer of DynamoDB.
ROUTE_CPU_S: Final = 0.001
CORES: Final = 512 / 1_769
DYNAMODB_S: Final = 0.005
# Requests come in bursts, so more environments are kept than are busy on average.
ENVIRONMENTS_SPARE: Final = 2.0

WORKER_BYTES: Final = 750
WORKERS_READ_MAX: Final = 128  # two shards
READ_UNIT_BYTES: Final = 8_192  # eventually consistent
SNAPSHOT_TTL_S: Final = 1.0
GROUP_TTL_S: Final = 5.0
SECRET_TTL_S: Final = 300.0

ROUTE_LINE_BYTES: Final = 400
METRICS_LINE_BYTES: Final = 250
PLATFORM_LINES_BYTES: Final = 500  # what Lambda itself says of a start and its end
LINE_BYTES: Final = 26  # charged for each line beside its text
LINES: Final = 4
ANSWER_BYTES: Final = 1_000

MINUTES: Final = 730 * 60
ALARMS_OF_A_STACK: Final = 10
ALARMS_OF_A_GROUP: Final = 7
SECRETS: Final = 3
METRICS_OF_A_STACK: Final = 1
METRICS_OF_A_GROUP: Final = 8  # written by every tick; those of trouble are paid for while there is some
IDLE_TICK_S: Final = 0.4
IDLE_WRITES: Final = 9  # taking the lease, the state, giving the lease back: of one item of up to 3 KB
IDLE_READS: Final = 5  # the group, its workers, who waits, which updates were asked for; consistent
IDLE_LOG_BYTES: Final = 2_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is asked of how large a group."""

    routes_per_s: float
    workers: int = 100


def environments(load: Load) -> int:
    """Return how many execution environments serve it: the concurrency, with room for bursts."""
    return max(1, math.ceil(ENVIRONMENTS_SPARE * load.routes_per_s * route_s()))


def route_s() -> float:
    """Return for how long a warm route is billed: whole milliseconds."""
    return math.ceil((ROUTE_CPU_S / CORES + DYNAMODB_S) * 1_000) / 1_000


def read_units_per_s(load: Load) -> float:
    """Return the read units of all environments: each reads what has grown too old when its next route comes."""
    each_s = environments(load) / load.routes_per_s  # between two routes of one environment
    workers = min(load.workers, WORKERS_READ_MAX)
    shards = max(1, min(2, math.ceil(load.workers / 64)))
    snapshot = shards * math.ceil(workers / shards * WORKER_BYTES / READ_UNIT_BYTES * 2) / 2 + 0.5
    return environments(load) * (snapshot / (SNAPSHOT_TTL_S + each_s) + 2 * 0.5 / (GROUP_TTL_S + each_s))


def log_bytes() -> int:
    """Return what one route adds to the logs."""
    return ROUTE_LINE_BYTES + METRICS_LINE_BYTES + PLATFORM_LINES_BYTES + LINES * LINE_BYTES


def per_million(load: Load) -> Mapping[str, float]:
    """Return dollars per million routes, by what they are paid for."""
    secrets_per_s = environments(load) / (SECRET_TTL_S + environments(load) / load.routes_per_s)
    return {
        "Lambda requests": MILLION * LAMBDA_REQUEST,
        "Lambda time": MILLION * route_s() * ROUTE_MEMORY_GB * LAMBDA_GB_S,
        "DynamoDB writes": MILLION * math.ceil(WORKER_BYTES / 1_024) * WRITE_UNIT,
        "DynamoDB reads": MILLION * read_units_per_s(load) / load.routes_per_s * READ_UNIT,
        "CloudWatch logs and metrics": MILLION * log_bytes() / GB * LOG_GB,
        "Data to the internet": MILLION * ANSWER_BYTES / GB * OUT_GB,
        "Secrets Manager": MILLION * secrets_per_s / load.routes_per_s * SECRET_CALL,
    }


def idle_month(groups: int = 1) -> Mapping[str, float]:
    """Return dollars a month of a stack that serves nobody and holds no worker."""
    ticks = MINUTES * groups
    return {
        "schedule": ticks * SCHEDULED,
        "scale function": ticks * (LAMBDA_REQUEST + IDLE_TICK_S * SCALE_MEMORY_GB * LAMBDA_GB_S),
        "DynamoDB": ticks * (IDLE_WRITES * WRITE_UNIT + IDLE_READS * READ_UNIT),
        "logs": ticks * IDLE_LOG_BYTES / GB * LOG_GB,
        "metrics": (METRICS_OF_A_STACK + groups * METRICS_OF_A_GROUP) * METRIC_MONTH,
        "alarms": (ALARMS_OF_A_STACK + groups * ALARMS_OF_A_GROUP) * ALARM_MONTH,
        "secrets": SECRETS * SECRET_MONTH,
    }


LOADS: Final = tuple(Load(routes_per_s=rate, workers=workers) for workers in (100, 1_000) for rate in (1.0, 100.0, 5_000.0))


def route_table() -> str:
    """Return the table of docs/cost.md: dollars per million routes."""
    columns = [per_million(load) for load in LOADS]
    heads = [f"{load.routes_per_s:,.0f}/s, {load.workers:,} workers" for load in LOADS]
    rows = [f"| {name} | {' | '.join(f'{column[name]:.3f}' for column in columns)} |" for name in columns[0]]
    total = f"| **all** | {' | '.join(f'**{sum(column.values()):.2f}**' for column in columns)} |"
    kept = f"| environments | {' | '.join(str(environments(load)) for load in LOADS)} |"
    return "\n".join([f"| dollars per million routes | {' | '.join(heads)} |", "|---" * (len(LOADS) + 1) + "|", *rows, total, kept])


def idle_table() -> str:
    """Return the other table of docs/cost.md: dollars a month, idle."""
    costs = idle_month()
    rows = [f"| {name} | {cost:.2f} |" for name, cost in costs.items()]
    return "\n".join(
        ["| an idle month of one group | dollars |", "|---|---|", *rows, f"| **all** | **{sum(costs.values()):.2f}** |"]
    )


if __name__ == "__main__":
    print(f"{route_table()}\n\n{idle_table()}")
