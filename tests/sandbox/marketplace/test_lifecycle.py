"""The tables of an instance's life are complete and mean what the API documents."""

from __future__ import annotations

import pytest

from sandbox.marketplace.lifecycle import (
    GPU_BILLED,
    HOLDS_GPUS,
    STORAGE_BILLED,
    TRANSITIONS,
    VIEWS,
    Event,
    Link,
    Phase,
    following_phase,
    shown_status,
)


def _reachable(start: Phase) -> set[Phase]:
    found, left = {start}, [start]
    while left:
        here = left.pop()
        new = {target for (source, _), target in TRANSITIONS.items() if source is here} - found
        found |= new
        left += new
    return found


def test_every_phase_can_be_reached_from_a_new_contract() -> None:
    assert _reachable(Phase.PROVISIONING) | _reachable(Phase.STOPPED) == set(Phase)


def test_a_destroyed_contract_stays_destroyed() -> None:
    assert _reachable(Phase.DESTROYED) == {Phase.DESTROYED}


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DESTROYED])
def test_everything_can_be_destroyed(phase: Phase) -> None:
    assert following_phase(phase, Event.DESTROY_ASKED) is Phase.DESTROYED


@pytest.mark.parametrize("phase", sorted(HOLDS_GPUS))
def test_whatever_holds_gpus_can_be_stopped_or_is_stopping(phase: Phase) -> None:
    stopping = {Phase.STOPPING, Phase.CANCELLING}

    assert phase in stopping or following_phase(phase, Event.STOP_ASKED) in stopping | {Phase.STOPPED}


def test_every_phase_has_a_view() -> None:
    assert set(VIEWS) == set(Phase)


def test_gpus_are_billed_exactly_while_a_row_reads_running() -> None:
    assert {phase for phase in Phase if VIEWS[phase].actual == "running"} == GPU_BILLED


def test_disks_are_billed_until_destroyed() -> None:
    assert set(Phase) - STORAGE_BILLED == {Phase.DESTROYED}


def test_what_is_billed_for_gpus_holds_them() -> None:
    assert GPU_BILLED < HOLDS_GPUS


@pytest.mark.parametrize(("link", "status"), [(Link.SILENT, "unknown"), (Link.OFFLINE, "offline"), (Link.GONE, "offline")])
def test_an_unheard_machine_hides_what_its_containers_do(link: Link, status: str) -> None:
    assert {shown_status(phase, link, container_made=True) for phase in Phase} == {status}


def test_the_states_of_a_stop_are_those_of_the_documentation() -> None:
    view = VIEWS[Phase.STOPPED]

    assert (view.actual, view.current, view.following, view.intended) == ("exited", "stopped", "stopped", "stopped")
