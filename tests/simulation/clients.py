"""Clients: they ask the real router, poll while they wait, use their ticket or not, and come back when a worker failed them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from functions.core.model import ApiKey
from functions.route.caches import RouteCaches
from functions.route.call import RouteCall, Waiting
from functions.route.service import RoutePorts, route
from protocol.problem import RequestRefused
from protocol.ticket import Ticket
from tests.simulation.clock import SimulatedClock

PATIENCE_S: Final = 240.0
POLL_S: Final = 5.0
SLOW_SHARE: Final = 0.15  # of clients: they take almost a ticket's lifetime to use it


@dataclass(slots=True)
class Clients:
    """Everybody who asks one group. `deliver` hands a ticket to its worker and tells whether it was taken."""

    endpoint: str
    key: ApiKey
    ports: RoutePorts
    clock: SimulatedClock
    rng: random.Random
    deliver: Callable[[Ticket], bool]
    rate_per_s: float = 0.0
    abandoned: float = 0.0  # share of tickets that are never used
    caches: RouteCaches = field(default_factory=RouteCaches)
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
        try:
            answer = route(call, key=self.key, ports=self.ports, caches=self.caches)
        except RequestRefused:
            self.waiting.pop(call.request_idx, None)
            return
        if isinstance(answer, Waiting):
            self.waiting[answer.request_idx] = since_s
            again = RouteCall(endpoint=self.endpoint, cost=call.cost, request_idx=answer.request_idx)
            self.clock.after(POLL_S, lambda: self._poll(again, since_s))
            return
        self.waiting.pop(answer.ticket.request_idx, None)
        self.on_the_way.add(answer.ticket)
        if self.rng.random() >= self.abandoned:
            slow = self.rng.random() < SLOW_SHARE
            delay_s = self.rng.uniform(5.0, 55.0) if slow else self.rng.uniform(0.05, 3.0)
            self.clock.after(delay_s, lambda: self._use(answer.ticket, since_s))

    def _poll(self, call: RouteCall, since_s: float) -> None:
        if self.clock.now_s() - since_s > PATIENCE_S:
            self.given_up += 1
            self.waiting.pop(call.request_idx, None)
            return
        self._ask(call, since_s)

    def _use(self, ticket: Ticket, since_s: float) -> None:
        self.on_the_way.discard(ticket)
        if self.deliver(ticket):
            self.served += 1
            return
        again = RouteCall(endpoint=self.endpoint, cost=ticket.cost, request_idx=ticket.request_idx)
        self.clock.after(1.0, lambda: self._ask(again, since_s))
