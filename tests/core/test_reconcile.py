"""What each worker's own situation calls for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.listing import index
from functions.core.model import Instance, Worker
from functions.core.plan import (
    Adopt,
    ConfirmGone,
    ConfirmStarted,
    ConfirmStopped,
    Destroy,
    Drain,
    Fault,
    Forget,
    GiveUp,
    MarkReady,
    Reprice,
    Start,
    Stop,
    WorkerAction,
)
from functions.core.reconcile import end_of_drain, next_step, view
from functions.core.scaler_state import ScalerState
from protocol.report import Phase
from tests.core.builders import (
    NOW_S,
    a_condition,
    a_snapshot,
    a_worker,
    an_instance,
    with_assignments,
    worker_id,
)

_S = WorkerState
_SILENT = a_condition(reported_at_s=NOW_S - 60)


def _step(
    worker: Worker,
    *others: Worker,
    listed: tuple[Instance, ...] | None = (an_instance(),),
    state: ScalerState | None = None,
) -> WorkerAction | None:
    snapshot = a_snapshot(worker, *others, listing=listed, state=state or ScalerState())
    listing = None if listed is None else index(listed)
    return next_step(worker, view(snapshot, listing, now_s=NOW_S))


def _saying(worker: Worker, **changes: object) -> Worker:
    return replace(worker, condition=a_condition(**changes))


def test_a_rent_that_is_listed_is_adopted() -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=10), listed=(an_instance(running=False),))

    assert step == Adopt(worker_id=worker_id(1), instance_id=1, reason="found by its label")


def test_of_two_contracts_with_one_label_the_older_is_adopted() -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=10), listed=(an_instance(instance_id=9), an_instance(instance_id=7)))

    assert isinstance(step, Adopt)
    assert step.instance_id == 7


def test_a_rent_that_is_not_listed_yet_is_waited_for() -> None:
    assert _step(a_worker(1, _S.RENTING, age_s=10), listed=()) is None


@pytest.mark.parametrize(
    ("age_s", "lists", "given_up"), [(119.0, 9, False), (121.0, 1, False), (121.0, 2, True), (9_999.0, 0, False)]
)
def test_a_rent_is_given_up_after_its_time_and_three_lists_without_it(age_s: float, lists: int, *, given_up: bool) -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=age_s), listed=(), state=ScalerState(unlisted={worker_id(1): lists}))

    assert isinstance(step, GiveUp) is given_up


def test_a_rent_is_never_given_up_without_a_list() -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=9_999), listed=None, state=ScalerState(unlisted={worker_id(1): 9}))

    assert step is None


def test_a_contract_on_another_machine_than_offered_is_destroyed() -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=10), listed=(an_instance(machine_id=77),))

    assert isinstance(step, Destroy)
    assert (step.instance_id, step.fault) == (1, Fault.MISMATCH)


@pytest.mark.parametrize(("price", "destroyed"), [(400_000, False), (412_000, False), (412_001, True), (0, False)])
def test_a_contract_that_costs_more_than_a_few_percent_above_its_offer_is_destroyed(price: int, *, destroyed: bool) -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=10), listed=(an_instance(running_micro_usd_per_hour=price),))

    assert isinstance(step, Destroy) is destroyed


def test_a_worker_that_reports_ready_on_another_machine_than_offered_does_not_come_into_service() -> None:
    step = _step(_saying(a_worker(1, _S.BOOTING)), listed=(an_instance(machine_id=77),))

    assert isinstance(step, Destroy)
    assert step.fault is Fault.MISMATCH


def test_a_bid_that_was_rented_on_demand_is_destroyed() -> None:
    step = _step(a_worker(1, _S.BOOTING, bid_micro_usd_per_hour=390_000), listed=(an_instance(interruptible=False),))

    assert isinstance(step, Destroy)
    assert step.fault is Fault.MISMATCH


def test_a_worker_in_service_that_turns_out_to_be_another_machine_is_drained_first() -> None:
    step = _step(a_worker(1), listed=(an_instance(gpu_name="RTX 3090"),))
    reason = "a RTX 3090 instead of a RTX 4090 as offered"

    assert step == Drain(worker_id=worker_id(1), to=_S.DESTROYING, reason=reason, fault=Fault.MISMATCH)


def test_a_price_that_is_raised_in_service_is_reckoned_with_and_nobody_is_sent_away_for_it() -> None:
    step = _step(a_worker(1), listed=(an_instance(running_micro_usd_per_hour=500_000),))

    assert step == Reprice(
        worker_id=worker_id(1), running_micro_usd_per_hour=500_000, reason="billed $0.5000 an hour, offered at $0.4000"
    )


def test_a_machine_that_boots_at_a_higher_price_than_offered_is_not_what_was_offered() -> None:
    step = _step(a_worker(1, _S.BOOTING), listed=(an_instance(running_micro_usd_per_hour=500_000),))

    assert isinstance(step, Destroy)
    assert step.fault is Fault.MISMATCH


def test_a_worker_that_drains_as_another_machine_is_not_taken_back_until_it_is_free() -> None:
    busy = a_condition(in_flight=1)
    worker = replace(a_worker(1, _S.DRAINING, drain_to=_S.DESTROYING), condition=busy)
    idle = replace(worker, condition=a_condition())
    listed = (an_instance(num_gpus=4),)

    assert isinstance(_step(worker, listed=listed), Drain)
    assert isinstance(_step(idle, listed=listed), Destroy)


def test_a_contract_that_was_created_stopped_is_destroyed() -> None:
    step = _step(a_worker(1, _S.RENTING, age_s=10), listed=(an_instance(wants_running=False, running=False),))

    assert isinstance(step, Destroy)


def test_a_booting_worker_that_reports_ready_is_ready() -> None:
    assert isinstance(_step(_saying(a_worker(1, _S.BOOTING))), MarkReady)


@pytest.mark.parametrize("changes", [{"perf": 0.0}, {"url": ""}, {"phase": Phase.MEASURING}, {"reported_at_s": NOW_S - 9_999}])
def test_a_report_without_a_measurement_an_address_or_of_an_earlier_boot_makes_nobody_ready(changes: dict[str, object]) -> None:
    assert _step(_saying(a_worker(1, _S.BOOTING), **changes)) is None


def test_a_booting_worker_that_reports_an_error_is_destroyed_with_its_words() -> None:
    step = _step(_saying(a_worker(1, _S.BOOTING), phase=Phase.ERROR, error="CUDA\n out of memory"))

    assert isinstance(step, Destroy)
    assert (step.fault, step.reason) == (Fault.BOOT, "reported an error: CUDA out of memory")


def test_a_boot_that_takes_too_long_is_ended() -> None:
    step = _step(a_worker(1, _S.BOOTING, age_s=901))

    assert isinstance(step, Destroy)
    assert step.fault is Fault.BOOT


def test_a_boot_that_the_marketplace_calls_failed_is_ended_with_its_message() -> None:
    step = _step(a_worker(1, _S.BOOTING), listed=(an_instance(running=False, failed=True, message="no such image"),))

    assert isinstance(step, Destroy)
    assert "no such image" in step.reason


def test_a_worker_that_speaks_is_alive_whatever_the_list_says() -> None:
    ready = a_worker(1)
    step = _step(ready, listed=(an_instance(running=False, failed=True),))

    assert step is None


@pytest.mark.parametrize("state", [_S.BOOTING, _S.STOPPED, _S.STOPPING, _S.STARTING])
def test_an_instance_that_is_missing_is_asked_about_and_not_believed_gone(state: WorkerState) -> None:
    assert isinstance(_step(a_worker(1, state, age_s=70), listed=()), ConfirmGone)


@pytest.mark.parametrize("state", [_S.BOOTING, _S.READY, _S.STOPPED, _S.STOPPING, _S.STARTING])
def test_nothing_follows_from_a_list_that_could_not_be_had(state: WorkerState) -> None:
    assert _step(a_worker(1, state, age_s=70), listed=None) is None


def test_a_silent_worker_is_destroyed_while_others_are_heard() -> None:
    step = _step(replace(a_worker(1), condition=_SILENT), a_worker(2))

    assert isinstance(step, Destroy)
    assert step.fault is Fault.SERVICE


def test_when_nobody_is_heard_the_fault_may_be_ours_and_nobody_goes() -> None:
    quiet = replace(a_worker(1), condition=_SILENT)

    assert _step(quiet, replace(a_worker(2), condition=_SILENT)) is None


def test_when_nobody_is_heard_for_long_the_longest_silent_one_is_replaced() -> None:
    longest = replace(a_worker(1, age_s=900), condition=a_condition(reported_at_s=NOW_S - 400))
    other = replace(a_worker(2, age_s=900), condition=a_condition(reported_at_s=NOW_S - 390))
    listed = (an_instance(1), an_instance(2))

    assert isinstance(_step(longest, other, listed=listed), Destroy)
    assert _step(other, longest, listed=listed) is None


def test_while_a_replacement_boots_its_report_is_waited_for() -> None:
    longest = replace(a_worker(1, age_s=900), condition=a_condition(reported_at_s=NOW_S - 400))

    assert _step(longest, a_worker(2, _S.BOOTING)) is None


def test_a_silent_worker_whose_container_ended_is_destroyed() -> None:
    step = _step(replace(a_worker(1), condition=_SILENT), listed=(an_instance(running=False, status="exited"),))

    assert isinstance(step, Destroy)


def test_a_worker_that_the_marketplace_stopped_is_kept_cold() -> None:
    step = _step(replace(a_worker(1), condition=_SILENT), listed=(an_instance(running=False, wants_running=False),))

    assert isinstance(step, Drain)
    assert step.to is _S.STOPPING


def test_a_ready_worker_that_is_not_ready_by_its_own_word_for_long_is_destroyed() -> None:
    state = ScalerState(unready_since_s={worker_id(1): NOW_S - 301})
    step = _step(_saying(a_worker(1), phase=Phase.LOADING), state=state)

    assert isinstance(step, Destroy)


_DRAINING = with_assignments(
    a_worker(1, _S.DRAINING, drain_to=_S.STOPPING, age_s=100), ticket_expires_at_s=NOW_S - 40, assigned_load=500.0
)


def test_a_drained_worker_goes_where_its_drain_was_for() -> None:
    destroyed = replace(_DRAINING, rental=replace(_DRAINING.rental, drain_to=_S.DESTROYING))

    assert isinstance(end_of_drain(_DRAINING, now_s=NOW_S), Stop)
    assert isinstance(end_of_drain(destroyed, now_s=NOW_S), Destroy)


def test_a_draining_worker_whose_container_ended_serves_nobody_any_more() -> None:
    step = _step(replace(_DRAINING, condition=_SILENT), listed=(an_instance(running=False),))

    assert isinstance(step, Stop)


@pytest.mark.parametrize(
    "busy",
    [
        _saying(_DRAINING, in_flight=1),
        with_assignments(_DRAINING, assigned_load=5.0, ticket_expires_at_s=NOW_S - 29),  # a worker's clock may be 30 s behind
        with_assignments(_DRAINING, assigned_load=5.0, ticket_expires_at_s=NOW_S + 20),
        _saying(with_assignments(_DRAINING, assigned_load=5.0, ticket_expires_at_s=NOW_S - 33), reported_at_s=NOW_S - 4),
    ],
)
def test_a_draining_worker_that_may_still_serve_is_left_alone(busy: Worker) -> None:
    assert _step(busy) is None
    assert end_of_drain(busy, now_s=NOW_S) is None


def test_a_draining_worker_whose_totals_agree_is_free_before_its_tickets_expire() -> None:
    served = _saying(a_worker(1, _S.DRAINING, drain_to=_S.STOPPING), received_load=5.0, finished_load=5.0)
    free = with_assignments(served, assigned_load=5.0, ticket_expires_at_s=NOW_S + 20)

    assert isinstance(end_of_drain(free, now_s=NOW_S), Stop)


def test_a_drain_is_over_as_soon_as_every_ticket_is_accounted_for() -> None:
    given = with_assignments(_DRAINING, ticket_expires_at_s=NOW_S + 20, assigned_load=500.0)
    done = _saying(given, received_load=400.0, finished_load=400.0, written_off_load=100.0)

    assert isinstance(end_of_drain(done, now_s=NOW_S), Stop)


def test_a_drain_ends_at_its_deadline() -> None:
    late = _saying(a_worker(1, _S.DRAINING, drain_to=_S.DESTROYING, age_s=601), in_flight=3)
    step = end_of_drain(late, now_s=NOW_S)

    assert isinstance(step, Destroy)
    assert "deadline" in step.reason


def test_a_stop_is_confirmed_by_the_list_alone() -> None:
    stopping = a_worker(1, _S.STOPPING, age_s=5)

    assert _step(stopping) is None
    assert isinstance(_step(stopping, listed=(an_instance(running=False, wants_running=False),)), ConfirmStopped)


def test_a_stop_that_was_lost_is_repeated_and_in_the_end_destroyed() -> None:
    assert isinstance(_step(a_worker(1, _S.STOPPING, age_s=20)), Stop)
    assert isinstance(_step(a_worker(1, _S.STOPPING, age_s=301)), Destroy)


def test_a_stopped_worker_that_runs_is_destroyed() -> None:
    assert isinstance(_step(a_worker(1, _S.STOPPED, age_s=70)), Destroy)


def test_a_start_is_confirmed_repeated_or_given_up() -> None:
    lost = (an_instance(running=False, wants_running=False),)
    queued = (an_instance(running=False),)

    assert isinstance(_step(a_worker(1, _S.STARTING, age_s=5)), ConfirmStarted)
    assert isinstance(_step(a_worker(1, _S.STARTING, age_s=20), listed=lost), Start)
    assert _step(a_worker(1, _S.STARTING, age_s=20), listed=queued) is None
    assert isinstance(_step(a_worker(1, _S.STARTING, age_s=91), listed=queued), Destroy)


def test_a_destruction_is_asked_about_until_it_is_confirmed() -> None:
    assert isinstance(_step(a_worker(1, _S.DESTROYING, age_s=1), listed=()), ConfirmGone)
    assert isinstance(_step(a_worker(1, _S.DESTROYING, age_s=9_999)), ConfirmGone)


def test_a_tombstone_is_forgotten_after_a_while() -> None:
    assert _step(a_worker(1, _S.DESTROYED, age_s=800), listed=()) is None
    assert isinstance(_step(a_worker(1, _S.DESTROYED, age_s=901), listed=()), Forget)
