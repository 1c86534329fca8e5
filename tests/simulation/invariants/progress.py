"""7. With demand, offers, budget and credit a group at zero reaches a ready worker; nothing stays loading for ever.

The first half is judged at the end of an episode. The second holds always: a scaler that ticks, however hostile its world, leaves
no worker in a passing state for longer than its limit and what the faults may take (STUCK_SLACK_S).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.lifecycle import WorkerState
from functions.core.reconcile import START_TIMEOUT_S, STOP_TIMEOUT_S
from functions.core.snapshot import RENT_CONFIRM_S
from tests.simulation.invariants import Violated
from tests.simulation.invariants.scene import Scene

# Scalers are suspended for 200 s, once in some hundred worlds four in a row; answers are lost, lists refused or empty meanwhile.
STUCK_SLACK_S: Final = 900.0
_S = WorkerState


@dataclass(frozen=True, slots=True)
class Progress:
    """Looks after every tick."""

    scene: Scene
    drain_s: float
    boot_s: float

    def check(self) -> None:
        """Check that nobody is stuck."""
        limits = self._limits_s()
        for worker in self.scene.workers().values():
            limit_s = limits.get(worker.rental.state)
            age_s = self.scene.now_s - worker.rental.state_since_s
            if limit_s is not None and age_s > limit_s + STUCK_SLACK_S:
                raise Violated(f"{worker.worker_id} has been {worker.rental.state.value} for {age_s:.0f} s")

    def _limits_s(self) -> Mapping[WorkerState, float]:
        return {
            _S.RENTING: RENT_CONFIRM_S,
            _S.BOOTING: self.boot_s,
            _S.DRAINING: self.drain_s,
            _S.STOPPING: STOP_TIMEOUT_S,
            _S.STARTING: START_TIMEOUT_S,
            _S.DESTROYING: 0.0,
        }
