"""Who serves and is replaced: slow, dear, ending and unwanted machines, and what keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.model import Blacklist, EndpointGroup, Worker
from functions.core.plan import Action, Destroy, Drain, Fault, Plan, Rent, Reprice, Undrain
from functions.core.scaler_state import Avoided, LearnedPerf, Rollout
from functions.core.scaling import decide
from functions.core.snapshot import Snapshot
from tests.core.builders import NOW_S, a_condition, a_group, a_snapshot, a_state, a_worker, an_instance, an_offer, worker_id
from tests.core.rolling import NEW, V1, V2, proven, proving

_S = WorkerState
KNOWN = {"a|RTX 4090|1": LearnedPerf(perf=95.0, samples=8, dlperf=100.0, deviations=0.3, measured_at_s=NOW_S)}
OFFERS = {"a": tuple(an_offer(number) for number in range(100, 104))}


def _worker(number: int, perf: float = 100.0, **rental: Any) -> Worker:
    return replace(a_worker(number, **rental), condition=a_condition(perf=perf))


def _fleet(*workers: Worker, load_per_s: float, avoided: tuple[Avoided, ...] = (), **changes: Any) -> Snapshot:
    defaults: dict[str, Any] = {"state": a_state(load_per_s=load_per_s, learned=KNOWN, avoided=avoided), "offers": OFFERS}
    return a_snapshot(*workers, **defaults | changes)


def _slow(number: int = 1) -> Avoided:
    return Avoided(
        machine_id=number + 1000, until_s=NOW_S + 60, reason="it is slow", worker_id=worker_id(number), fault=Fault.SLOW.value
    )


def _plan(snapshot: Snapshot) -> Plan:
    return decide(snapshot, now_s=NOW_S)


def _of(kind: type[Action], plan: Plan) -> list[Any]:
    return [action for action in plan.actions if isinstance(action, kind)]


def test_a_machine_far_below_its_like_is_avoided_with_the_reason() -> None:
    plan = _plan(_fleet(_worker(1, perf=40.0), _worker(2), _worker(3), load_per_s=230.0))
    (avoided,) = plan.state.avoided

    assert (avoided.machine_id, avoided.worker_id, avoided.fault) == (1001, worker_id(1), "slow")
    assert "Machine 1001 is avoided for 360 minutes: it serves 40.0 load/s where its like serve" in " ".join(plan.sentences)


@pytest.mark.parametrize("perf", [80.0, 120.0])
def test_one_that_differs_as_machines_do_is_left_alone(perf: float) -> None:
    assert _plan(_fleet(_worker(1, perf=perf), _worker(2), _worker(3), load_per_s=230.0)).state.avoided == ()


def test_before_two_others_were_measured_there_is_no_yardstick() -> None:
    few = {"a|RTX 4090|1": LearnedPerf(perf=60.0, samples=2, dlperf=100.0, measured_at_s=NOW_S)}
    state = a_state(load_per_s=230.0, learned=few)

    assert _plan(_fleet(_worker(1, perf=20.0), _worker(2), _worker(3), load_per_s=230.0, state=state)).state.avoided == ()


def _found(known: LearnedPerf, perf: float) -> bool:
    state = a_state(load_per_s=230.0, learned={"a|RTX 4090|1": known})
    return bool(_plan(_fleet(_worker(1, perf=perf), _worker(2), _worker(3), load_per_s=230.0, state=state)).state.avoided)


@pytest.mark.parametrize(("perf", "slow"), [(70.0, True), (85.0, False)])
def test_where_machines_hardly_differ_one_is_slow_from_a_fifth_on(perf: float, *, slow: bool) -> None:
    assert _found(LearnedPerf(perf=99.0, samples=20, dlperf=100.0, measured_at_s=NOW_S), perf) is slow


@pytest.mark.parametrize(("perf", "slow"), [(20.0, True), (50.0, False)])
def test_where_machines_differ_widely_so_may_one(perf: float, *, slow: bool) -> None:
    assert _found(LearnedPerf(perf=95.0, samples=20, dlperf=100.0, deviations=4.0, measured_at_s=NOW_S), perf) is slow


def test_the_only_one_of_its_model_is_held_against_those_that_were() -> None:
    assert len(_plan(_fleet(_worker(1, perf=40.0), load_per_s=30.0)).state.avoided) == 1


def test_only_who_serves_is_judged() -> None:
    draining = _worker(1, perf=40.0, state=_S.DRAINING, drain_to=_S.STOPPING)

    assert _plan(_fleet(draining, _worker(2), _worker(3), load_per_s=130.0)).state.avoided == ()


@pytest.mark.parametrize(("rollout", "version"), [(proven(), V1), (proving(), V2)], ids=["the version before", "on probation"])
def test_who_is_of_another_version_is_no_slow_machine(rollout: Rollout, version: str) -> None:
    state = a_state(load_per_s=230.0, learned=KNOWN, rollouts={"a": rollout})
    fleet = [_worker(number, perf=40.0 if number == 1 else 100.0, autogroup_version=version, age_s=30.0) for number in (1, 2, 3)]

    assert _plan(_fleet(*fleet, load_per_s=230.0, state=state, autogroups=(NEW,))).state.avoided == ()


def test_where_most_are_slow_none_is() -> None:
    fleet = [_worker(number, perf=40.0) for number in (1, 2, 3)]

    assert _plan(_fleet(*fleet, _worker(4), load_per_s=200.0)).state.avoided == ()


def test_what_stays_for_minutes_is_not_worth_replacing() -> None:
    fleet = _fleet(_worker(1, perf=40.0), _worker(2), _worker(3), load_per_s=230.0)
    brief = replace(fleet, state=replace(fleet.state, stay_s=400.0))

    assert len(_plan(fleet).state.avoided) == 1
    assert _plan(brief).state.avoided == ()


def test_a_slow_machine_serves_until_its_replacement_does() -> None:
    plan = _plan(_fleet(_worker(1, perf=40.0), _worker(2), load_per_s=130.0, avoided=(_slow(),)))

    assert len(_of(Rent, plan)) == 1
    assert _of(Drain, plan) == []
    assert f"{worker_id(1)} serves until it is replaced: it is slow." in plan.sentences


def test_once_the_others_carry_the_load_it_is_drained_and_given_back() -> None:
    plan = _plan(_fleet(_worker(1, perf=40.0), _worker(2), _worker(3), load_per_s=130.0, avoided=(_slow(),)))

    assert [(drain.worker_id, drain.to) for drain in _of(Drain, plan)] == [(worker_id(1), _S.DESTROYING)]


def test_while_it_drains_no_shortage_takes_it_back() -> None:
    draining = _worker(1, perf=40.0, state=_S.DRAINING, drain_to=_S.DESTROYING)
    plan = _plan(_fleet(draining, _worker(2), load_per_s=180.0, avoided=(_slow(),)))

    assert (len(_of(Rent, plan)), _of(Undrain, plan)) == (1, [])


@pytest.mark.parametrize("full", [a_group(max_workers=2), a_group(max_hourly_cost_micro_usd=800_000)], ids=["workers", "dollars"])
def test_with_no_place_for_a_replacement_it_goes_on_serving_and_counts(full: EndpointGroup) -> None:
    plan = _plan(_fleet(_worker(1, perf=40.0), _worker(2), load_per_s=130.0, avoided=(_slow(),), group=full))

    assert plan.actions == ()
    assert plan.facts["serving_load_per_s"] == 140.0


def test_with_its_replacement_on_the_way_it_no_longer_counts_although_there_is_no_further_place() -> None:
    coming = a_worker(3, _S.BOOTING)
    fleet = (_worker(1, perf=40.0), _worker(2), coming)
    plan = _plan(_fleet(*fleet, load_per_s=130.0, avoided=(_slow(),), group=a_group(max_workers=3)))

    assert plan.facts["serving_load_per_s"] == 100.0


def test_while_one_leaves_no_other_is_found() -> None:
    fleet = [_worker(number, perf=40.0 if number < 3 else 100.0) for number in range(1, 10)]
    plan = _plan(_fleet(*fleet, load_per_s=700.0, avoided=(_slow(),)))

    assert [machine.worker_id for machine in plan.state.avoided] == [worker_id(1)]


def test_a_few_leave_at_a_time() -> None:
    slow = [_worker(number, perf=40.0) for number in (1, 2, 3)]
    plan = _plan(_fleet(*slow, *(_worker(number) for number in range(4, 10)), load_per_s=700.0))

    assert len(plan.state.avoided) == 1


def test_a_machine_that_its_owner_allows_stays_whatever_was_learned() -> None:
    group = a_group(blacklist=Blacklist(allow=(1001,)))
    plan = _plan(_fleet(_worker(1, perf=40.0), _worker(2), _worker(3), load_per_s=230.0, avoided=(_slow(),), group=group))

    assert plan.actions == ()


def test_a_machine_that_its_owner_allows_is_not_found_to_be_slow() -> None:
    group = a_group(blacklist=Blacklist(allow=(1001,)))

    assert _plan(_fleet(_worker(1, perf=40.0), _worker(2), _worker(3), load_per_s=230.0, group=group)).state.avoided == ()


def test_a_machine_that_its_owner_allows_is_rented_although_it_failed() -> None:
    failed = Avoided(machine_id=1100, until_s=NOW_S + 60, reason="it failed")
    state = a_state(load_per_s=50.0, avoided=(failed,))
    group = a_group(blacklist=Blacklist(allow=(1100,)))

    assert len(_of(Rent, _plan(a_snapshot(group=group, state=state, offers={"a": (an_offer(100),)})))) == 1


@pytest.mark.parametrize("blacklist", [Blacklist(machines=(1100,)), Blacklist(hosts=(1,))])
def test_what_is_blacklisted_is_not_rented_even_if_the_search_shows_it(blacklist: Blacklist) -> None:
    snapshot = a_snapshot(
        group=a_group(blacklist=blacklist), state=a_state(load_per_s=50.0), offers={"a": (an_offer(100), an_offer(200, host_id=2))}
    )

    assert [rent.offer.offer_id for rent in _of(Rent, _plan(snapshot))] == [200]


def test_a_machine_that_is_blacklisted_while_it_serves_is_replaced_first() -> None:
    group = a_group(blacklist=Blacklist(machines=(1001,)))
    alone, relieved = (
        _plan(_fleet(*workers, load_per_s=90.0, group=group)) for workers in ((_worker(1),), (_worker(1), _worker(2)))
    )

    assert [type(action) for action in alone.actions] == [Rent]
    assert [type(action) for action in relieved.actions] == [Drain]


@pytest.mark.parametrize("places", [10, 2])
def test_a_blacklisted_machine_that_is_stopped_or_boots_goes_at_once(places: int) -> None:
    group = a_group(blacklist=Blacklist(machines=(1001, 1002)), max_workers=places)
    fleet = (a_worker(1, _S.STOPPED), a_worker(2, _S.BOOTING))

    assert len(_of(Destroy, _plan(_fleet(*fleet, load_per_s=0.0, group=group)))) == 2


def test_a_raised_price_is_reckoned_with_in_the_next_decision() -> None:
    listing = (an_instance(1, running_micro_usd_per_hour=800_000),)
    plan = _plan(_fleet(_worker(1), load_per_s=90.0, listing=listing))

    assert [reprice.running_micro_usd_per_hour for reprice in _of(Reprice, plan)] == [800_000]
    assert plan.facts["held_micro_usd_per_hour"] == 800_000.0


def test_a_machine_whose_price_doubled_is_replaced_and_one_whose_price_rose_a_little_is_kept() -> None:
    def avoided(now: int) -> list[str]:
        raised = _worker(1, running_micro_usd_per_hour=now, raised_from_micro_usd_per_hour=400_000)
        return [machine.fault for machine in _plan(_fleet(raised, load_per_s=90.0)).state.avoided]

    assert (avoided(800_000), avoided(415_000)) == (["price"], [])


def test_a_machine_whose_term_ends_is_replaced_before_it_does() -> None:
    def rents(ends_in_s: float | None) -> int:
        ends_at_s = None if ends_in_s is None else NOW_S + ends_in_s
        return len(_of(Rent, _plan(_fleet(_worker(1), load_per_s=90.0, listing=(an_instance(1, ends_at_s=ends_at_s),)))))

    assert [rents(each) for each in (None, -5.0, 600.0, 90_000.0)] == [0, 0, 1, 0]


def test_a_machine_whose_term_is_about_to_end_is_not_rented() -> None:
    offers = {"a": (an_offer(100, ends_in_s=1_000.0), an_offer(101, ends_in_s=90_000.0, running_micro_usd_per_hour=500_000))}

    assert [rent.offer.offer_id for rent in _of(Rent, _plan(a_snapshot(state=a_state(load_per_s=50.0), offers=offers)))] == [101]
