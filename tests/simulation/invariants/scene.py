"""What the invariants look at: the marketplace's books, the table, the processes, the time as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from functions.core.labels import worker_of_label
from functions.core.model import EndpointGroup, Worker
from functions.core.schedules import in_force
from sandbox.marketplace.instance import Contract
from sandbox.marketplace.world import World
from tests.fakes.store import MemoryStore
from tests.simulation.clock import SimulatedClock
from tests.simulation.workers import SimulatedWorker


@dataclass(frozen=True, slots=True)
class Scene:
    """One world. `on_the_way` counts a worker's unused tickets."""

    world: World
    store: MemoryStore
    clock: SimulatedClock
    endpoint: str
    prefix: str
    processes: Mapping[int, SimulatedWorker]
    on_the_way: Callable[[str], int]

    @property
    def now_s(self) -> float:
        """The true time."""
        return self.clock.now_s()

    def ours(self) -> list[Contract]:
        """Return every contract of ours that exists now."""
        return [one for one in self.world.contracts.live.values() if (one.label or "").startswith(self.prefix)]

    def workers(self) -> Mapping[str, Worker]:
        """Return every worker on record, as it is now."""
        return self.store.fleet(self.endpoint)

    def worker_of(self, contract: Contract) -> Worker | None:
        """Return the worker whose label a contract bears."""
        return self.workers().get(worker_of_label(contract.label or ""))

    def is_as_asked(self, contract: Contract, worker: Worker) -> bool:
        """Tell whether a contract is on the machine, and rented in the way, that its worker's record says."""
        bids = worker.rental.bid_micro_usd_per_hour is not None
        return contract.machine.hardware.machine_id == worker.rental.machine_id and contract.is_bid is bids

    def group(self) -> EndpointGroup:
        """Return the group's parameters, as they are declared."""
        group = self.store.spec(self.endpoint)
        assert group is not None
        return group

    def group_now(self, *, ahead_s: float = 0.0) -> EndpointGroup:
        """Return the group's parameters as they are now, by a clock that is ahead by so much."""
        group = self.group()
        return in_force(group, now_s=self.now_s + ahead_s).group if group.schedules else group
