"""Clients: they ask any of the real routers, poll while they wait, use their ticket or not, once or twice, and come back.

A worker that cannot be reached, or refuses the ticket, has failed them; they ask again by the number of their request.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from functions.core.model import ApiKey
from functions.route.caches import RouteCaches
from functions.route.call import Assigned, RouteCall, Waiting
from functions.route.service import RoutePorts, route
from protocol.problem import RequestRefused
from protocol.ticket import Ticket
from tests.simulation.clock import SimulatedClock
from tests.simulation.story import Fault, Kind, Story

PATIENCE_S: Final = 240.0
IMPATIENCE_S: Final = 50.0  # of clients in a hostile world, so that those who wait do not take up all of its time
POLL_S: Final = 5.0
SLOW_SHARE: Final = 0.15  # of clients: they take almost a ticket's lifetime to use it


@dataclass(frozen=True, slots=True)
class Router:
    """One execution environment of the route function: its own clock, and what it remembers."""

    ports: RoutePorts
    caches: RouteCaches = field(default_factory=RouteCaches)


class Judge(Protocol):
    """Who is told of every answer."""

    def assigned(self, ticket: Ticket, *, since_s: float) -> None:
        """Note that a request, which came at `since_s`, was given to a worker."""

    def waits(self, answer: Waiting, *, cost: float, since_s: float) -> None:
        """Note that a request was told to wait."""

    def left(self, request_idx: int) -> None:
        """Note that nobody asks for this request any more."""


@dataclass(slots=True)
class Clients:
    """Everybody who asks one group. `deliver` hands a ticket as it travels to its worker, and tells whether it was taken."""

    endpoint: str
    key: ApiKey
    routers: Sequence[Router]
    clock: SimulatedClock
    rng: random.Random
    story: Story
    judge: Judge
    deliver: Callable[[str, Mapping[str, Any]], bool]
    rate_per_s: float = 0.0
    abandoned: float = 0.0  # share of tickets that are never used
    replayed: float = 0.0  # share of tickets that are used twice
    patience_s: float = IMPATIENCE_S
    served: int = 0
    given_up: int = 0
    waiting: dict[int, float] = field(default_factory=dict)  # by number: since when
    on_the_way: set[Ticket] = field(default_factory=set)  # given out and not used

    def begin(self) -> None:
        """Ask for ever, at the present rate."""
        if self.rate_per_s > 0:
            self._ask(RouteCall(endpoint=self.endpoint, cost=round(self.rng.uniform(50.0, 400.0), 3)), self.clock.now_s())
        gap_s = self.rng.expovariate(self.rate_per_s) if self.rate_per_s > 0 else 10.0
        self.clock.after(min(gap_s, 60.0), self.begin)

    def _ask(self, call: RouteCall, since_s: float) -> None:
        router = self.rng.choice(self.routers)
        try:
            answer = route(call, key=self.key, ports=router.ports, caches=router.caches)
        except RequestRefused:
            self._leave(call.request_idx)
            return
        if isinstance(answer, Waiting):
            self._wait(answer, call, since_s)
        else:
            self._go(answer, since_s)

    def _wait(self, answer: Waiting, call: RouteCall, since_s: float) -> None:
        self.judge.waits(answer, cost=call.cost, since_s=since_s)
        if answer.request_idx not in self.waiting:
            self.story.tell(f"request {answer.request_idx}", Kind.REQUEST, f"waits: {answer.status}")
        self.waiting[answer.request_idx] = since_s
        again = RouteCall(endpoint=self.endpoint, cost=call.cost, request_idx=answer.request_idx)
        self.clock.after(POLL_S, lambda: self._poll(again, since_s))

    def _go(self, answer: Assigned, since_s: float) -> None:
        ticket = answer.ticket
        self.judge.assigned(ticket, since_s=since_s)
        self.waiting.pop(ticket.request_idx, None)
        self.on_the_way.add(ticket)
        self.story.tell(f"request {ticket.request_idx}", Kind.REQUEST, f"is given to {ticket.worker_id}")
        if self.rng.random() < self.abandoned:
            self.story.suffers(f"request {ticket.request_idx}", Fault.TICKET_UNUSED)
            return
        slow = self.rng.random() < SLOW_SHARE
        delay_s = self.rng.uniform(5.0, 55.0) if slow else self.rng.uniform(0.05, 3.0)
        self.clock.after(delay_s, lambda: self._use(answer, since_s))

    def _poll(self, call: RouteCall, since_s: float) -> None:
        if self.clock.now_s() - since_s > self.patience_s:
            self.given_up += 1
            self.story.tell(f"request {call.request_idx}", Kind.REQUEST, f"gives up after {self.patience_s:.0f} s")
            self._leave(call.request_idx)
            return
        self._ask(call, since_s)

    def _use(self, answer: Assigned, since_s: float) -> None:
        ticket = answer.ticket
        self.on_the_way.discard(ticket)
        if self.deliver(ticket.url, answer.wire()):
            self.served += 1
            if self.rng.random() < self.replayed:
                self.story.suffers(f"request {ticket.request_idx}", Fault.TICKET_REPLAYED)
                self.clock.after(self.rng.uniform(0.1, 200.0), lambda: self._replay(answer))
            return
        again = RouteCall(endpoint=self.endpoint, cost=ticket.cost, request_idx=ticket.request_idx)
        self.clock.after(1.0, lambda: self._ask(again, since_s))

    def _replay(self, answer: Assigned) -> None:
        self.deliver(answer.ticket.url, answer.wire())

    def _leave(self, request_idx: int) -> None:
        self.waiting.pop(request_idx, None)
        self.judge.left(request_idx)
