"""Between the scalers and the marketplace: calls that take time, get lost, or come too late, each one watched."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from functions.adapters.vast_http import READ_TIMEOUT_S
from sandbox.marketplace.api import Reply, Request
from sandbox.marketplace.world import World
from tests.fakes.marketplace import WorldSession, make_api
from tests.simulation.clock import SimulatedClock
from tests.simulation.invariants.watch import Watch
from tests.simulation.machines import Machines
from tests.simulation.story import Fault, Kind, Story

_LIST: Final = "/api/v1/instances/"
_CREATE: Final = "/api/v0/asks/"
_NONE_LISTED: Final = b'"instances":[]'
_READS: Final = frozenset({"GET", "POST"})


@dataclass(slots=True)
class Wire:
    """One session that all scalers share. `calling`: somebody waits for an answer."""

    world: World
    clock: SimulatedClock
    rng: random.Random
    story: Story
    machines: Machines
    watch: Watch
    calling: bool = False
    session: WorldSession = field(init=False)
    _before: object = None

    def __post_init__(self) -> None:
        """Connect."""
        self.session = WorldSession(make_api(self.world), self.clock, on_call=self._on_call)

    def _on_call(self, asked: Request, reply: Reply | None) -> None:
        self.calling = True
        try:
            if reply is None:
                self._leaves(asked)
            else:
                self._returns(asked, reply)
        finally:
            self.calling = False

    def _leaves(self, asked: Request) -> None:
        self.clock.wait_s(self.rng.uniform(0.05, 0.8))
        self.machines.settle()
        self.watch.before_call(asked)
        self._before = self._books()

    def _returns(self, asked: Request, reply: Reply) -> None:
        self.machines.settle()
        self.watch.step()
        fault = _fault_of(reply) or self._mistake(asked, reply)
        if fault is not None:
            self._suffer(fault, asked)
        elif self.story.hears is not None and asked.method not in _READS:
            self.story.tell("marketplace", Kind.CALL, f"{asked.method} {asked.path}: {reply.status}")
        late = reply.dropped or reply.delay_s > READ_TIMEOUT_S
        self.clock.wait_s(READ_TIMEOUT_S if late else self.rng.uniform(0.05, 0.8))

    def _suffer(self, fault: Fault, asked: Request) -> None:
        happened = self._books() != self._before
        told = Fault.ANSWER_LOST_AFTER_SUCCESS if fault is Fault.ANSWER_LOST and happened else fault
        self.story.suffers("marketplace", told, f"{asked.method} {asked.path}")

    def _mistake(self, asked: Request, reply: Reply) -> Fault | None:
        """Return what is wrong with an answer that looks well."""
        if asked.path == _LIST and _NONE_LISTED in reply.body and self.watch.scene.ours():
            return Fault.LIST_EMPTY
        return Fault.MISRENTED if asked.path.startswith(_CREATE) and self._is_misrented() else None

    def _is_misrented(self) -> bool:
        """Tell whether the newest contract is on another machine, or otherwise rented, than its worker's record says."""
        contract = next(reversed(self.world.contracts.live.values()), None)
        worker = None if contract is None else self.watch.scene.worker_of(contract)
        return contract is not None and worker is not None and not self.watch.scene.is_as_asked(contract, worker)

    def _books(self) -> object:
        """Return what a call may have changed."""
        live = self.world.contracts.live
        return len(self.world.contracts.all), [(contract.contract_id, contract.phase) for contract in live.values()]


def _fault_of(reply: Reply) -> Fault | None:
    if reply.dropped or reply.status >= 500:
        return Fault.ANSWER_LOST
    if reply.delay_s > READ_TIMEOUT_S:
        return Fault.TOO_LATE
    return Fault.RATE_LIMITED if reply.status == 429 else None
