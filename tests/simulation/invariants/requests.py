"""Two promises to whoever sends a request, the third and the fourth.

3. No worker with requests in flight or unexpired tickets is stopped or destroyed, unless it failed or its deadline passed.
4. A ticket is accepted by one worker, once, before it expires.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from functions.core.capacity import is_heard
from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from protocol.ticket import CLOCK_SKEW_S, Ticket
from sandbox.marketplace.api import Request
from tests.simulation.invariants import Violated
from tests.simulation.invariants.scene import Scene
from tests.simulation.workers import SimulatedWorker

_CONTRACT: Final = re.compile(r"^/api/v0/instances/(\d+)/$")
_ALL_CONTRACTS: Final = "/api/v0/instances/"
_FAILED: Final = ("silent", "reported an error", "drain deadline", "not ready again")
_LOSING: Final = frozenset({WorkerState.STOPPING, WorkerState.DESTROYING})


@dataclass(slots=True)
class Requests:
    """Looks before every call that takes a machine away, and at every ticket that a worker takes."""

    scene: Scene
    releasing: bool = False  # a removed endpoint asks nobody
    taken: dict[tuple[str, int], str] = field(default_factory=dict)  # by worker and number: by which run

    def before_call(self, asked: Request) -> None:
        """Check that nobody is taken from a request."""
        if self.releasing:
            return
        for contract_id in taken_by(asked):
            contract, process = self.scene.world.contracts.live.get(contract_id), self.scene.processes.get(contract_id)
            if contract is None or process is None or not process.reachable:
                continue
            worker = self.scene.worker_of(contract)
            if worker is not None and worker.rental.instance_id == contract_id:
                self._check_released(worker, process)

    def _check_released(self, worker: Worker, process: SimulatedWorker) -> None:
        if worker.rental.state not in _LOSING or worker.rental.reason.startswith(_FAILED):
            return
        if not is_heard(worker, now_s=self.scene.now_s):
            return
        if process.in_flight > 0:
            raise Violated(f"{worker.worker_id} is taken with {process.in_flight} in flight: {worker.rental.reason}")
        if self.scene.on_the_way(worker.worker_id) > 0:
            raise Violated(f"{worker.worker_id} is taken with unexpired tickets: {worker.rental.reason}")

    def accepted(self, worker: SimulatedWorker, ticket: Ticket) -> None:
        """Check a ticket that a worker took."""
        if ticket.worker_id != worker.worker_id:
            raise Violated(f"{worker.worker_id} took a ticket of {ticket.worker_id}")
        # The worker's clock may be as far behind as it is allowed to be.
        if self.scene.now_s > ticket.expires_at + 2 * CLOCK_SKEW_S:
            raise Violated(f"{worker.worker_id} took a ticket that had expired: {ticket.reqnum}")
        key = (ticket.worker_id, ticket.reqnum)
        if key in self.taken:
            raise Violated(f"{worker.worker_id} took ticket {ticket.reqnum} twice: {self.taken[key]}, {worker.run_id}")
        self.taken[key] = worker.run_id


def taken_by(asked: Request) -> Sequence[int]:
    """Return the contracts that a call would stop or destroy."""
    if asked.method not in {"PUT", "DELETE"} or b"running" in asked.body:
        return ()
    if asked.path == _ALL_CONTRACTS:
        body = json.loads(asked.body)
        return tuple(body.get("instance_ids") or body.get("ids") or ())
    named = _CONTRACT.match(asked.path)
    return () if named is None else (int(named[1]),)
