"""8. A request that waits is served in arrival order, or is told why not.

Somebody who came later may be served first where there is room for both, and within the second that a router's view lives. So
nobody is accused by the service of a newcomer alone, but by this: a request that has waited for longer than ORDER_S saw a later one
served, asks again, more than ORDER_S after that, and is told to wait, TELLINGS times in a row, although nothing was taken from the
fleet meanwhile. Once is no proof: a router whose view is a second old may count a request both as assigned and as still before it.
Nor is twice: a request has a place beside those before it by how they would be packed into what is free, and a moment later they
are packed another way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from functions.core.routing import WAITING_FORGOTTEN_AFTER_S, is_routable
from functions.route.call import Waiting
from functions.route.snapshot import SNAPSHOT_TTL_S
from protocol.ticket import Ticket
from tests.simulation.invariants import Violated
from tests.simulation.invariants.scene import Scene

ORDER_S: Final = SNAPSHOT_TTL_S + 1.0
TELLINGS: Final = 3


@dataclass(frozen=True, slots=True)
class _Passed:
    """Who came later and was served, when, and by which workers there was room then. `told`: to wait since, although there is."""

    by: int
    at_s: float
    room: frozenset[str]
    told: int = 0


@dataclass(slots=True)
class _Waits:
    """One request in line."""

    since_s: float
    cost: float
    asked_at_s: float
    passed: _Passed | None = None


@dataclass(slots=True)
class Order:
    """Told of every answer; `judging` while the world is calm."""

    scene: Scene
    judging: bool = False
    line: dict[int, _Waits] = field(default_factory=dict)
    told: int = 0

    def waits(self, answer: Waiting, *, cost: float, since_s: float) -> None:
        """Check one who is told to wait."""
        self.told += 1
        if not answer.status.strip():
            raise Violated(f"request {answer.request_idx} waits and is not told why")
        before = self.line.get(answer.request_idx)
        passed = None
        if self.judging and before is not None and before.passed is not None:
            passed = self._judge(answer, before.passed, waited_s=self.scene.now_s - before.since_s)
        self.line[answer.request_idx] = _Waits(since_s=since_s, cost=cost, asked_at_s=self.scene.now_s, passed=passed)

    def assigned(self, ticket: Ticket, *, since_s: float) -> None:
        """Note whom one who is served has passed."""
        self.line.pop(ticket.request_idx, None)
        if not self.judging or not self.line:
            return
        now_s, serving = self.scene.now_s, self._serving()
        for each in self.line.values():
            asks = now_s - each.asked_at_s <= WAITING_FORGOTTEN_AFTER_S
            if asks and each.passed is None and each.since_s < min(since_s, now_s - ORDER_S) and each.cost <= ticket.cost:
                each.passed = _Passed(ticket.request_idx, now_s, serving)

    def left(self, request_idx: int) -> None:
        """Forget one who asks no more."""
        self.line.pop(request_idx, None)

    def _judge(self, answer: Waiting, passed: _Passed, *, waited_s: float) -> _Passed | None:
        """Accuse, if by now every router knows of the room, what served the later one serves still, and may serve this one."""
        if self.scene.now_s - passed.at_s <= ORDER_S:
            return passed
        if not passed.room <= self._serving() or self._avoids(answer.request_idx, passed.room):
            return None
        if passed.told + 1 >= TELLINGS:
            told = f"was overtaken by {passed.by}: {answer.status}"
            raise Violated(f"request {answer.request_idx} waits for {waited_s:.0f} s and {told}")
        return replace(passed, told=passed.told + 1)

    def _serving(self) -> frozenset[str]:
        workers = self.scene.workers().items()
        return frozenset(name for name, worker in workers if is_routable(worker, now_s=self.scene.now_s))

    def _avoids(self, request_idx: int, room: frozenset[str]) -> bool:
        record = self.scene.store.record(self.scene.endpoint, request_idx)
        return record is not None and bool(room & set(record.avoid))
