"""Every trace of a directory against every policy, in parallel processes: the table by which a default is judged.

One trace is held out, so that no default was chosen by it: the one whose name has the smallest SHA-256 of all in the directory.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from bench.backtest.entrants import enter
from bench.backtest.figures import Figures
from bench.backtest.kinds import Profile, profile
from bench.backtest.setting import Setting
from bench.backtest.trace import LoadModel, Trace, is_trace, read_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One policy over one trace."""

    path: Path
    policy: str
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a job."""

    row: Figures
    profile: Profile


def traces(directory: Path, *, held_out: bool) -> list[Path]:
    """Return the trace files of a directory in order of name, without the one that is held out unless it is asked for."""
    found = sorted(path for path in directory.iterdir() if path.name.endswith((".csv", ".csv.gz")) and is_trace(path))
    kept_back = held_out_of(found)
    return [path for path in found if held_out or path != kept_back]


def held_out_of(paths: Sequence[Path]) -> Path | None:
    """Return the file that no default may be chosen by; None of less than two."""
    return min(paths, key=lambda path: hashlib.sha256(trace_name(path).encode()).digest()) if len(paths) > 1 else None


def trace_name(path: Path) -> str:
    """Return the name of the trace in this file."""
    return path.name.removesuffix(".gz").removesuffix(".csv")


def run(jobs: Sequence[Job], *, processes: int) -> Iterator[Done]:
    """Yield each job's outcome as it comes."""
    if processes == 1:
        yield from map(_run, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(_run, job) for job in jobs]):
            yield future.result()


def _run(job: Job) -> Done:
    trace = _read(job.path)
    row, _ = enter(job.policy, trace, job.setting)
    return Done(row=row, profile=profile(trace))


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> Trace:
    return read_trace(path, LoadModel())
