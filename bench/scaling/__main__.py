"""`python -m bench.scaling [--json] [--quick]`: what a decision takes, and what a tick costs, by the size of the fleet.

* `decide`, CPU of this process, median of REPEATS: steady (well sized, nothing to do) and busy (1,000 requests wait, 128 offers).
* one tick of the real scaler over the emulated DynamoDB: calls to the marketplace, read and write units, and what they cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bench.scaling.fleet import NOW_S, a_fleet
from bench.scaling.ticks import TickCost, one_tick
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from sandbox.aws.emulator import Emulator, EmulatorSettings

DECIDED: Final = (100, 1_000, 10_000)
TICKED: Final = (10, 100, 1_000)
QUICK: Final = (10, 100)
REPEATS: Final = 7
WAITING_OF_TICKS: Final = 100
EMULATOR: Final = Path(__file__).parents[2] / ".venvs" / "emulator" / "bin" / "python"


def decide_ms(snapshot: Snapshot, *, repeats: int = REPEATS) -> float:
    """Return the median CPU of one decision, in milliseconds."""
    taken = []
    for _ in range(repeats):
        began_s = time.process_time()
        decide(snapshot, now_s=NOW_S)
        taken.append((time.process_time() - began_s) * 1_000)
    return statistics.median(taken)


def decisions(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the figures of `decide`."""
    situations = {"steady": False, "busy": True}
    return [
        {"workers": size, "situation": name, "decide_ms": round(decide_ms(a_fleet(size, busy=busy)), 2)}
        for size in sizes
        for name, busy in situations.items()
    ]


def ticks(sizes: tuple[int, ...]) -> list[TickCost]:
    """Return what ticks take: of an empty group, and of steady and busy ones."""
    empty = a_fleet(0, busy=False)
    asked = [("idle", empty)]
    for size in sizes:
        busy = a_fleet(size, busy=True)
        asked.append(("steady", a_fleet(size, busy=False)))
        asked.append(("busy", replace(busy, waiting=busy.waiting[:WAITING_OF_TICKS])))
    with Emulator(EmulatorSettings(interpreter=EMULATOR)) as emulator:
        client = emulator.client("dynamodb")
        return [one_tick(client, f"bench-{index}", seen, name) for index, (name, seen) in enumerate(asked)]


def main(words: list[str]) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small fleets only")
    asked = parser.parse_args(words)
    decided, ticked = decisions(QUICK if asked.quick else DECIDED), ticks(QUICK if asked.quick else TICKED)
    if asked.json:
        costs = [{**asdict(each), "dollars_per_hour": each.dollars_per_hour} for each in ticked]
        print(json.dumps({"decide": decided, "tick": costs}, indent=1))
        return 0
    print("| workers | situation | decide, ms of CPU |\n|---|---|---|")
    for row in decided:
        print(f"| {row['workers']:,} | {row['situation']} | {row['decide_ms']:.1f} |")
    print()
    print("| workers | situation | actions | marketplace calls | their pauses, s | read units | write units | $ an hour |")
    print("|---|---|---|---|---|---|---|---|")
    for each in ticked:
        calls = ", ".join(f"{count} {kind}" for kind, count in sorted(each.marketplace_calls.items()))
        print(
            f"| {each.workers:,} | {each.situation} | {each.actions} | {calls} | {each.paced_s:.0f} "
            f"| {each.read_units:g} | {each.write_units:g} | {each.dollars_per_hour:.4f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
