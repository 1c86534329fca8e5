"""The queueing study: a simulation that can be believed, and the choice that it led to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from bench.routing_study.policies import POLICIES
from bench.routing_study.world import Outcome, Scenario, View, World, central_queue
from functions.core.routing import Candidate

SHIPPED = "within the age (shipped)"
MANY = Scenario(workers=40, routers=40, utilisation=0.8, requests=2_500)
FEW = Scenario(workers=4, routers=4, utilisation=0.9, requests=600, max_queue_time=2.0)


@cache
def run(policy: str, scenario: Scenario = MANY, *, seed: int = 7) -> Outcome:
    """Return what a policy makes of a scenario."""
    return World(scenario, POLICIES[policy], seed=seed).run()


def mean_s(outcome: Outcome) -> float:
    """Return the mean wait."""
    return sum(outcome.waits_s) / len(outcome.waits_s)


def test_the_same_seed_is_the_same_run() -> None:
    first, again = (World(FEW, POLICIES[SHIPPED], seed=7).run() for _ in range(2))

    assert first == again


@pytest.mark.parametrize("policy", POLICIES)
def test_everybody_is_served_and_nobody_before_he_came(policy: str) -> None:
    outcome = run(policy, FEW)

    assert len(outcome.waits_s) == FEW.requests
    assert min(outcome.waits_s) >= 0.0


def test_one_worker_and_one_queue_are_the_same_for_any_policy() -> None:
    alone = Scenario(workers=1, routers=1, utilisation=0.5, requests=300, max_queue_time=1e9)
    world = World(alone, POLICIES["random"], seed=3)
    limit = central_queue(world.perfs, world.requests)

    assert run("random", alone, seed=3).waits_s == pytest.approx(limit.waits_s)


def test_no_policy_beats_the_central_queue() -> None:
    world = World(MANY, POLICIES[SHIPPED], seed=7)

    assert mean_s(central_queue(world.perfs, world.requests)) < mean_s(run(SHIPPED))


def test_a_tight_ceiling_refuses_writes_of_stale_routers() -> None:
    assert run("least completion", FEW).refused > 0


def _watched(policy: Callable[[View], Candidate | None], ages: list[float]) -> Callable[[View], Candidate | None]:
    def watching(view: View) -> Candidate | None:
        ages.append(view.age_s)
        return policy(view)

    return watching


def test_no_router_knows_more_than_a_second_old_news() -> None:
    ages: list[float] = []
    World(MANY, _watched(POLICIES["random"], ages), seed=7).run()

    assert 0.9 < max(ages) < 1.0


@pytest.mark.parametrize(
    "loser", ["least completion", "first of 2", "least requests", "fewer requests of 2", "random", "round robin"]
)
def test_with_many_routers_the_shipped_choice_waits_less(loser: str) -> None:
    assert mean_s(run(SHIPPED)) < mean_s(run(loser))
