"""What must hold at every effect, judged by the marketplace's own books and not by what the scaler believes (DESIGN section 5).

1. Contracts and intents together stay within `max_workers` and `max_hourly_cost_usd`.
2. No contract of ours stays unknown to the table, and none that is not what was asked for stays.
3. No worker with requests in flight or unexpired tickets is stopped or destroyed, unless it failed or its deadline passed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from functions.core.capacity import is_heard
from functions.core.labels import worker_of_label
from functions.core.lifecycle import HELD, WorkerState
from functions.core.model import Worker
from functions.scale.tick import Tick
from sandbox.marketplace.api import Request
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.world import World
from tests.fakes.store import MemoryStore
from tests.simulation.workers import SimulatedWorker

UNKNOWN_S_MAX: Final = 600.0
MISRENTED_S_MAX: Final = 600.0
_CONTRACT: Final = re.compile(r"^/api/v0/instances/(\d+)/$")
_FAILED: Final = ("silent", "reported an error", "drain deadline", "not ready again")
_LOSING: Final = frozenset({WorkerState.STOPPING, WorkerState.DESTROYING})


class Violated(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Watch:
    """Looks at every call and every tick. `unknown_since_s` is by contract; `on_the_way` counts a worker's unused tickets."""

    world: World
    store: MemoryStore
    endpoint: str
    prefix: str
    on_the_way: Callable[[str], int]
    unknown_since_s: dict[int, float] = field(default_factory=dict)
    releasing: bool = False
    ticks: int = 0

    def ours(self) -> list[Contract]:
        """Return every contract of ours that exists now."""
        return [one for one in self.world.contracts.live.values() if (one.label or "").startswith(self.prefix)]

    def workers(self) -> dict[str, Worker]:
        """Return every worker on record."""
        records = self.store.load(self.endpoint)
        assert records is not None
        return {worker.worker_id: worker for worker in records.workers}

    def before_call(self, asked: Request, processes: Mapping[int, SimulatedWorker], *, now_s: float) -> None:
        """Check that nobody is taken from a request."""
        taken = _CONTRACT.match(asked.path)
        if taken is None or asked.method not in {"PUT", "DELETE"} or b"running" in asked.body or self.releasing:
            return
        contract, process = self.world.contracts.live.get(int(taken[1])), processes.get(int(taken[1]))
        if contract is None or process is None or not process.reachable:
            return
        worker = self.workers().get(worker_of_label(contract.label or ""))
        if worker is not None and worker.rental.instance_id == contract.contract_id:
            self._check_released(worker, process, now_s=now_s)

    def after_call(self, asked: Request, *, now_s: float) -> None:
        """Check the ceilings after a create."""
        if asked.path.startswith("/api/v0/asks/"):
            self.check_ceilings(now_s=now_s)

    def after_tick(self, done: Tick, *, now_s: float) -> None:
        """Check that nothing stays unknown."""
        self.ticks += 1
        self.check_ceilings(now_s=now_s)
        del done
        held = {name for name, worker in self.workers().items() if worker.rental.state in HELD}
        unknown = {one.contract_id for one in self.ours() if worker_of_label(one.label or "") not in held}
        self.unknown_since_s = {name: self.unknown_since_s.get(name, now_s) for name in unknown}
        for contract_id, since_s in self.unknown_since_s.items():
            if now_s - since_s > UNKNOWN_S_MAX:
                raise Violated(f"contract {contract_id} is unknown to the table for {now_s - since_s:.0f} s")
        self._check_rented(now_s=now_s)

    def _check_rented(self, *, now_s: float) -> None:
        """Check that what was not asked for is found."""
        workers = self.workers()
        for contract in self.ours():
            worker = workers.get(worker_of_label(contract.label or ""))
            if worker is None or worker.rental.instance_id != contract.contract_id:
                continue
            bids = worker.rental.bid_micro_usd_per_hour is not None
            right = contract.machine.hardware.machine_id == worker.rental.machine_id and contract.is_bid is bids
            if not right and now_s - to_s(contract.created_us) > MISRENTED_S_MAX:
                raise Violated(f"contract {contract.contract_id} is not what was asked for, at {now_s}")

    def check_ceilings(self, *, now_s: float) -> None:
        """Check what exists and what is intended against the group's ceilings."""
        group = self.store.group(self.endpoint)
        assert group is not None
        contracts = self.ours()
        listed = {worker_of_label(one.label or "") for one in contracts}
        intents = [
            worker for name, worker in self.workers().items() if worker.rental.state is WorkerState.RENTING and name not in listed
        ]
        cost = sum(self._asked_or_billed(one, now_s=now_s) for one in contracts) + sum(
            w.rental.running_micro_usd_per_hour for w in intents
        )
        if len(contracts) + len(intents) > group.max_workers:
            raise Violated(f"{len(contracts)} contracts and {len(intents)} intents, {group.max_workers} allowed, at {now_s}")
        if cost > group.max_hourly_cost_micro_usd:
            raise Violated(f"{float(cost):.0f} micro-dollars an hour, {group.max_hourly_cost_micro_usd} allowed, at {now_s}")

    def _asked_or_billed(self, contract: Contract, *, now_s: float) -> Fraction:
        """Return what a contract costs an hour, and while it is young no more than was asked for.

        That the marketplace rents a dearer machine, or on demand where a bid was asked, nobody can prevent; it has to be found.
        """
        billed = running_micro_usd_per_hour(contract)
        worker = self.workers().get(worker_of_label(contract.label or ""))
        if worker is None or now_s - to_s(contract.created_us) > MISRENTED_S_MAX:
            return billed
        return min(billed, Fraction(worker.rental.running_micro_usd_per_hour))

    def _check_released(self, worker: Worker, process: SimulatedWorker, *, now_s: float) -> None:
        if worker.rental.state not in _LOSING or worker.rental.reason.startswith(_FAILED):
            return
        if not is_heard(worker, now_s=now_s):
            return
        if process.in_flight > 0:
            raise Violated(f"{worker.worker_id} is taken with {process.in_flight} in flight: {worker.rental.reason}")
        if self.on_the_way(worker.worker_id) > 0:
            raise Violated(f"{worker.worker_id} is taken with unexpired tickets: {worker.rental.reason}")


def running_micro_usd_per_hour(contract: Contract) -> Fraction:
    """Return what a contract costs an hour while it runs, exactly."""
    tariff = contract.tariff
    storage = Fraction(tariff.storage_micro_usd_per_gb_month * tariff.disk_mb, 1_000 * 720)
    return tariff.gpu_micro_usd_per_hour + storage
