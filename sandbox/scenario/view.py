"""What a person sees of a running system at one moment: read from the table, never from the inside of a function.

`observe` reads through the same store adapter as the scaler, so that the picture is what the system itself believes, and
the marketplace's own view stands beside it in the summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions.core.demand import still_waits
from functions.core.lifecycle import HELD, RUNNING, WorkerState
from functions.core.model import Worker
from functions.core.routing import backlog
from functions.ports import GroupRecords, ScaleStore

MICRO_USD: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One line of the fleet table. `perf` in load units per second, `backlog_s` seconds of work in hand."""

    worker_id: str
    instance_id: int | None
    url: str
    autogroup: str
    gpu: str
    state: WorkerState
    phase: str
    perf: float
    backlog_s: float
    usd_per_hour: float  # what it costs in its present state
    running_usd_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """One endpoint group at one moment. `assigned_load` is the total ever given to its workers, `load_per_s` how fast it grows."""

    endpoint: str
    rows: tuple[WorkerRow, ...]
    waiting: int
    queue_s: float
    assigned_load: float
    load_per_s: float
    capacity_load_per_s: float
    usd_per_hour: float
    budget_usd_per_hour: float

    @property
    def states(self) -> Mapping[WorkerState, int]:
        """How many workers stand in each state."""
        return Counter(row.state for row in self.rows)

    @property
    def held(self) -> int:
        """Workers that cost or may cost money."""
        return sum(row.state in HELD for row in self.rows)


def observe(store: ScaleStore, endpoints: Sequence[str], *, now_s: float) -> tuple[GroupView, ...]:
    """Read every group. Raises StoreUnavailable when the table is gone."""
    records = (store.load(endpoint) for endpoint in endpoints)
    return tuple(_group_view(group, now_s=now_s) for group in records if group is not None)


def _group_view(records: GroupRecords, *, now_s: float) -> GroupView:
    held = [worker for worker in records.workers if worker.rental.state in HELD]
    waits = [now_s - request.arrived_at_s for request in records.waiting if still_waits(request, now_s=now_s)]
    return GroupView(
        endpoint=records.group.endpoint,
        rows=tuple(_row(worker) for worker in sorted(held, key=lambda worker: worker.rental.created_at_s)),
        waiting=len(waits),
        queue_s=max(waits, default=0.0),
        assigned_load=sum(worker.assignments.assigned_load for worker in records.workers),
        load_per_s=0.0,  # takes two looks
        capacity_load_per_s=sum(worker.condition.perf for worker in held if worker.rental.state is WorkerState.READY),
        usd_per_hour=sum(map(_micro_usd_per_hour, held)) / MICRO_USD,
        budget_usd_per_hour=records.group.max_hourly_cost_micro_usd / MICRO_USD,
    )


def _row(worker: Worker) -> WorkerRow:
    perf = worker.condition.perf
    return WorkerRow(
        worker_id=worker.worker_id,
        instance_id=worker.rental.instance_id,
        url=worker.condition.url,
        autogroup=worker.rental.autogroup,
        gpu=worker.rental.gpu_name,
        state=worker.rental.state,
        phase=worker.condition.phase.value,
        perf=perf,
        backlog_s=backlog(worker) / perf if perf else 0.0,
        usd_per_hour=_micro_usd_per_hour(worker) / MICRO_USD,
        running_usd_per_hour=worker.rental.running_micro_usd_per_hour / MICRO_USD,
    )


def _micro_usd_per_hour(worker: Worker) -> int:
    rental = worker.rental
    return rental.running_micro_usd_per_hour if rental.state in RUNNING else rental.stopped_micro_usd_per_hour
