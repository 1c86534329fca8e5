"""The machines' side of the world: what the marketplace does to containers, done to simulated processes, and told."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.marketplace.effects import Boot, Effect, Freeze, Halt, Kill, Thaw
from sandbox.marketplace.environment import container_environment
from sandbox.marketplace.faults import Fate
from sandbox.marketplace.instance import Contract
from sandbox.marketplace.lifecycle import Link
from sandbox.marketplace.world import World
from tests.simulation.clock import SimulatedClock
from tests.simulation.story import Fault, Kind, Story
from tests.simulation.workers import Air, SimulatedWorker

DEAF_SHARE: Final = 0.05
LIES_SHARE: Final = 0.1
LIES_FACTOR: Final = 3.0
WORKER_CLOCKS_APART_S: Final = 20.0  # rented machines' clocks, after the control plane has told them the time
FATES: Final[Mapping[Fate, Fault]] = {
    Fate.NEVER_SCHEDULED: Fault.NEVER_READY,
    Fate.LOADING_FOR_EVER: Fault.NEVER_READY,
    Fate.OCI_ERROR: Fault.NEVER_READY,
    Fate.DOCKER_ERROR: Fault.NEVER_READY,
    Fate.DOCKER_ERROR_EXITED: Fault.NEVER_READY,
    Fate.DEAF: Fault.NEVER_READY,
    Fate.SLOW: Fault.SLOW,
}
LINKS: Final[Mapping[Link, Fault]] = {Link.SILENT: Fault.SILENT, Link.OFFLINE: Fault.SILENT, Link.GONE: Fault.GONE}


@dataclass(slots=True)
class Machines:
    """Processes by contract, the dead ones included."""

    world: World
    clock: SimulatedClock
    rng: random.Random
    air: Air
    story: Story
    hostile: bool = True
    processes: dict[int, SimulatedWorker] = field(default_factory=dict)
    born: int = 0  # contracts that have been told of

    def settle(self) -> None:
        """Let everything happen at the marketplace that is due, and to the processes what follows."""
        self.world.advance(self.clock.now_s())
        for effect in self.world.take_effects():
            self._carry_out(effect)
        if len(self.world.contracts.all) != self.born:
            self._announce()

    def deliver(self, url: str, wire: Mapping[str, Any]) -> bool:
        """Take a ticket to whoever answers at this address; tells whether it was taken."""
        alive = (process for process in self.processes.values() if process.alive and process.url == url)
        return any(process.take(wire) for process in alive)

    def outbid(self, contracts: Sequence[Contract]) -> None:
        """Let somebody bid more for one of the machines that were rented by a bid."""
        bids = [contract.contract_id for contract in contracts if contract.is_bid]
        if bids:
            struck = self.rng.choice(bids)
            self.story.suffers(f"contract {struck}", Fault.OUTBID)
            self.world.strike(struck, Fate.OUTBID, self.clock.now_s())

    def _announce(self) -> None:
        contracts = list(self.world.contracts.all.values())
        for contract in contracts[self.born :]:
            fault = FATES.get(contract.fate) if contract.fate is not None else None
            if fault is not None:
                self.story.suffers(f"contract {contract.contract_id}", fault, str(contract.fate))
            if contract.listed_from_us > contract.created_us:
                self.story.suffers(f"contract {contract.contract_id}", Fault.LIST_LAGS)
        self.born = len(contracts)

    def _carry_out(self, effect: Effect) -> None:
        process = self.processes.get(effect.contract_id)
        match effect:
            case Boot(contract_id=contract_id):
                self._boot(contract_id)
            case Halt() | Kill() if process is not None and process.alive:
                process.alive = False
                contract = self.world.contracts.all[effect.contract_id]
                if isinstance(effect, Kill) and contract.alive:
                    self.story.suffers(process.worker_id, LINKS.get(contract.machine.link, Fault.ENDS))
                self.story.tell(process.worker_id, Kind.WORKER, "ends")
            case Freeze() if process is not None:
                process.frozen = True
                link = self.world.contracts.all[effect.contract_id].machine.link
                self.story.suffers(process.worker_id, LINKS.get(link, Fault.SILENT))
            case Thaw() if process is not None:
                process.frozen = False
                self.story.suffers(process.worker_id, Fault.COMES_BACK)
            case _:
                pass

    def _boot(self, contract_id: int) -> None:
        contract = self.world.contracts.all[contract_id]
        again = contract_id in self.processes
        lies = self.hostile and self.rng.random() < LIES_SHARE
        # Not drawn from the world's own dice: whoever adds a fault to them deals every seed another history.
        deaf = self.hostile and random.Random(contract_id).random() < DEAF_SHARE
        worker = SimulatedWorker(
            contract_id=contract_id,
            deaf=deaf,
            env=container_environment(contract),
            air=self.air,
            run_id=f"run-{self.rng.getrandbits(48)}",
            load_s=self.rng.uniform(2.0, 10.0) if again else self.rng.uniform(10.0, 60.0),
            lies=LIES_FACTOR if lies else 1.0,
            clock_ahead_s=self.rng.uniform(-WORKER_CLOCKS_APART_S, WORKER_CLOCKS_APART_S) if self.hostile else 0.0,
        )
        if deaf:
            self.story.suffers(worker.worker_id, Fault.DEAF)
        if lies:
            self.story.suffers(worker.worker_id, Fault.LIES)
        self.processes[contract_id] = worker
        worker.begin()
