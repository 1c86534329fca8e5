"""`python -m bench.worker [--rounds N] [--json FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench.worker import measure, subjects
from bench.worker.figures import LOAD, ROWS, Figures, Found, factor, table
from bench.worker.subjects import Keys, Subject

ROUNDS: Final = 3
GUESS_PER_S: Final = 4000.0


async def run(rounds: int) -> Found:
    """Measure all subjects; return the medians by name."""
    workers, others = _cpus()
    os.sched_setaffinity(0, others)
    keys = Keys()
    async with AsyncExitStack() as stack:
        stub_port = await stack.enter_async_context(subjects.stub(keys, cpus=others))
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-bench-"))) for _ in range(2)]
        peer = await stack.enter_async_context(subjects.vastai(keys, stub_port, folders[0], cpus=workers))
        ours = await stack.enter_async_context(subjects.pyworker(keys, stub_port, folders[1], cpus=workers))
        return await _measure([subjects.direct(stub_port), ours, peer], rounds)


def _cpus() -> tuple[set[int], set[int]]:
    """Return the CPUs of the workers, and those of client and stub."""
    available = sorted(os.sched_getaffinity(0))
    return ({available[0]}, set(available[1:])) if len(available) > 1 else (set(available), set(available))


async def _measure(all_subjects: list[Subject], rounds: int) -> Found:
    found = {subject.name: Figures(idle_mb=[subject.memory_mb()]) for subject in all_subjects}
    for _ in range(rounds):
        for subject in all_subjects:
            expected = max(found[subject.name].requests_per_s, default=GUESS_PER_S)
            result = await measure.saturated(subject, expected_per_s=expected)
            found[subject.name].requests_per_s.append(result.requests_per_s)
            found[subject.name].cpu_us.append(result.cpu_s * 1e6)
        slowest_per_s = min(figures.requests_per_s[-1] for figures in found.values())
        for subject in all_subjects:
            await _latencies(subject, found[subject.name], per_s=LOAD * slowest_per_s)
    for subject in all_subjects:
        opened = await measure.open_streams(subject)
        found[subject.name].streams.append(opened.count)
        found[subject.name].streams_mb.append(opened.memory_mb)
    return {name: figures.medians() for name, figures in found.items()}


async def _latencies(subject: Subject, figures: Figures, *, per_s: float) -> None:
    latencies = await measure.paced(subject, per_s=per_s)
    figures.p50_ms.append(1000 * measure.percentile(latencies, 50))
    figures.p99_ms.append(1000 * measure.percentile(latencies, 99))
    figures.first_byte_ms.append(1000 * statistics.median(await measure.first_bytes(subject)))


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.worker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, choices=range(1, 21), metavar="N", help="turns of each subject")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    found = asyncio.run(run(options.rounds))
    print(table(found))
    if options.json:
        better = {key: factor(found, key) for key, _ in ROWS}
        options.json.write_text(json.dumps({"rounds": options.rounds, "medians": found, "better_by": better}, indent=2) + "\n")


if __name__ == "__main__":
    main()
