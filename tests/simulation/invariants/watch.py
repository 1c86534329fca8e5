"""All eight at once: who calls which check, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from functions.route.call import Waiting
from functions.scale.tick import Tick
from protocol.ticket import Ticket
from sandbox.marketplace.api import Request
from tests.simulation.invariants.ceilings import Ceilings
from tests.simulation.invariants.knowledge import Knowledge
from tests.simulation.invariants.order import Order
from tests.simulation.invariants.progress import Progress
from tests.simulation.invariants.replays import Replays
from tests.simulation.invariants.requests import Requests
from tests.simulation.invariants.scene import Scene
from tests.simulation.invariants.scheduled import Scheduled
from tests.simulation.invariants.strangers import Strangers


@dataclass(slots=True)
class Watch:
    """Judges one world: `step` after everything that anybody does, `after_tick` after every tick of a scaler."""

    scene: Scene
    boot_s: float
    drain_s: float
    ticks: int = 0
    steps: int = 0
    ceilings: Ceilings = field(init=False)
    strangers: Strangers = field(init=False)
    requests: Requests = field(init=False)
    knowledge: Knowledge = field(init=False)
    replays: Replays = field(init=False)
    progress: Progress = field(init=False)
    order: Order = field(init=False)
    scheduled: Scheduled = field(init=False)

    def __post_init__(self) -> None:
        """Appoint the judges."""
        self.ceilings, self.strangers, self.requests = Ceilings(self.scene), Strangers(self.scene), Requests(self.scene)
        self.knowledge, self.replays, self.scheduled = Knowledge(), Replays(), Scheduled(self.scene)
        self.order = Order(self.scene)
        self.progress = Progress(self.scene, drain_s=self.drain_s, boot_s=self.boot_s)

    def step(self) -> None:
        """Check what may have changed with a step of anybody."""
        self.steps += 1
        self.ceilings.check_if_changed()

    def scaler_called(self, name: str, args: tuple[Any, ...]) -> None:
        """Check after one call of a scaler's ports."""
        self.step()
        if name == "put_decision":
            self.replays.check(args[1])

    def before_call(self, asked: Request) -> None:
        """Check that a call to the marketplace takes nobody from a request."""
        self.requests.before_call(asked)

    def assigned(self, ticket: Ticket, *, since_s: float) -> None:
        """Check that a request, which came at `since_s`, was given to a worker by right."""
        self.scheduled.assigned()
        self.order.assigned(ticket, since_s=since_s)

    def waits(self, answer: Waiting, *, cost: float, since_s: float) -> None:
        """Check that a request is told to wait by right."""
        self.order.waits(answer, cost=cost, since_s=since_s)

    def left(self, request_idx: int) -> None:
        """Note that nobody asks for this request any more."""
        self.order.left(request_idx)

    def after_tick(self, done: Tick) -> None:
        """Check what a whole tick has seen, decided and left."""
        self.ticks += 1
        self.ceilings.check()
        self.strangers.check(done)
        self.knowledge.check(done)
        self.progress.check()
        self.scheduled.check(done)
