"""What is remembered between decisions: performance, failures, halts, samples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.capacity import learn, outlook
from functions.core.demand import SAMPLES_MAX, Demand, add_sample, observe
from functions.core.forecast import Forecast
from functions.core.lifecycle import WorkerState
from functions.core.memory import (
    AVOIDED_MAX,
    BREAKER_FAILURES,
    BREAKER_HALT_S,
    THROTTLE_HALT_S_MIN,
    after_refusal,
    after_throttling,
    after_vanishing,
    remember,
)
from functions.core.model import Worker
from functions.core.plan import Action, Destroy, Drain, Fault, MarkReady
from functions.core.scaler_state import Bursts, Halt, LearnedPerf, ScalerState, Season, Surges
from functions.core.scaling import decide
from tests.core.builders import NOW_S, a_condition, a_snapshot, a_state, a_worker, an_instance, an_offer, worker_id

_S = WorkerState


def _demand(assigned_load: float = 0.0) -> Demand:
    return Demand(
        ahead=Forecast(load_per_s=None, open_requests=0, growth_per_s=0.0, lead_s=30.0),
        mean_cost=0.0,
        place=0.0,
        surges=Surges(),
        bursts=Bursts(),
        season=Season(),
        soon_load_per_s=0.0,
        later_load_per_s=0.0,
        peaks=(),
        lasting=None,
        settled=False,
        assigned_load=assigned_load,
        retired_load=0.0,
        waiting_load=0.0,
        waiting=0,
        oldest_wait_s=0.0,
        asked_now=False,
        last_asked_at_s=NOW_S,
    )


def _after_boot_failure(state: ScalerState, number: int = 1, *, fault: Fault = Fault.BOOT) -> ScalerState:
    snapshot = a_snapshot(a_worker(number, WorkerState.BOOTING), state=state)
    failure = Destroy(worker_id=worker_id(number), instance_id=number, reason="no such image", fault=fault)
    return remember(snapshot.state, snapshot, observe(snapshot, now_s=NOW_S), [failure], listing=None, now_s=NOW_S)


def test_learned_performance_is_a_running_mean() -> None:
    learned = learn({}, replace(a_worker(1), condition=a_condition(perf=100.0)), now_s=NOW_S)
    learned = learn(learned, replace(a_worker(2, dlperf=25.0), condition=a_condition(perf=25.0)), now_s=NOW_S)
    (known,) = learned.values()

    assert (known.perf, known.dlperf) == pytest.approx((50.0, 50.0))
    assert known.samples == 2


def test_an_old_mean_does_not_outweigh_what_is_measured_now() -> None:
    learned = {"a|RTX 4090|1": LearnedPerf(perf=100.0, samples=10_000, dlperf=100.0)}
    after = learn(learned, replace(a_worker(1), condition=a_condition(perf=200.0)), now_s=NOW_S)

    assert after["a|RTX 4090|1"].perf == pytest.approx(100.0 * 2 ** (1 / 20))


def test_the_ratio_to_the_benchmark_predicts_other_models_of_the_same_autogroup_only() -> None:
    known = outlook(ScalerState(learned={"a|RTX 4090|1": LearnedPerf(perf=200.0, samples=3, dlperf=100.0)}))
    other = an_offer(gpu_name="H100", dlperf=300.0)
    expected = known.of_offer("a", other)

    assert expected is not None
    assert expected.perf == pytest.approx(600.0)
    assert known.of_offer("b", other) is None


def test_without_a_benchmark_nothing_is_predicted() -> None:
    known = outlook(ScalerState(learned={"a|RTX 4090|1": LearnedPerf(perf=200.0, samples=3, dlperf=0.0)}))

    assert known.of_offer("a", an_offer(gpu_name="H100", dlperf=300.0)) is None


def test_boots_that_fail_in_a_row_trip_the_breaker() -> None:
    state = ScalerState()
    for number in range(1, BREAKER_FAILURES + 1):
        tripped = "a" in state.halted_autogroups
        state = _after_boot_failure(state, number)

    assert not tripped
    assert state.halted_autogroups["a"].until_s == NOW_S + BREAKER_HALT_S
    assert "no such image" in state.halted_autogroups["a"].reason


def test_after_a_halt_one_more_failure_halts_again() -> None:
    state = _after_boot_failure(ScalerState(boot_failures={"a": BREAKER_FAILURES}))

    assert "a" in state.halted_autogroups


def test_a_boot_that_succeeds_wipes_the_count() -> None:
    snapshot = a_snapshot(
        replace(a_worker(1, WorkerState.BOOTING), condition=a_condition()), state=ScalerState(boot_failures={"a": 3, "b": 1})
    )
    ready = MarkReady(worker_id=worker_id(1), reason="ready")
    state = remember(snapshot.state, snapshot, observe(snapshot, now_s=NOW_S), [ready], listing=None, now_s=NOW_S)

    assert state.boot_failures == {"b": 1}


def test_a_failed_machine_is_avoided_for_a_while() -> None:
    state = _after_boot_failure(ScalerState())
    later = remember(state, a_snapshot(state=state), _demand(), [], listing=None, now_s=NOW_S + 3_601)

    assert [machine.machine_id for machine in state.avoided] == [1001]
    assert later.avoided == ()


def test_a_halt_that_is_over_is_forgotten() -> None:
    state = ScalerState(halted_autogroups={"a": Halt(until_s=NOW_S, reason="x"), "b": Halt(until_s=NOW_S + 1, reason="x")})
    later = remember(state, a_snapshot(state=state), _demand(), [], listing=None, now_s=NOW_S)

    assert later.halted_autogroups.keys() == {"b"}


def test_lists_in_a_row_that_lack_an_intended_rent_are_counted_and_a_list_that_cannot_be_had_is_none() -> None:
    fleet = (a_worker(1, WorkerState.RENTING), a_worker(2, WorkerState.RENTING), a_worker(3, WorkerState.BOOTING))
    before = {worker_id(1): 1, worker_id(2): 1, worker_id(9): 5}
    listed, blind = (
        decide(a_snapshot(*fleet, listing=listing, state=a_state(unlisted=before)), now_s=NOW_S).state.unlisted
        for listing in ((an_instance(2),), None)
    )

    assert (listed, blind) == ({worker_id(1): 2}, before)


def test_a_machine_that_fails_again_is_listed_once() -> None:
    state = after_vanishing(after_vanishing(ScalerState(), a_worker(1), now_s=NOW_S), a_worker(1), now_s=NOW_S + 60)

    assert [(machine.machine_id, machine.since_s) for machine in state.avoided] == [(1001, NOW_S + 60)]


@pytest.mark.parametrize(
    ("worker", "action", "learned"),
    [
        (a_worker(1), Drain(worker_id=worker_id(1), to=_S.DESTROYING, reason="x", fault=Fault.MISMATCH), 1),
        (a_worker(1, _S.DRAINING), Drain(worker_id=worker_id(1), to=_S.DESTROYING, reason="x", fault=Fault.MISMATCH), 0),
        (a_worker(1, _S.DRAINING), Destroy(worker_id=worker_id(1), instance_id=1, reason="x", fault=Fault.MISMATCH), 1),
    ],
    ids=["drained", "drained again", "destroyed while it drained"],
)
def test_what_is_wrong_with_a_worker_is_learned_once(worker: Worker, action: Action, learned: int) -> None:
    snapshot = a_snapshot(worker)
    state = remember(snapshot.state, snapshot, observe(snapshot, now_s=NOW_S), [action], listing=None, now_s=NOW_S)

    assert (len(state.avoided), state.boot_failures, state.boots) == (learned, {"a": 1} if learned else {}, {})


@pytest.mark.parametrize(("advised_s", "halted_s"), [(30.0, 30.0), (1.0, THROTTLE_HALT_S_MIN)])
def test_a_rate_limit_halts_for_as_long_as_it_advises_and_some_seconds_at_least(advised_s: float, halted_s: float) -> None:
    assert after_throttling(ScalerState(), retry_after_s=advised_s, now_s=NOW_S).halted_until_s == NOW_S + halted_s


def test_the_list_of_avoided_machines_is_bounded() -> None:
    state = ScalerState()
    for number in range(AVOIDED_MAX + 10):
        state = after_vanishing(state, a_worker(number), now_s=NOW_S)

    assert len(state.avoided) == AVOIDED_MAX


def test_a_refusal_for_the_account_halts_everything_and_one_for_a_request_its_autogroup_s_count() -> None:
    account = after_refusal(ScalerState(), autogroup="a", code="missing_billing", message="no credit", now_s=NOW_S)
    request = after_refusal(ScalerState(), autogroup="a", code="invalid_args", message="bad image", now_s=NOW_S)

    assert account.halted_until_s > NOW_S
    assert "no credit" in account.halted_reason
    assert (request.halted_until_s, request.boot_failures) == (0.0, {"a": 1})


def test_a_rate_limit_never_shortens_a_halt() -> None:
    halted = ScalerState(halted_until_s=NOW_S + 300, halted_reason="no credit")

    assert after_throttling(halted, retry_after_s=5.0, now_s=NOW_S) == halted


def test_of_the_samples_before_the_window_only_its_beginning_is_kept() -> None:
    samples = add_sample((), _demand(0.0), now_s=NOW_S - 400)
    for age_s in (330, 301, 10):
        samples = add_sample(samples, _demand(float(400 - age_s)), now_s=NOW_S - age_s)
    samples = add_sample(samples, _demand(400.0), now_s=NOW_S)

    assert [NOW_S - sample.at_s for sample in samples] == [301, 10, 0]


def test_looks_that_come_close_together_leave_one_sample_the_newest() -> None:
    samples = add_sample((), _demand(), now_s=NOW_S - 10)
    for age_s in (2.0, 1.0, 0.0):
        samples = add_sample(samples, _demand(10 - age_s), now_s=NOW_S - age_s)

    assert [(sample.at_s, sample.assigned_load) for sample in samples] == [(NOW_S - 10, 0.0), (NOW_S - 2, 8.0), (NOW_S, 10.0)]


def test_the_number_of_samples_is_bounded() -> None:
    samples = add_sample((), _demand(), now_s=NOW_S)
    for step in range(200):
        samples = add_sample(samples, _demand(), now_s=NOW_S + step)

    assert SAMPLES_MAX // 2 < len(samples) <= SAMPLES_MAX


@pytest.mark.parametrize(("fault", "halted"), [(Fault.MISMATCH, True), (Fault.TAKEN, False), (Fault.SERVICE, False)])
def test_machines_that_are_never_what_was_offered_trip_the_breaker(fault: Fault, *, halted: bool) -> None:
    state = ScalerState()
    for number in range(1, BREAKER_FAILURES + 1):
        state = _after_boot_failure(state, number, fault=fault)

    assert ("a" in state.halted_autogroups) is halted
