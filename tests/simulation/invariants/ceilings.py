"""1. Billed plus intended never exceeds `max_workers` or `max_hourly_cost_usd`, whatever answers are lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from functions.core.labels import worker_of_label
from functions.core.lifecycle import WorkerState
from sandbox.marketplace.instance import Contract, to_s
from tests.simulation.invariants import Violated
from tests.simulation.invariants.scene import Scene

# That the marketplace rents a dearer machine than was asked for, nobody can prevent; it has to be found within this time.
MISRENTED_S_MAX: Final = 600.0
# Storage is priced per GB and month of 720 hours, and measured in MB: in these parts of a micro-dollar every price is whole.
EXACT: Final = 1_000 * 720


@dataclass(slots=True)
class Ceilings:
    """Looks whenever a rental or a contract has changed."""

    scene: Scene
    _seen: tuple[object, ...] = field(default=(), repr=False)

    def check_if_changed(self) -> None:
        """Check after one step of anybody. Prices change only with contracts, or slowly: those are looked at every few seconds."""
        contracts = self.scene.world.contracts
        seen = (self.scene.store.rentals_written, len(contracts.all), len(contracts.live))
        if seen != self._seen:
            self._seen = seen
            self.check()

    def check(self) -> None:
        """Check what exists and what is intended against the group's ceilings."""
        scene = self.scene
        group, contracts = scene.group(), scene.ours()
        listed = {worker_of_label(one.label or "") for one in contracts}
        intents = [
            worker for name, worker in scene.workers().items() if worker.rental.state is WorkerState.RENTING and name not in listed
        ]
        if len(contracts) + len(intents) > group.max_workers:
            raise Violated(f"{len(contracts)} contracts and {len(intents)} intents, {group.max_workers} allowed, at {scene.now_s}")
        cost = sum(map(self._asked_or_billed, contracts)) + sum(w.rental.running_micro_usd_per_hour * EXACT for w in intents)
        if cost > group.max_hourly_cost_micro_usd * EXACT:
            allowed = group.max_hourly_cost_micro_usd
            raise Violated(f"{cost / EXACT:.0f} micro-dollars an hour, {allowed} allowed, at {scene.now_s}")

    def _asked_or_billed(self, contract: Contract) -> int:
        """Return what a contract costs an hour, and while it is young no more than was asked for."""
        billed = _billed(contract)
        worker = self.scene.worker_of(contract)
        if worker is None or self.scene.now_s - to_s(contract.created_us) > MISRENTED_S_MAX:
            return billed
        return min(billed, worker.rental.running_micro_usd_per_hour * EXACT)


def _billed(contract: Contract) -> int:
    """Return what a contract costs an hour while it runs, in parts of which EXACT are a micro-dollar."""
    tariff = contract.tariff
    return tariff.gpu_micro_usd_per_hour * EXACT + tariff.storage_micro_usd_per_gb_month * tariff.disk_mb
