"""Decisions by example: when to grow, what to choose, when and what to release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import EndpointState
from functions.core.plan import (
    Action,
    Cadence,
    ConfirmStopped,
    Destroy,
    DestroyStray,
    Drain,
    MarkReady,
    Rent,
    Start,
    Stop,
    Undrain,
    rental_of,
)
from functions.core.scaler_state import Avoided, Burst, Bursts, DemandSample, Halt, LastingLoad, LearnedPerf, LoadPeak, ScalerState
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from protocol.report import Phase
from tests.core.builders import (
    CENTS_40,
    NOW_S,
    a_condition,
    a_group,
    a_request,
    a_snapshot,
    a_state,
    a_worker,
    an_autogroup,
    an_instance,
    an_offer,
    with_assignments,
    worker_id,
)

_S = WorkerState
OFFERS = {"a": tuple(an_offer(number) for number in range(100, 120))}
LONG_AGO_S = NOW_S - 500


def _actions(snapshot: Snapshot) -> tuple[Action, ...]:
    return decide(snapshot, now_s=NOW_S).actions


def _rents(snapshot: Snapshot) -> list[Rent]:
    return [action for action in _actions(snapshot) if isinstance(action, Rent)]


def _kinds(snapshot: Snapshot) -> list[type]:
    return [type(action) for action in _actions(snapshot)]


# Growing


def test_a_group_at_zero_without_demand_does_nothing() -> None:
    plan = decide(a_snapshot(offers=OFFERS), now_s=NOW_S)

    assert (plan.actions, plan.cadence, plan.wanted) == ((), Cadence.IDLE, frozenset())


def test_one_waiting_request_wakes_a_group_at_zero() -> None:
    assert len(_rents(a_snapshot(waiting=(a_request(cost=0.0),), offers=OFFERS, state=ScalerState()))) == 1


def test_routers_are_told_which_shards_hold_workers_those_that_are_being_rented_included() -> None:
    workers = [replace(a_worker(number), worker_id=f"w{shard}-{number:026d}") for number, shard in ((1, 3), (2, 3), (3, 1))]
    gone = replace(a_worker(4, WorkerState.DESTROYED), worker_id=f"w2-{4:026d}")
    few = decide(a_snapshot(group=a_group(max_workers=640), workers=(*workers, gone), listing=None), now_s=NOW_S)
    first = decide(a_snapshot(group=a_group(max_workers=640), waiting=(a_request(),), offers=OFFERS), now_s=NOW_S)

    assert (few.state.shards, first.state.shards) == ((1, 3), (0,))


def test_a_request_that_is_polled_no_more_wakes_nobody() -> None:
    gone = replace(a_request(), polled_at_s=NOW_S - 16)

    assert _rents(a_snapshot(waiting=(gone,), offers=OFFERS)) == []


def test_a_request_that_has_its_worker_does_not_wait() -> None:
    assert _rents(a_snapshot(waiting=(replace(a_request(), worker_id="w0-x"),), offers=OFFERS)) == []


def test_capacity_follows_the_arriving_load_over_the_target_utilisation() -> None:
    state = a_state(load_per_s=270.0)
    snapshot = a_snapshot(group=a_group(target_util=0.9), state=state, offers=OFFERS)

    assert len(_rents(snapshot)) == 3


def test_min_load_is_kept_without_any_demand() -> None:
    assert len(_rents(a_snapshot(group=a_group(min_load=150.0), offers=OFFERS))) == 2


def test_what_waits_is_to_be_served_within_the_target_queue_time() -> None:
    snapshot = a_snapshot(waiting=(a_request(cost=2_000.0, age_s=1.0),), state=a_state(samples=()), offers=OFFERS)

    assert len(_rents(snapshot)) == 2


def test_what_piled_up_while_machines_boot_rents_no_fleet_for_the_pile() -> None:
    pile = tuple(a_request(number, cost=100.0, age_s=300.0) for number in range(1, 101))
    snapshot = a_snapshot(waiting=pile, state=a_state(samples=()), offers=OFFERS)

    assert len(_rents(snapshot)) == 1


def test_booting_workers_count_at_the_performance_that_was_learned() -> None:
    booting = tuple(a_worker(number, _S.BOOTING) for number in (1, 2))

    assert len(_rents(a_snapshot(*booting, state=a_state(load_per_s=250.0), offers=OFFERS))) == 1


def test_a_draining_worker_is_taken_back_before_anything_else() -> None:
    draining = a_worker(1, _S.DRAINING, drain_to=_S.DESTROYING)
    stopped = a_worker(2, _S.STOPPED)
    snapshot = a_snapshot(draining, stopped, state=a_state(load_per_s=50.0, peaks=()), offers=OFFERS)

    assert _kinds(snapshot) == [Undrain]


@pytest.mark.parametrize("age_s", [5.0, 45.0])
def test_a_worker_that_is_being_stopped_is_waited_for_instead_of_renting_another(age_s: float) -> None:
    stopping = a_snapshot(a_worker(1, _S.STOPPING, age_s=age_s), waiting=(a_request(),), offers=OFFERS)
    stopped = replace(stopping, listing=(an_instance(1, running=False, wants_running=False),))

    assert not any(isinstance(action, Rent) for action in decide(stopping, now_s=NOW_S).actions)
    assert [type(action) for action in decide(stopped, now_s=NOW_S).actions] == [ConfirmStopped]


def test_a_stop_that_takes_too_long_is_not_waited_for() -> None:
    snapshot = a_snapshot(a_worker(1, _S.STOPPING, age_s=100.0), waiting=(a_request(),), offers=OFFERS)

    assert any(isinstance(action, Rent) for action in decide(snapshot, now_s=NOW_S).actions)


def test_a_stopped_worker_is_started_before_another_is_rented() -> None:
    snapshot = a_snapshot(a_worker(1, _S.STOPPED), state=a_state(load_per_s=150.0), offers=OFFERS)

    assert _kinds(snapshot) == [Start, Rent]


def test_the_better_value_is_rented() -> None:
    offers = {"a": (an_offer(100, running_micro_usd_per_hour=900_000), an_offer(101, running_micro_usd_per_hour=300_000))}

    assert [rent.offer.offer_id for rent in _rents(a_snapshot(state=a_state(load_per_s=50.0), offers=offers))] == [101]


def test_no_more_performance_is_paid_for_than_is_missing() -> None:
    big = an_offer(100, num_gpus=8, dlperf=800.0, running_micro_usd_per_hour=2_000_000)

    assert [
        rent.offer.offer_id for rent in _rents(a_snapshot(state=a_state(load_per_s=50.0), offers={"a": (big, an_offer(101))}))
    ] == [101]


def test_where_places_are_few_the_larger_machine_is_taken() -> None:
    group = a_group(max_workers=1)
    big = an_offer(100, num_gpus=4, dlperf=400.0, running_micro_usd_per_hour=2_000_000)
    snapshot = a_snapshot(group=group, state=a_state(load_per_s=390.0), offers={"a": (an_offer(101), big)})

    assert [rent.offer.offer_id for rent in _rents(snapshot)] == [100]


def test_an_unreliable_machine_is_worth_less() -> None:
    offers = {"a": (an_offer(100, reliability=0.6), an_offer(101, reliability=0.99))}

    assert [rent.offer.offer_id for rent in _rents(a_snapshot(state=a_state(load_per_s=50.0), offers=offers))] == [101]


def test_a_gpu_that_was_never_measured_is_expected_to_follow_its_benchmark() -> None:
    unknown = an_offer(100, gpu_name="H100", dlperf=300.0)

    assert len(_rents(a_snapshot(state=a_state(load_per_s=290.0), offers={"a": (unknown, *OFFERS["a"])}))) == 1


def test_an_autogroup_that_was_never_measured_is_explored_with_test_workers_and_no_more() -> None:
    snapshot = a_snapshot(
        group=a_group(test_workers=2), waiting=(a_request(cost=9_999.0),), state=a_state(measured=False), offers=OFFERS
    )

    assert len(_rents(snapshot)) == 2


def test_when_the_only_measured_autogroup_is_halted_another_is_explored() -> None:
    state = a_state(halted_autogroups={"a": Halt(until_s=NOW_S + 60, reason="it crashes")})
    snapshot = a_snapshot(
        group=a_group(test_workers=0),
        autogroups=(an_autogroup("a"), an_autogroup("b")),
        waiting=(a_request(),),
        state=state,
        offers={"b": (an_offer(200),)},
    )

    assert [rent.autogroup for rent in _rents(snapshot)] == ["b"]


def test_when_the_measured_autogroup_has_no_offer_another_is_tried() -> None:
    snapshot = a_snapshot(
        group=a_group(test_workers=0),
        autogroups=(an_autogroup("a"), an_autogroup("b")),
        waiting=(a_request(),),
        offers={"a": (), "b": (an_offer(200),)},
    )

    assert [rent.autogroup for rent in _rents(snapshot)] == ["b"]


def test_while_the_first_worker_is_measured_nothing_more_is_rented() -> None:
    snapshot = a_snapshot(a_worker(1, _S.BOOTING), waiting=(a_request(cost=9_999.0),), state=a_state(measured=False), offers=OFFERS)

    assert _rents(snapshot) == []


def test_both_autogroups_get_measured_once_there_is_demand() -> None:
    snapshot = a_snapshot(
        autogroups=(an_autogroup("a"), an_autogroup("b")),
        waiting=(a_request(),),
        state=a_state(measured=False),
        offers={"a": (an_offer(100),), "b": (an_offer(200),)},
    )

    assert sorted(rent.autogroup for rent in _rents(snapshot)) == ["a", "b"]


def test_of_two_measured_autogroups_the_better_value_is_preferred() -> None:
    learned = {
        "a|RTX 4090|1": LearnedPerf(perf=100.0, samples=1, dlperf=100.0),
        "b|RTX 4090|1": LearnedPerf(perf=250.0, samples=1, dlperf=100.0),
    }
    snapshot = a_snapshot(
        autogroups=(an_autogroup("a"), an_autogroup("b")),
        state=a_state(load_per_s=200.0, learned=learned),
        offers={"a": (an_offer(100),), "b": (an_offer(200),)},
    )

    assert [rent.autogroup for rent in _rents(snapshot)] == ["b"]


def _after_an_hour(load_per_s: float) -> ScalerState:
    return a_state(load_per_s=90.0, lasting=LastingLoad(at_s=NOW_S - 10, load_per_s=load_per_s))


def test_the_reserve_is_cold_mult_times_the_load_that_has_lasted() -> None:
    snapshot = a_snapshot(a_worker(1), group=a_group(cold_mult=3.0), state=_after_an_hour(90.0), offers=OFFERS)

    assert len(_rents(snapshot)) == 2


def test_no_reserve_is_rented_for_what_has_not_lasted() -> None:
    snapshot = a_snapshot(a_worker(1), group=a_group(cold_mult=3.0), state=_after_an_hour(10.0), offers=OFFERS)

    assert _rents(snapshot) == []


def test_the_reserve_is_for_no_more_than_is_asked_now() -> None:
    snapshot = a_snapshot(a_worker(1), group=a_group(cold_mult=3.0), state=_after_an_hour(900.0), offers=OFFERS)

    assert len(_rents(snapshot)) == 2


def test_cold_workers_are_held_without_demand() -> None:
    assert len(_rents(a_snapshot(group=a_group(cold_workers=2), offers=OFFERS))) == 2


def test_min_cold_load_is_held_without_demand() -> None:
    assert len(_rents(a_snapshot(group=a_group(min_cold_load=150.0), offers=OFFERS))) == 2


def test_a_negative_inactivity_timeout_keeps_one_worker_always() -> None:
    assert len(_rents(a_snapshot(group=a_group(inactivity_timeout=-1.0), offers=OFFERS))) == 1


# Ceilings


def test_max_workers_counts_everything_held_stopped_and_going_included() -> None:
    fleet = (a_worker(1, _S.DESTROYING), a_worker(2, _S.RENTING, age_s=1), a_worker(3))
    snapshot = a_snapshot(*fleet, group=a_group(max_workers=4, min_load=900.0), offers=OFFERS)

    assert len(_rents(snapshot)) == 1


def test_the_budget_counts_a_stopped_worker_at_its_running_price() -> None:
    group = a_group(max_hourly_cost_micro_usd=2 * CENTS_40 + 1, min_load=900.0)
    snapshot = a_snapshot(a_worker(1, _S.STOPPED), group=group, offers=OFFERS)

    assert len(_rents(snapshot)) == 1


def test_an_instance_astray_counts_against_the_ceilings() -> None:
    stray = an_instance(77, label="headgate/test/chat/w0-nobody")
    snapshot = a_snapshot(group=a_group(max_workers=1, min_load=50.0), listing=(stray,), offers=OFFERS)

    assert _kinds(snapshot) == [DestroyStray]


def test_an_offer_without_a_price_is_not_rented() -> None:
    free = an_offer(100, running_micro_usd_per_hour=0)

    assert _rents(a_snapshot(state=a_state(load_per_s=50.0), offers={"a": (free,)})) == []


def test_a_lowered_ceiling_is_mended_at_once_stopped_and_booting_first() -> None:
    fleet = (a_worker(1), a_worker(2, _S.STOPPED), a_worker(3, _S.BOOTING))
    snapshot = a_snapshot(*fleet, group=a_group(max_workers=1), state=ScalerState())

    assert [(type(action), action.worker_id) for action in _actions(snapshot) if isinstance(action, Destroy | Drain)] == [
        (Destroy, worker_id(2)),
        (Destroy, worker_id(3)),
    ]


def test_what_is_leaving_already_is_not_dismissed_twice() -> None:
    fleet = (a_worker(1), a_worker(2, _S.DRAINING, drain_to=_S.DESTROYING, age_s=1))

    assert Drain not in _kinds(a_snapshot(*fleet, group=a_group(max_workers=1), state=ScalerState()))


# Halts


def test_a_halt_keeps_everything_from_being_rented_or_started_and_says_why() -> None:
    state = a_state(load_per_s=90.0, halted_until_s=NOW_S + 60, halted_reason="no credit")
    plan = decide(a_snapshot(a_worker(1, _S.STOPPED), state=state, offers=OFFERS), now_s=NOW_S)

    assert plan.actions == ()
    assert plan.sentences == ("Renting is halted: no credit.",)


def test_a_halted_autogroup_leaves_the_others_to_be_rented() -> None:
    state = a_state(measured=False, halted_autogroups={"a": Halt(until_s=NOW_S + 60, reason="it crashes")})
    snapshot = a_snapshot(
        autogroups=(an_autogroup("a"), an_autogroup("b")),
        waiting=(a_request(),),
        state=state,
        offers={"b": (an_offer(200),)},
    )

    assert [rent.autogroup for rent in _rents(snapshot)] == ["b"]


def test_an_avoided_machine_is_not_rented() -> None:
    state = a_state(load_per_s=50.0, avoided=(Avoided(machine_id=1100, until_s=NOW_S + 60, reason="it failed"),))

    assert [rent.offer.offer_id for rent in _rents(a_snapshot(state=state, offers={"a": (an_offer(100), an_offer(101))}))] == [101]


def test_where_nothing_runs_and_nothing_else_can_be_had_a_machine_that_failed_a_while_ago_is_tried_again() -> None:
    def rented(ago_s: float) -> int:
        avoided = (Avoided(machine_id=1100, until_s=NOW_S + 600, reason="it failed", since_s=NOW_S - ago_s),)
        return len(_rents(a_snapshot(state=a_state(load_per_s=50.0, avoided=avoided), offers={"a": (an_offer(100),)})))

    assert (rented(ago_s=299), rented(ago_s=301)) == (0, 1)


def test_a_machine_that_fails_now_is_not_rented_again_in_the_same_breath() -> None:
    failed = a_worker(1, _S.BOOTING, age_s=901, machine_id=1100)
    snapshot = a_snapshot(
        failed, waiting=(a_request(),), listing=(an_instance(1, machine_id=1100),), offers={"a": (an_offer(100),)}
    )

    assert _kinds(snapshot) == [Destroy]


# Releasing


def _surplus(**changes: object) -> ScalerState:
    return a_state(**{"load_per_s": 90.0, **changes})  # type: ignore[arg-type]


def test_what_was_needed_within_the_window_is_kept() -> None:
    fleet = (a_worker(1), a_worker(2))
    lately = (LoadPeak(from_s=NOW_S - 130, load_per_s=90.0), LoadPeak(from_s=NOW_S - 60, load_per_s=190.0))

    assert _kinds(a_snapshot(*fleet, state=_surplus(peaks=lately))) == []
    assert _kinds(a_snapshot(*fleet, state=_surplus())) == [Drain]


def test_nothing_goes_before_a_whole_window_has_been_watched() -> None:
    young = (LoadPeak(from_s=NOW_S - 119, load_per_s=90.0),)

    assert _kinds(a_snapshot(a_worker(1), a_worker(2), state=_surplus(peaks=young))) == []


def test_where_being_short_costs_something_what_is_not_needed_is_stopped() -> None:
    snapshot = a_snapshot(a_worker(1), a_worker(2), group=a_group(shortage_cost=2.0), state=_surplus())
    drains = [action.to for action in _actions(snapshot) if isinstance(action, Drain)]

    assert drains == [_S.STOPPING]


# A boot takes 236 s in the mean until one was seen; being short of it costs 10 times 40 cents an hour for that long: 26 cents. So
# much storage at half a cent an hour is 52 h.
@pytest.mark.parametrize(("stopped_h", "actions"), [(50.0, []), (55.0, [Destroy])])
def test_a_stopped_worker_goes_once_its_storage_has_cost_since_it_was_filled_what_being_short_of_it_would(
    stopped_h: float, actions: list[type[Action]]
) -> None:
    filled = Bursts(since_s=0.0, peaks=(Burst(at_s=NOW_S - stopped_h * 3_600, load_per_s=120.0),))
    group, stopped = a_group(shortage_cost=10.0), a_worker(2, _S.STOPPED)

    assert _kinds(a_snapshot(a_worker(1), stopped, group=group, state=a_state(bursts=filled))) == actions


def test_a_stopped_worker_that_no_burst_has_filled_goes_at_once() -> None:
    """A queue rented it, and was gone before it came."""
    group, filled = a_group(shortage_cost=10.0), Bursts(since_s=0.0, peaks=(Burst(at_s=NOW_S - 60, load_per_s=60.0),))

    assert _kinds(a_snapshot(a_worker(1), a_worker(2, _S.STOPPED), group=group, state=a_state(bursts=filled))) == [Destroy]


@pytest.mark.parametrize("stopped_price", [0, 5_000])
def test_where_being_short_costs_nothing_a_stopped_worker_goes_at_once_whatever_has_filled_it(stopped_price: int) -> None:
    filled = Bursts(since_s=0.0, peaks=(Burst(at_s=NOW_S - 1, load_per_s=500.0),))
    stopped = a_worker(2, _S.STOPPED, stopped_micro_usd_per_hour=stopped_price)

    assert _kinds(a_snapshot(a_worker(1), stopped, group=a_group(shortage_cost=0.0), state=a_state(bursts=filled))) == [Destroy]


def test_what_was_rented_before_anything_is_remembered_is_kept_for_as_long_as_its_storage_is_worth() -> None:
    group, young = a_group(shortage_cost=10.0), Bursts(since_s=NOW_S - 60)

    def actions(stopped_h: float) -> list[type[Action]]:
        stopped = a_worker(2, _S.STOPPED, age_s=stopped_h * 3_600)
        return _kinds(a_snapshot(a_worker(1), stopped, group=group, state=a_state(bursts=young)))

    assert (actions(50.0), actions(55.0)) == ([], [Destroy])


def test_a_stopped_worker_whose_storage_is_free_goes_after_a_week() -> None:
    stopped = a_worker(2, _S.STOPPED, age_s=8 * 86_400, stopped_micro_usd_per_hour=0)

    assert _kinds(a_snapshot(a_worker(1), stopped, group=a_group(shortage_cost=10.0), state=a_state())) == [Destroy]


def test_of_equal_stopped_workers_the_one_that_stopped_last_is_started() -> None:
    fleet = (a_worker(1, _S.STOPPED, age_s=900), a_worker(2, _S.STOPPED, age_s=60), a_worker(3, _S.STOPPED, age_s=500))
    starts = [action for action in _actions(a_snapshot(*fleet, state=a_state(load_per_s=90.0))) if isinstance(action, Start)]

    assert [start.worker_id for start in starts] == [worker_id(2)]


def test_slots_that_fill_faster_than_a_start_takes_are_added_before_anyone_waits() -> None:
    # 60 requests came in the last 20 s, and 114 can begin within 5 s: 25 s from now about 122 would be open.
    busy = with_assignments(
        replace(a_worker(1), condition=a_condition(perf=100.0, slots=64, in_flight=62)), assigned_load=620.0, reqnum=62
    )
    state = a_state(
        retired_assigned_load=0.0,
        samples=tuple(
            DemandSample(at_s=NOW_S - age_s, assigned_load=620.0 - 30 * age_s, waiting_load=0.0, open_requests=62 - 3 * age_s)
            for age_s in (20, 10)
        ),
    )
    stopped = [a_worker(number, _S.STOPPED) for number in (2, 3, 4)]

    assert _kinds(a_snapshot(busy, *stopped, state=state)).count(Start) == 1


def test_the_rest_must_carry_the_load() -> None:
    assert _kinds(a_snapshot(a_worker(1), a_worker(2), state=_surplus(load_per_s=101.0))) == []


def test_a_booting_worker_is_no_reason_to_let_a_serving_one_go() -> None:
    fleet = (a_worker(1), a_worker(2, _S.BOOTING))
    actions = _actions(a_snapshot(*fleet, state=_surplus()))

    assert [type(action) for action in actions] == [Destroy]
    assert actions[0].worker_id == worker_id(2)  # type: ignore[union-attr]


def test_what_boots_is_not_let_go_for_what_was_rented_after_it() -> None:
    old, young = a_worker(1, _S.BOOTING, age_s=200), a_worker(2, _S.BOOTING, age_s=150)
    actions = _actions(a_snapshot(old, young, state=_surplus()))

    assert [action.worker_id for action in actions if isinstance(action, Destroy)] == [young.worker_id]


def test_the_worst_value_goes_first() -> None:
    dear = a_worker(2, running_micro_usd_per_hour=900_000)
    actions = _actions(a_snapshot(a_worker(1), dear, a_worker(3), state=_surplus(load_per_s=190.0), listing=None))

    assert [action.worker_id for action in actions if isinstance(action, Drain)] == [worker_id(2)]


def test_while_the_arriving_load_is_unknown_nothing_goes() -> None:
    assert _kinds(a_snapshot(a_worker(1), a_worker(2), state=_surplus(samples=(), last_demand_at_s=LONG_AGO_S))) == []


def test_before_the_inactivity_timeout_one_worker_stays() -> None:
    snapshot = a_snapshot(a_worker(1), state=_surplus(load_per_s=0.0, last_demand_at_s=NOW_S - 200))

    assert _kinds(snapshot) == []


def test_after_the_inactivity_timeout_all_go() -> None:
    snapshot = a_snapshot(a_worker(1), a_worker(2), state=a_state(last_demand_at_s=LONG_AGO_S))

    assert _kinds(snapshot) == [Drain, Drain]


def test_a_request_in_flight_is_demand() -> None:
    busy = replace(a_worker(1), condition=a_condition(in_flight=1))

    assert _kinds(a_snapshot(busy, state=a_state(last_demand_at_s=LONG_AGO_S))) == []


def test_cold_workers_are_stopped_and_the_rest_destroyed() -> None:
    snapshot = a_snapshot(a_worker(1), a_worker(2), group=a_group(cold_workers=1), state=a_state(last_demand_at_s=LONG_AGO_S))
    drains = [action.to for action in _actions(snapshot) if isinstance(action, Drain)]

    assert sorted(drains) == [_S.DESTROYING, _S.STOPPING]


def test_stopped_workers_beyond_the_reserve_are_destroyed_after_a_while() -> None:
    snapshot = a_snapshot(
        a_worker(1, _S.STOPPED),
        a_worker(2, _S.STOPPED),
        group=a_group(cold_workers=1),
        state=a_state(last_demand_at_s=NOW_S - 10),
    )

    assert _kinds(snapshot) == [Destroy]


def test_min_load_is_not_undercut_by_inactivity() -> None:
    snapshot = a_snapshot(a_worker(1), a_worker(2), group=a_group(min_load=150.0), state=a_state(last_demand_at_s=LONG_AGO_S))

    assert _kinds(snapshot) == []


# The owner's wishes


def test_a_stopped_endpoint_lets_its_running_workers_go_cold() -> None:
    fleet = (a_worker(1), a_worker(2, _S.BOOTING), a_worker(3, _S.STOPPED))
    snapshot = a_snapshot(*fleet, group=a_group(endpoint_state=EndpointState.STOPPED), waiting=(a_request(),), offers=OFFERS)

    assert _kinds(snapshot) == [Drain, Stop]


def test_a_suspended_endpoint_keeps_its_fleet_as_it_is() -> None:
    snapshot = a_snapshot(
        a_worker(1),
        group=a_group(endpoint_state=EndpointState.SUSPENDED),
        waiting=(a_request(),),
        state=a_state(last_demand_at_s=LONG_AGO_S),
        offers=OFFERS,
    )

    assert _kinds(snapshot) == []


def test_a_worker_of_a_removed_autogroup_goes_once_others_carry_the_load() -> None:
    old = a_worker(1, autogroup="old")

    assert _kinds(a_snapshot(old, a_worker(2), state=a_state(load_per_s=90.0))) == [Drain]


def test_a_worker_of_a_removed_autogroup_serves_until_it_is_replaced() -> None:
    snapshot = a_snapshot(a_worker(1, autogroup="old"), state=a_state(load_per_s=90.0), offers=OFFERS)

    assert _kinds(snapshot) == [Rent]


def test_a_configuration_without_any_autogroup_is_missing_data_and_removes_nothing() -> None:
    assert _kinds(a_snapshot(a_worker(1), autogroups=(), state=a_state(load_per_s=90.0))) == []


# Silence


def test_when_nobody_is_heard_the_load_counts_as_carried_and_one_worker_is_rented_to_see() -> None:
    silent = tuple(replace(a_worker(number), condition=a_condition(reported_at_s=NOW_S - 60)) for number in (1, 2, 3))
    snapshot = a_snapshot(*silent, waiting=(a_request(cost=500.0),), state=a_state(load_per_s=250.0), offers=OFFERS)

    assert len(_rents(snapshot)) == 1


def test_a_worker_that_only_blinked_is_not_replaced() -> None:
    away = replace(a_worker(1), condition=a_condition(phase=Phase.LOADING))

    assert _rents(a_snapshot(away, state=a_state(load_per_s=90.0), offers=OFFERS)) == []


def test_a_worker_that_stays_away_is_replaced() -> None:
    away = replace(a_worker(1), condition=a_condition(phase=Phase.LOADING))
    state = a_state(load_per_s=90.0, unready_since_s={worker_id(1): NOW_S - 61})

    assert len(_rents(a_snapshot(away, state=state, offers=OFFERS))) == 1


# What is remembered


def test_a_worker_that_becomes_ready_teaches_its_performance() -> None:
    booted = replace(a_worker(1, _S.BOOTING), condition=a_condition(perf=80.0))
    plan = decide(a_snapshot(booted, state=a_state(measured=False)), now_s=NOW_S)

    assert [type(action) for action in plan.actions] == [MarkReady]
    assert plan.state.learned == {"a|RTX 4090|1": LearnedPerf(perf=80.0, samples=1, dlperf=100.0, measured_at_s=NOW_S)}


def test_what_was_assigned_to_a_forgotten_worker_stays_in_the_total() -> None:
    gone = with_assignments(a_worker(1, _S.DESTROYED, age_s=901), assigned_load=500.0)
    plan = decide(a_snapshot(gone, state=a_state(samples=())), now_s=NOW_S)

    assert plan.state.retired_assigned_load == 1_500.0
    assert plan.state.samples[-1].assigned_load == 1_500.0


def test_a_total_that_fell_in_a_crash_is_taken_back_from_the_newest_sample() -> None:
    state = a_state(samples=(DemandSample(at_s=NOW_S - 60, assigned_load=1_500.0, waiting_load=0.0),))
    plan = decide(a_snapshot(state=state), now_s=NOW_S)

    assert plan.state.retired_assigned_load == 1_500.0
    assert plan.facts["arriving_load_per_s"] == 0.0


def test_the_last_digits_of_a_sum_are_no_demand() -> None:
    state = a_state(samples=(DemandSample(at_s=NOW_S - 60, assigned_load=32_444.085999999992, waiting_load=0.0),))
    moved = replace(state, retired_assigned_load=32_444.085999999996)

    assert _kinds(a_snapshot(a_worker(1, _S.STOPPED), group=a_group(cold_workers=1), state=moved)) == []


def test_an_unknown_rate_is_left_out_of_the_figures() -> None:
    assert "arriving_load_per_s" not in decide(a_snapshot(state=ScalerState()), now_s=NOW_S).facts


# How often, what for, and why


@pytest.mark.parametrize(
    ("snapshot", "cadence"),
    [
        (a_snapshot(a_worker(1), state=a_state(last_demand_at_s=NOW_S - 10)), Cadence.IDLE),
        # The inactivity timeout of 300 s passes in 40 s, before the next schedule event.
        (a_snapshot(a_worker(1), state=a_state(last_demand_at_s=NOW_S - 260)), Cadence.BUSY),
        (a_snapshot(a_worker(1, _S.STOPPED), group=a_group(cold_workers=1)), Cadence.IDLE),
        (a_snapshot(a_worker(1, _S.BOOTING)), Cadence.BUSY),
        (a_snapshot(a_worker(1, _S.DESTROYING)), Cadence.BUSY),
        (a_snapshot(waiting=(a_request(),)), Cadence.BUSY),
        (a_snapshot(a_worker(1), state=a_state(load_per_s=10.0, retired_assigned_load=1_001.0)), Cadence.BUSY),
    ],
)
def test_a_group_is_busy_while_something_is_asked_under_way_or_soon_due(snapshot: Snapshot, cadence: Cadence) -> None:
    assert decide(snapshot, now_s=NOW_S).cadence is cadence


def test_a_search_is_wanted_only_where_something_may_be_rented() -> None:
    hungry = a_snapshot(state=a_state(load_per_s=50.0))

    assert decide(hungry, now_s=NOW_S).wanted == {"a"}
    assert decide(a_snapshot(a_worker(1)), now_s=NOW_S).wanted == frozenset()
    assert decide(replace(hungry, group=a_group(max_workers=0)), now_s=NOW_S).wanted == frozenset()


def test_every_action_is_told_in_a_sentence_with_its_reason() -> None:
    plan = decide(a_snapshot(state=a_state(load_per_s=50.0), offers=OFFERS), now_s=NOW_S)

    assert plan.sentences[0] == "Rent 1x RTX 4090 of a at $0.4000 an hour, 100.0 load/s expected: 50.0 load/s are missing."


def test_a_decision_that_adds_something_tells_what_was_forecast() -> None:
    plan = decide(a_snapshot(state=a_state(load_per_s=50.0), offers=OFFERS), now_s=NOW_S)

    assert plan.sentences[1].startswith("Needed are 50.0 load/s: 50.0 load/s arrive as far as is proven")


def test_a_burst_is_rented_for_at_once() -> None:
    burst = replace(a_worker(1), condition=a_condition(slots=4, in_flight=8))

    assert len(_rents(a_snapshot(burst, state=a_state(load_per_s=50.0), offers=OFFERS))) == 1


@pytest.mark.parametrize(
    ("offers", "sentence"),
    [
        ({}, "Autogroup a: its offers are not known."),
        ({"a": ()}, "Autogroup a: no machine on offer matches."),
        (
            {"a": (an_offer(running_micro_usd_per_hour=99_000_000),)},
            "Autogroup a: every machine on offer is avoided or over the budget.",
        ),
    ],
)
def test_a_rent_that_cannot_be_made_is_explained(offers: dict[str, tuple[object, ...]], sentence: str) -> None:
    assert decide(a_snapshot(state=a_state(load_per_s=50.0), offers=offers), now_s=NOW_S).sentences == (sentence,)


def test_worker_ids_name_their_shard_and_are_spread() -> None:
    group = a_group(max_workers=130, min_load=10_000.0, max_hourly_cost_micro_usd=10**9)
    shards = [rent.worker_id.partition("-")[0] for rent in _rents(a_snapshot(group=group, offers=OFFERS))]

    assert sorted(set(shards)) == ["w0", "w1", "w2"]


def test_a_rent_records_what_was_offered() -> None:
    (rent,) = _rents(a_snapshot(state=a_state(load_per_s=50.0), offers={"a": (an_offer(100),)}))
    rental = rental_of(rent, now_s=NOW_S)

    assert (rental.state, rental.offer_id, rental.machine_id, rental.running_micro_usd_per_hour) == (
        _S.RENTING,
        100,
        1100,
        CENTS_40,
    )
