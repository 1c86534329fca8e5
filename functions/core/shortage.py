"""What a fleet lacks, and what it would lack if what is on its way did not arrive.

While nothing serves, nobody is to wait for a *hope* alone. What boots for the first time may never load, and takes minutes where a
start takes seconds: so whatever can be taken back or started is (`growing`), outdated or not. Once it is *late*, taking longer than
19 in 20 do, one more is rented as well: its own limit (`boot_timeout_s`) would have people wait for a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from functions.core.capacity import is_coming
from functions.core.fleet import Fleet
from functions.core.lead_time import boot_time, is_restarted, start_time
from functions.core.model import Worker
from functions.core.scaler_state import ScalerState
from functions.core.sizing import Need

# A machine that was measured a little slower than was expected is not followed by another one for the difference.
RESERVE_SLACK: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """What is missing: load per second and workers, of running ones and of all that are held."""

    running_load: float
    running_workers: int
    held_load: float
    held_workers: int

    @property
    def running(self) -> bool:
        """Tell whether more must run."""
        return self.running_load > 0 or self.running_workers > 0

    @property
    def any(self) -> bool:
        """Tell whether anything is missing."""
        return self.running or self.held_load > 0 or self.held_workers > 0

    def load(self) -> float:
        """Return the load per second that one more worker could usefully carry."""
        return self.running_load if self.running_load > 0 else self.held_load

    def more(self, perf: float) -> Shortage:
        """Return what is missing if a worker of this performance, that was counted as running, does not come."""
        return replace(self, running_load=self.running_load + perf, running_workers=self.running_workers + 1)

    def less(self, perf: float, *, rented: bool) -> Shortage:
        """Return what is missing once a worker of this performance runs; `rented`: it was not held before."""
        return Shortage(
            running_load=self.running_load - perf,
            running_workers=self.running_workers - 1,
            held_load=self.held_load - perf * rented,
            held_workers=self.held_workers - rented,
        )


def shortage(fleet: Fleet, need: Need) -> Shortage:
    """Return what the fleet lacks.

    While nobody is heard, READY workers count as carrying their load, so that an outage of the reports rents nothing to replace it;
    they do not count as workers, so that one is rented, and its first report will tell.
    """
    running, cold = fleet.running(), fleet.cold()
    certain = [worker for worker in running if not fleet.blind or is_coming(worker)]
    running_load = fleet.load(running)
    held_load, reserve_load = running_load + fleet.load(cold), need.held_load * (1 - RESERVE_SLACK)
    return Shortage(
        running_load=need.running_load - running_load,
        running_workers=need.running_workers - len(certain),
        # Who is on probation is held, and makes no reserve of another necessary; to run, others are needed.
        held_load=max(need.running_load - held_load, reserve_load - held_load - fleet.load(fleet.tried())),
        held_workers=need.held_workers - len(running) - len(cold) - len(fleet.tried()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hopes:
    """What comes while nothing serves, with what each is expected to carry; those that are `late` are waited for no more."""

    perfs: Mapping[str, float]  # by worker id
    late: tuple[str, ...]

    def dashed(self, missing: Shortage) -> Shortage:
        """Return what is missing if none of them comes."""
        for perf in self.perfs.values():
            missing = missing.more(perf)
        return missing

    def kept(self, missing: Shortage) -> Shortage:
        """Return what is missing if all come that are not late."""
        for worker_id, perf in self.perfs.items():
            missing = missing if worker_id in self.late else missing.less(perf, rented=False)
        return missing

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say who is late."""
        return tuple(f"{worker_id} takes longer than 19 in 20 do: nobody is to wait for it alone." for worker_id in self.late)


def hopes_of(fleet: Fleet, state: ScalerState) -> Hopes:
    """Return what comes later than a start would, while nothing serves."""
    coming = () if fleet.serving() or fleet.blind else [one for one in fleet.running() if is_coming(one)]
    late = tuple(one.worker_id for one in coming if _is_late(one, state, now_s=fleet.now_s))
    hopes = (one for one in coming if not is_restarted(one) or one.worker_id in late)
    return Hopes(perfs={one.worker_id: fleet.perf(one) for one in hopes}, late=late)


def _is_late(worker: Worker, state: ScalerState, *, now_s: float) -> bool:
    usual = start_time(state) if is_restarted(worker) else boot_time(state)
    return now_s - worker.rental.boot_started_at_s > usual.p95_s
