"""Every trace of a directory against every policy, in parallel processes: the table by which a default is judged.

One trace is held out, so that no default was chosen by it: the one whose name has the smallest SHA-256 of all in the directory.

The lower bound of a trace is reckoned once and kept in BOUNDS_KEPT, under a hash of all that it depends on.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.backtest import bound
from bench.backtest.csv_file import name_of
from bench.backtest.entrants import enter
from bench.backtest.figures import Figures
from bench.backtest.kinds import GOALS, Profile, profile
from bench.backtest.setting import Setting
from bench.backtest.trace import LoadModel, Trace, is_trace, read_trace

BOUNDS_KEPT: Final = Path("build/backtest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One policy over one trace; the lower bound of the trace if the policy is None."""

    path: Path
    policy: str | None
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a job: a row, or the bound in dollars."""

    job: Job
    trace: str
    profile: Profile
    row: Figures | None = None
    bound_usd: float = math.nan


def traces(directory: Path, *, held_out: bool) -> list[Path]:
    """Return the trace files of a directory in order of name, without the one that is held out unless it is asked for."""
    found = sorted(path for path in directory.iterdir() if path.name.endswith((".csv", ".csv.gz")) and is_trace(path))
    kept_back = held_out_of(found)
    return [path for path in found if held_out or path != kept_back]


def held_out_of(paths: Sequence[Path]) -> Path | None:
    """Return the file that no default may be chosen by; None of less than two."""
    return min(paths, key=lambda path: hashlib.sha256(name_of(path).encode()).digest()) if len(paths) > 1 else None


def run(jobs: Sequence[Job], *, processes: int) -> Iterator[Done]:
    """Yield each job's outcome as it comes."""
    if processes == 1:
        yield from map(_run, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(_run, job) for job in jobs]):
            yield future.result()


def bounded(rows: Iterable[Figures], bounds_usd: Mapping[str, float]) -> list[Figures]:
    """Return the rows with the lower bound of their traces, where it is known."""
    return [replace(row, bound_usd=bounds_usd.get(row.trace, math.nan)) for row in rows]


def bound_usd(trace: Trace, setting: Setting) -> float:
    """Return the lower bound of a trace at the share that its kind is to be served with."""
    rules, share = setting.rules(trace), GOALS[profile(trace).kind].within_target
    depends = (trace, rules, share, Path(bound.__file__).read_text())
    kept = BOUNDS_KEPT / f"{hashlib.sha256(repr(depends).encode()).hexdigest()[:32]}.bound"
    if kept.exists():
        return float(kept.read_text())
    usd = bound.lower_bound_usd(trace, rules, share=share)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(repr(usd))
    return usd


def _run(job: Job) -> Done:
    trace = _read(job.path)
    done = Done(job=job, trace=trace.name, profile=profile(trace))
    if job.policy is None:
        return replace(done, bound_usd=bound_usd(trace, job.setting))
    return replace(done, row=enter(job.policy, trace, job.setting)[0])


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> Trace:
    return read_trace(path, LoadModel())
