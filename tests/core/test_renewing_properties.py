"""What holds of every update, whatever the fleet: no dip, never more than its surge or the ceilings, an end, and a way back."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.core.lifecycle import WorkerState
from functions.core.renewing import surge
from functions.core.rollout import FAILURES_MAX, Stage, stage
from functions.core.version import version_of
from tests.core.builders import CENTS_40, an_autogroup
from tests.core.rolling_world import PERF, RollingWorld

STEPS = 160
V1, V2, V3 = (version_of(an_autogroup(image=image)) for image in ("v1", "v2", "v3"))

often = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def worlds(draw: st.DrawFn, *, places: int = 1) -> RollingWorld:
    """Draw a group whose workers carry what is asked, with at least so many places for more."""
    ready, stopped = draw(st.integers(1, 7)), draw(st.integers(0, 3))
    held = ready + stopped
    spare = draw(st.integers(places, 4))
    dollars = draw(st.sampled_from((held + spare, held + 9)))
    return RollingWorld.serving(
        ready,
        stopped,
        min_load=draw(st.floats((ready - 1) * PERF + 1, ready * PERF)),
        max_workers=held + spare,
        max_hourly_cost_micro_usd=dollars * CENTS_40,
        cold_workers=held,
        update_surge=draw(st.sampled_from(("1", "2", "25%", "100%"))),
    )


def _watched(world: RollingWorld, steps: int = STEPS) -> None:
    """Let time pass; at every step enough serves, and no ceiling and no surge is exceeded."""
    for _ in range(steps):
        world.steps()
        held = world.held()

        assert world.ready_load() >= world.group.min_load
        assert len(held) <= world.group.max_workers
        assert sum(one.rental.running_micro_usd_per_hour for one in held) <= world.group.max_hourly_cost_micro_usd
        # The one on probation comes beside what the change before had begun.
        on_probation = stage(world.state.rollouts["a"], now_s=world.now_s) is Stage.PROVING
        assert world.coming() <= surge(world.group, world.running()) + on_probation


@often
@given(worlds(), st.floats(0.6, 2.0))
def test_a_good_version_replaces_every_worker_and_capacity_never_dips(world: RollingWorld, speed: float) -> None:
    # With one place a slower version may take more workers than the ceilings have room for: then it waits, and nothing dips.
    held = len(world.held())
    world.changes("v2", perf=PERF * speed)
    _watched(world)

    assert world.rents <= 3 * held + 2
    assert world.versions() == {V2} or (speed < 1 and "it waits" in " ".join(world.plan.sentences if world.plan else ()))


@often
@given(worlds())
def test_a_version_that_never_comes_up_is_taken_back_after_a_few(world: RollingWorld) -> None:
    world.changes("v2", bad=True)
    _watched(world)

    assert (world.versions(), world.rents) == ({V1}, FAILURES_MAX)
    assert world.plan is not None
    assert world.plan.facts["update_failed"] == 1.0


@often
@given(worlds(), st.integers(1, 60), st.sampled_from(("good", "bad")))
def test_a_change_in_the_middle_ends_with_the_last_version_or_with_one_that_works(
    world: RollingWorld, after: int, image: str
) -> None:
    world.changes("v2")
    _watched(world, after)
    world.changes("v3", bad=image == "bad")
    _watched(world, 2 * STEPS)
    versions = world.versions()

    assert len(versions) == 1
    assert versions <= ({V1, V2} if image == "bad" else {V3})


@often
@given(worlds(), st.integers(1, 60))
def test_a_change_that_is_taken_back_ends_where_it_began(world: RollingWorld, after: int) -> None:
    world.changes("v2")
    _watched(world, after)
    world.changes("v1")
    _watched(world, STEPS)

    assert world.versions() == {V1}


@often
@given(worlds(), st.integers(0, 60))
def test_an_update_that_is_called_off_replaces_nobody_more(world: RollingWorld, after: int) -> None:
    world.updates = {"a": world.now_s}
    _watched(world, after)
    world.updates = {}
    _watched(world, 20)
    rents = world.rents
    _watched(world, 40)

    assert world.rents == rents


@often
@given(st.integers(1, 5), st.integers(0, 1))
def test_without_a_place_it_moves_only_where_the_rest_carries_what_is_asked(workers: int, spare: int) -> None:
    load = (workers - spare) * PERF
    world = RollingWorld.serving(workers, min_load=max(1.0, load), max_workers=workers, scale_down_window=3_600.0)
    world.changes("v2")
    _watched(world)

    assert world.versions() == ({V2} if spare and workers > 1 else {V1})


@often
@given(st.integers(1, 4))
def test_a_reserve_that_nobody_uses_is_replaced_and_kept(stopped: int) -> None:
    world = RollingWorld.serving(0, stopped, inactivity_timeout=0.0, cold_workers=stopped, max_workers=stopped + 1)
    world.changes("v2")
    _watched(world, 2 * STEPS)
    states = {worker.rental.state for worker in world.held()}

    assert (world.versions(), len(world.held()), states) == ({V2}, stopped, {WorkerState.STOPPED})
