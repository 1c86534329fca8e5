"""What the marketplace lists of ours, beside what we know: which instance is whose, and which is nobody's.

The list may lag by some seconds either way: an instance that was just rented is missing, one that was just destroyed is still
there. So a presence proves that something existed, an absence proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.labels import worker_of_label
from functions.core.lifecycle import WorkerState
from functions.core.model import Instance, Worker

LIST_LAG_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing that can be looked up. `by_worker` holds each worker's instances, oldest first."""

    by_id: Mapping[int, Instance]
    by_worker: Mapping[str, tuple[Instance, ...]]

    def of(self, worker: Worker) -> Instance | None:
        """Return the worker's instance: the one on record, else the first that bears its label."""
        if worker.rental.instance_id is not None:
            return self.by_id.get(worker.rental.instance_id)
        return next(iter(self.by_worker.get(worker.worker_id, ())), None)


def index(instances: Iterable[Instance]) -> Listing:
    """Return the listing of these instances."""
    by_worker: dict[str, tuple[Instance, ...]] = {}
    by_id = {instance.instance_id: instance for instance in instances}
    for _, instance in sorted(by_id.items()):
        name = worker_of_label(instance.label)
        by_worker[name] = (*by_worker.get(name, ()), instance)
    return Listing(by_id=by_id, by_worker=by_worker)


def strays(listing: Listing, workers: Iterable[Worker], *, now_s: float) -> tuple[Instance, ...]:
    """Return the instances that bear a label of ours and belong to no held worker.

    One that was confirmed destroyed a moment ago is the list's lag; after LIST_LAG_S it has come back, and costs.
    """
    known = {worker.worker_id: worker for worker in workers}
    return tuple(
        instance
        for name, instances in listing.by_worker.items()
        for instance in instances
        if not _accounted(instance, known.get(name), listing, now_s=now_s)
    )


def _accounted(instance: Instance, worker: Worker | None, listing: Listing, *, now_s: float) -> bool:
    if worker is None:
        return False
    if worker.rental.state is WorkerState.DESTROYED:
        lagging = now_s - worker.rental.state_since_s <= LIST_LAG_S
        return lagging and worker.rental.instance_id == instance.instance_id
    return listing.of(worker) is instance
