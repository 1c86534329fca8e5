"""How rents went, by autogroup and by host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.demand import observe
from functions.core.lifecycle import WorkerState
from functions.core.memory import remember
from functions.core.model import Worker
from functions.core.plan import Action, Destroy, Fault, Forget, MarkReady
from functions.core.scaler_state import ScalerState
from functions.core.track_record import HOSTS_MAX, RECORDED_MAX, with_boot, with_stay
from tests.core.builders import NOW_S, a_condition, a_snapshot, a_worker, worker_id

_S = WorkerState


def _after(state: ScalerState, worker: Worker, action: Action) -> ScalerState:
    snapshot = a_snapshot(worker, state=state)
    return remember(snapshot.state, snapshot, observe(snapshot, now_s=NOW_S), [action], listing=None, now_s=NOW_S)


def test_a_machine_that_becomes_ready_tells_how_long_its_boot_took() -> None:
    booted = replace(a_worker(1, _S.BOOTING, age_s=240.0, host_id=7), condition=a_condition())
    state = _after(ScalerState(), booted, MarkReady(worker_id=worker_id(1), reason="ready"))

    assert (state.boots["a"].ready, state.boots["a"].boot_s, state.hosts["7"].boot_s) == (1.0, 240.0, 240.0)


def test_a_start_from_cold_is_no_boot_to_time() -> None:
    started = replace(a_worker(1, _S.BOOTING, age_s=20.0, created_at_s=NOW_S - 5_000), condition=a_condition())
    state = _after(ScalerState(), started, MarkReady(worker_id=worker_id(1), reason="ready"))

    assert (state.boots["a"].ready, state.boots["a"].boot_s) == (1.0, 0.0)


@pytest.mark.parametrize(("fault", "failed"), [(Fault.BOOT, 1.0), (Fault.TAKEN, 0.0), (Fault.SERVICE, 0.0)])
def test_a_boot_that_fails_counts_against_the_autogroup_and_the_host(fault: Fault, failed: float) -> None:
    destroy = Destroy(worker_id=worker_id(1), instance_id=1, reason="gone", fault=fault)
    state = _after(ScalerState(), a_worker(1, _S.BOOTING, host_id=7), destroy)

    assert sum(record.failed for record in (*state.boots.values(), *state.hosts.values())) == 2 * failed


def test_a_boot_that_fails_says_nothing_of_how_long_one_takes() -> None:
    state = with_boot(ScalerState(), a_worker(1, _S.BOOTING, age_s=900.0), ready=False, now_s=NOW_S)

    assert state.boots["a"].boot_s == 0.0


def test_the_newest_boot_counts_for_a_fifth_of_the_mean() -> None:
    state = ScalerState()
    for took_s in (100.0, 200.0):
        state = with_boot(state, a_worker(1, _S.BOOTING, age_s=took_s), ready=True, now_s=NOW_S)

    assert state.boots["a"].boot_s == pytest.approx(120.0)


def test_counts_never_grow_beyond_what_is_recorded() -> None:
    state = ScalerState()
    for _ in range(500):
        state = with_boot(state, a_worker(1), ready=True, now_s=NOW_S)

    assert RECORDED_MAX / 2 < state.boots["a"].ready <= RECORDED_MAX


def test_a_worker_that_is_forgotten_tells_how_long_it_stayed() -> None:
    gone = replace(a_worker(1, _S.DESTROYED, age_s=1_000.0, created_at_s=NOW_S - 8_200), condition=a_condition())

    assert _after(ScalerState(), gone, Forget(worker_id=worker_id(1), reason="long ago")).stay_s == 7_200.0


def test_one_that_was_never_measured_has_not_stayed() -> None:
    assert with_stay(ScalerState(), a_worker(1, _S.DESTROYED)).stay_s == 0.0


def test_what_happened_long_ago_fades() -> None:
    state = ScalerState()
    for _ in range(int(RECORDED_MAX)):
        state = with_boot(state, a_worker(1), ready=False, now_s=NOW_S)
    for _ in range(int(RECORDED_MAX)):
        state = with_boot(state, a_worker(1), ready=True, now_s=NOW_S)

    assert state.boots["a"].ready > 2 * state.boots["a"].failed


def test_the_hosts_met_longest_ago_are_forgotten() -> None:
    state = ScalerState()
    for host_id in range(1, HOSTS_MAX + 11):
        state = with_boot(state, a_worker(1, host_id=host_id), ready=True, now_s=NOW_S + host_id)

    assert sorted(map(int, state.hosts)) == list(range(11, HOSTS_MAX + 11))
