"""One seed's history from its first moment to the removal, and what must be true of it besides the invariants.

First safety with every fault on, then liveness with every fault off. In every third world the removal comes while everything still
goes wrong: a stack may be destroyed at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from functions.core.lifecycle import HELD
from sandbox.marketplace.lifecycle import GPU_BILLED
from tests.simulation.hostile import ENDPOINT, HostileWorld
from tests.simulation.invariants import Violated
from tests.simulation.story import Fault, Line

TORMENT_S: Final = 900.0
# The crash breaker (900 s) and a boot may still have to run out; most worlds have settled long before.
SETTLE_S_MAX: Final = 1_800.0
SETTLE_LOOK_S: Final = 60.0
STORMY_EVERY: Final = 3
SERVED_OF_LATE_S: Final = 600.0
REST_S: Final = 900.0
TRIALS_MAX: Final = 3  # of a version in the only place, for which the reserve has to come back first
# Three workers in a row may each take the whole time that a boot is given (600 s) before a version has failed.
UPDATE_S_MAX: Final = 3_600.0
# An update that finds no place may find a moment in which nothing is asked.
HEEDED_AFTER_S: Final = 600.0
# Requests of 225 load on average: the slowest machine that the autogroups ask for carries that alone.
CALM_PER_S: Final = 0.02
# More than one machine serves: a line forms, whose order is judged.
CROWD_PER_S: Final = 1.0
CROWD_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """What one seed came to."""

    seed: int
    served: int
    ticks: int
    steps: int
    decisions: int
    contracts: int
    faults: Mapping[Fault, int]
    simulated_s: float


def play(seed: int, *, hears: Callable[[Line], None] | None = None, replays_every: int = 1) -> Episode:
    """Play one seed to its end, replaying one decision in so many. Raises Violated."""
    world = HostileWorld(seed)
    world.story.hears = hears
    world.watch.replays.every = replays_every
    started_s = world.clock.now_s()
    world.torment(TORMENT_S)
    stormy = seed % STORMY_EVERY == 0
    if stormy:
        _remove(world)
    world.calm_down()
    if not stormy:
        _settle(world)
        _serve(world)
        _rest(world)
        _remove(world)
    return Episode(
        seed=seed,
        served=world.clients.served,
        ticks=world.watch.ticks,
        steps=world.watch.steps,
        decisions=world.watch.replays.count,
        contracts=len(world.world.contracts.all),
        faults=dict(world.story.faults),
        simulated_s=world.clock.now_s() - started_s,
    )


def _settle(world: HostileWorld) -> None:
    for _ in range(int(SETTLE_S_MAX / SETTLE_LOOK_S)):
        world.live(rate_per_s=CALM_PER_S, duration_s=SETTLE_LOOK_S)
        if world.settled:
            break


def _serve(world: HostileWorld) -> None:
    """Serve whoever asks, also while an update is under way."""
    served, given_up = world.clients.served, world.clients.given_up
    _update(world)
    world.watch.order.judging = True
    world.live(rate_per_s=CALM_PER_S, duration_s=SERVED_OF_LATE_S)
    given_up = world.clients.given_up - given_up
    if world.seed % STORMY_EVERY == 1:
        world.live(rate_per_s=CROWD_PER_S, duration_s=CROWD_S)
    world.watch.order.judging = False
    _demand(world.clients.served > served, "with demand, offers, budget and credit a request is served")
    _demand(given_up == 0, "nobody waits in vain")


def _update(world: HostileWorld) -> None:
    """Let every update end, which may need the place that its sentence asks for."""
    behind = _after_updates(world, rate_per_s=CALM_PER_S)
    _demand(not behind, f"every worker comes to run what is due ({', '.join(behind)})")


def _after_updates(world: HostileWorld, *, rate_per_s: float) -> list[str]:
    """Let time pass until no update is under way, and return the workers that are behind even then."""
    for look in range(int(UPDATE_S_MAX / SETTLE_LOOK_S)):
        if not world.updates.behind():
            break
        if look * SETTLE_LOOK_S >= HEEDED_AFTER_S:
            _make_place(world)
        world.live(rate_per_s=rate_per_s, duration_s=SETTLE_LOOK_S)
    return world.updates.behind()


def _make_place(world: HostileWorld) -> None:
    """Do what the sentence of an update asks for, if it waits for a place."""
    if not world.timetables.lifts():
        world.updates.heed()


def _rest(world: HostileWorld) -> None:
    world.timetables.clear()
    # An autogroup that had no worker may only be proven now that it has one; its trials are few and end by themselves.
    for _ in range(TRIALS_MAX):
        _after_updates(world, rate_per_s=0.0)
        world.live(rate_per_s=0.0, duration_s=REST_S)
        if not world.updates.behind():
            break
    resting = [contract.phase for contract in world.watch.scene.ours()]
    _demand(not GPU_BILLED & set(resting), "what nobody asks for is not run")
    _demand(len(resting) <= _cold_workers(world), "what nobody asks for is not kept, but for the reserve")


def _remove(world: HostileWorld) -> None:
    _demand(world.remove_group(), "a removal that is repeated succeeds")
    held = [name for name, worker in world.watch.scene.workers().items() if worker.rental.state in HELD]
    _demand(world.watch.scene.ours() == [], "after the removal nothing exists")
    _demand(held == [], "after the removal nothing is believed to exist")


def _demand(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Violated(f"this does not hold: {what}")


def _cold_workers(world: HostileWorld) -> int:
    group = world.store.spec(ENDPOINT)
    assert group is not None
    return min(group.cold_workers, group.max_workers) if not group.shortage_cost else group.max_workers
