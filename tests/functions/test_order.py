"""Order of service over many routers that know of each other's waiting requests by their snapshots alone.

The bound that is promised: a request that has waited for longer than a snapshot lives is overtaken by nobody, at any router.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from functions.core.routing import WAITING_FORGOTTEN_AFTER_S, candidates
from functions.ports import FORGOTTEN_AT_ONCE_MAX
from functions.route.call import Assigned
from functions.route.snapshot import SNAPSHOT_TTL_S
from tests.core.builders import a_group, worker_id
from tests.functions.router import Router, ready

COST = 1_000.0  # three of them fill a worker
ROUTERS = 5
WORKERS = 3


@dataclass(slots=True)
class Crowd:
    """Clients that come, wait, ask again at any router, and are served; equal requests, so that every place is like any other."""

    rng: random.Random
    routers: list[Router]
    arrived_s: dict[int, float] = field(default_factory=dict)
    asks_s: dict[int, float] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    overtaken: list[str] = field(default_factory=list)
    served: int = 0
    waited: int = 0

    @property
    def now_s(self) -> float:
        """The time that all routers share."""
        return self.routers[0].clock.now_s()

    def step(self) -> None:
        """Let a moment pass in which something happens."""
        self.routers[0].clock.advance(self.rng.uniform(0.01, 0.3))
        self._somebody_finishes()
        due = [idx for idx, at_s in self.asks_s.items() if at_s <= self.now_s]
        for idx in due:
            self._ask(idx)
        # Busy and calm by turns, so that lines form and end: in one that all routers have long known, nobody can be overtaken.
        if self.rng.random() < (0.85 if self.now_s % 8 < 4 else 0.3):
            self._ask(0)

    def _somebody_finishes(self) -> None:
        if self.running and self.rng.random() < 0.5:
            name = self.running.pop(self.rng.randrange(len(self.running)))
            done = self.routers[0].store.worker("chat", name).condition.finished_load + COST
            self.routers[0].reports(name, finished_load=done, received_load=done)

    def _ask(self, idx: int) -> None:
        free, older = self._free(), self._waiting_longer_than(SNAPSHOT_TTL_S, before=self.arrived_s.get(idx, self.now_s))
        answer = self.rng.choice(self.routers).ask(cost=COST, request_idx=idx)
        if not isinstance(answer, Assigned):
            self.arrived_s.setdefault(answer.request_idx, self.now_s)
            self.asks_s[answer.request_idx] = self.now_s + self.rng.uniform(0.5, 5.0)
            return
        self.waited += bool(idx)
        if free <= len(older):
            self.overtaken.append(f"{idx} got one of {free} places before {older}")
        self.running.append(answer.ticket.worker_id)
        self.arrived_s.pop(idx, None)
        self.asks_s.pop(idx, None)
        self.served += 1

    def _waiting_longer_than(self, age_s: float, *, before: float) -> list[int]:
        return [idx for idx, at_s in self.arrived_s.items() if at_s < min(before, self.now_s - age_s)]

    def _free(self) -> int:
        """Return how many more requests the workers could really take."""
        workers = self.routers[0].store.workers("chat", [0])
        found = candidates(workers, group=a_group(), now_s=self.now_s)
        return sum(int((each.ceiling - each.backlog) / COST + 1e-9) for each in found)


def crowd(seed: int) -> Crowd:
    """Return a crowd before some routers of one group."""
    first = Router(seed=seed)
    first.holds(*ready(*range(1, WORKERS + 1)))
    return Crowd(
        rng=random.Random(seed), routers=[first, *(Router(store=first.store, clock=first.clock) for _ in range(ROUTERS - 1))]
    )


@pytest.fixture(scope="module", params=range(6))
def after_a_minute(request: pytest.FixtureRequest) -> Crowd:
    """Return a crowd that has come and gone for a while."""
    made = crowd(request.param)
    for _ in range(300):
        made.step()
    return made


def test_nobody_who_has_waited_for_a_second_is_overtaken_at_any_router(after_a_minute: Crowd) -> None:
    assert after_a_minute.overtaken == []
    assert after_a_minute.served > 40  # or it would have shown nothing
    assert after_a_minute.waited > 10


def test_who_waits_is_recorded_once_however_many_routers_it_asks(after_a_minute: Crowd) -> None:
    store = after_a_minute.routers[0].store
    waiting = [each.request_idx for each in store.requests("chat") if each.worker_id is None]

    assert sorted(waiting) == sorted(after_a_minute.arrived_s)


# The first in line


@pytest.fixture
def full() -> Router:
    """Return a router whose only worker is full."""
    router = Router()
    router.holds(*ready(1))
    router.ticket(cost=3_000)
    return router


def test_the_first_in_line_is_told_to_wait_for_want_of_room_as_it_is_now(full: Router) -> None:
    full.clock.advance(0.5)
    full.reports(worker_id(1), finished_load=3_000)

    assert full.ticket(cost=10.0).worker_id == worker_id(1)


def test_who_is_told_to_wait_has_cost_one_more_look(full: Router) -> None:
    full.clock.advance(0.5)
    full.store.calls.clear()
    full.waits()

    assert [call for call in full.store.calls if call in {"workers", "waiting"}] == ["workers", "waiting"]


def test_who_is_behind_others_waits_without_another_look(full: Router) -> None:
    full.waits()
    full.clock.advance(0.5)
    full.store.calls.clear()
    full.waits()

    assert "workers" not in full.store.calls


def test_a_crowd_that_leaves_is_forgotten_by_every_router(full: Router) -> None:
    for _ in range(FORGOTTEN_AT_ONCE_MAX):
        full.waits(cost=3_000)
    full.clock.advance(WAITING_FORGOTTEN_AFTER_S + 1)
    full.reports(worker_id(1), finished_load=3_000)

    assert Router(store=full.store, clock=full.clock).ticket(cost=10.0).worker_id == worker_id(1)
