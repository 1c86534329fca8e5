"""Thousands of seeds, on every core, for as long as is given: which of them fail, and by which invariant."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.episode import play

CHUNK: Final = 10  # seeds a task: some seconds
AHEAD: Final = 2  # tasks a process that wait for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one seed: `violated` is what was found, empty if nothing."""

    seed: int
    violated: str
    cpu_s: float
    ticks: int = 0
    decisions: int = 0
    simulated_s: float = 0.0


@dataclass(slots=True)
class Soaked:
    """What became of all of them."""

    seeds: int = 0
    cpu_s: float = 0.0
    ticks: int = 0
    decisions: int = 0
    simulated_s: float = 0.0
    failed: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one seed."""
        self.seeds += 1
        self.cpu_s += verdict.cpu_s
        self.ticks += verdict.ticks
        self.decisions += verdict.decisions
        self.simulated_s += verdict.simulated_s
        if verdict.violated:
            self.failed.append(verdict)


def judge(seed: int) -> Verdict:
    """Play one seed; whatever stops it is its verdict."""
    began_s = time.process_time()
    try:
        episode = play(seed)
    except Exception as exc:  # noqa: BLE001 - the outermost edge of one seed: an error of any kind is what is looked for
        return Verdict(seed=seed, violated=f"{type(exc).__name__}: {exc}", cpu_s=time.process_time() - began_s)
    return Verdict(
        seed=seed,
        violated="",
        cpu_s=time.process_time() - began_s,
        ticks=episode.ticks,
        decisions=episode.decisions,
        simulated_s=episode.simulated_s,
    )


def soak(seeds: range, *, processes: int, seconds_max: float) -> Iterator[Verdict]:
    """Yield the verdicts as they come; begin no seed after `seconds_max`."""
    end_s = time.monotonic() + seconds_max
    chunks = iter([seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)])
    with ProcessPoolExecutor(processes) as pool:
        running: set[Future[Sequence[Verdict]]] = set()
        while True:
            while len(running) < processes * AHEAD and time.monotonic() < end_s and (chunk := next(chunks, None)) is not None:
                running.add(pool.submit(_judge_all, chunk))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                yield from each.result()


def _judge_all(seeds: range) -> list[Verdict]:
    return [judge(seed) for seed in seeds]
