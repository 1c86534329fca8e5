"""2. No instance of ours on the marketplace is unknown to the table for more than two ticks; after the removal, none exists.

A tick whose list shows an instance that the table does not hold must do something about it; one that saw no list, or a list that
lags, cannot. As the marketplace may refuse for a while, the whole must be over within UNKNOWN_S_MAX.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from functions.core.lifecycle import HELD, WorkerState
from functions.core.listing import LIST_LAG_S
from functions.core.plan import Adopt, ConfirmGone, Destroy, DestroyStray
from functions.scale.tick import Tick
from sandbox.marketplace.instance import Contract, to_s
from tests.simulation.invariants import Violated
from tests.simulation.invariants.ceilings import MISRENTED_S_MAX
from tests.simulation.invariants.scene import Scene

UNKNOWN_S_MAX: Final = 600.0
IDLE_TICKS_MAX: Final = 2
_ABOUT_INSTANCES: Final = (Adopt, ConfirmGone, Destroy, DestroyStray)


@dataclass(slots=True)
class Strangers:
    """Looks after every tick. `unknown_since_s` and `unheeded` are by contract."""

    scene: Scene
    unknown_since_s: dict[int, float] = field(default_factory=dict)
    unheeded: Counter[int] = field(default_factory=Counter)

    def check(self, done: Tick) -> None:
        """Check what one tick left unknown, or known as something else."""
        now_s = self.scene.now_s
        unknown = {one.contract_id for one in self.scene.ours() if not self._is_known(one)}
        self.unknown_since_s = {each: self.unknown_since_s.get(each, now_s) for each in unknown}
        for contract_id, since_s in self.unknown_since_s.items():
            if now_s - since_s > UNKNOWN_S_MAX:
                raise Violated(f"contract {contract_id} is unknown to the table for {now_s - since_s:.0f} s")
        self._check_heeded(done, unknown)
        for contract in self.scene.ours():
            self._check_is_what_was_asked(contract)

    def _is_known(self, contract: Contract) -> bool:
        worker = self.scene.worker_of(contract)
        if worker is None:
            return False
        # A tombstone of a moment ago: the list may lag, and says nothing yet.
        lagging = self.scene.now_s - worker.rental.state_since_s <= LIST_LAG_S
        return worker.rental.state in HELD or (worker.rental.state is WorkerState.DESTROYED and lagging)

    def _check_heeded(self, done: Tick, unknown: set[int]) -> None:
        shown = {instance.instance_id for instance in done.snapshot.listing or ()}
        acted = {action.instance_id for action in done.plan.actions if isinstance(action, _ABOUT_INSTANCES)}
        for contract_id in unknown & shown:
            self.unheeded[contract_id] = 0 if contract_id in acted else self.unheeded[contract_id] + 1
            if self.unheeded[contract_id] > IDLE_TICKS_MAX:
                raise Violated(f"contract {contract_id} was seen, and let be, by {self.unheeded[contract_id]} ticks")

    def _check_is_what_was_asked(self, contract: Contract) -> None:
        worker = self.scene.worker_of(contract)
        if worker is None or worker.rental.instance_id != contract.contract_id:
            return
        if not self.scene.is_as_asked(contract, worker) and self.scene.now_s - to_s(contract.created_us) > MISRENTED_S_MAX:
            raise Violated(f"contract {contract.contract_id} is not what was asked for, at {self.scene.now_s}")
