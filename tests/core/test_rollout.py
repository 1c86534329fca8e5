"""How an edition is proven, or fails, and what is rented until it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.lifecycle import WorkerState
from functions.core.memory import BREAKER_FAILURES, after_refusal
from functions.core.model import Worker
from functions.core.plan import Destroy, Drain, Fault, Rent
from functions.core.rollout import FAILURES_MAX, PROVING_S, SETTLE_S, Stage, stage, unmeasured_versions
from functions.core.scaler_state import Edition, Halt, LearnedPerf, Rollout
from functions.core.scaling import decide
from protocol.report import Phase
from tests.core.builders import NOW_S, a_condition, a_group, a_state, a_worker, an_offer
from tests.core.rolling import (
    NEW,
    OLD,
    V1,
    V2,
    decided,
    failed,
    new,
    old,
    proven,
    proving,
    remembered,
    rented_versions,
    rolling,
    steady,
    told,
)

_S = WorkerState


def _stage(rollout: Rollout) -> Stage:
    return stage(rollout, now_s=NOW_S)


# What is wanted


def test_a_rent_notes_the_version_that_the_worker_is_born_with() -> None:
    plan = decided(rollout=steady(), autogroup=OLD, load_per_s=50.0)

    assert rented_versions(plan) == [V1]


def test_the_first_version_that_is_ever_seen_needs_no_trial() -> None:
    plan = decide(replace(rolling(rollout=steady()), state=a_state(load_per_s=250.0), autogroups=(NEW,)), now_s=NOW_S)

    assert rented_versions(plan) == [V2, V2, V2]


def test_workers_from_before_versions_are_what_is_configured_then() -> None:
    workers = (a_worker(1), a_worker(2, _S.STOPPED))
    plan = decide(
        replace(rolling(*workers, rollout=steady()), state=a_state(load_per_s=90.0), group=a_group(cold_workers=2)), now_s=NOW_S
    )

    assert (plan.actions, plan.facts["workers_outdated"]) == ((), 0.0)
    assert (remembered(plan).unversioned, remembered(plan).proven) == (V2, True)


def test_workers_from_before_versions_are_outdated_once_the_autogroup_is_changed() -> None:
    plan = decided(a_worker(1), rollout=proven(), load_per_s=90.0)

    assert plan.facts["workers_outdated"] == 1.0


def test_the_first_worker_that_was_ever_measured_proves_the_first_version() -> None:
    plan = decided(old(1), rollout=steady(proven=False, good=None, good_spec=None), autogroup=OLD)

    assert (remembered(plan).good, remembered(plan).good_spec) == (Edition(version=V1), OLD)


def test_a_change_is_proven_before_anything_follows_from_it() -> None:
    assert _stage(remembered(decided(old(1), rollout=steady()))) is Stage.PROVING


def test_a_change_that_is_taken_back_is_current_at_once() -> None:
    plan = decided(old(1), rollout=failed(), autogroup=OLD)

    assert (_stage(remembered(plan)), plan.facts["update_failed"]) == (Stage.CURRENT, 0.0)


def test_a_further_change_begins_anew() -> None:
    third = replace(NEW, image="tgi:3")
    rollout = remembered(decided(old(1), rollout=failed(), autogroup=third))

    assert (_stage(rollout), rollout.failed_workers, rollout.good) == (Stage.PROVING, (), Edition(version=V1))


def test_no_configuration_at_all_changes_nothing() -> None:
    plan = decided(old(1), new(2), rollout=proven(), autogroups=(), load_per_s=150.0)

    assert (plan.state.rollouts, plan.actions) == ({"a": proven()}, ())


def test_a_changed_autogroup_is_no_longer_halted_for_what_it_was_before() -> None:
    halted = {"a": Halt(until_s=NOW_S + 500, reason="x")}
    state = a_state(load_per_s=50.0, rollouts={"a": steady()}, halted_autogroups=halted, boot_failures={"a": 4})
    plan = decided(rollout=steady(), state=state)

    assert (plan.state.halted_autogroups, plan.state.boot_failures, rented_versions(plan)) == ({}, {}, [V2])


def test_an_update_that_is_asked_for_is_proven_as_a_change_is() -> None:
    plan = decided(old(1), rollout=steady(), autogroup=OLD, updates={"a": NOW_S - 1})

    assert _stage(remembered(plan)) is Stage.PROVING
    assert [action.reason for action in plan.actions if isinstance(action, Rent)] == [
        f"1x RTX 4090 of a at $0.4000 an hour, to prove version {V1}"
    ]


def test_an_update_that_is_called_off_leaves_older_and_newer_workers_as_they_are() -> None:
    asked = Edition(version=V1, asked_at_s=NOW_S - 900)
    rollout = steady(wanted=asked, proven=False)
    plan = decided(
        old(1, created_at_s=NOW_S - 9_000), old(2, created_at_s=NOW_S - 800), rollout=rollout, autogroup=OLD, load_per_s=190.0
    )

    assert (_stage(remembered(plan)), plan.facts["workers_outdated"], plan.actions) == (Stage.CURRENT, 0.0, ())


# Secrets


def test_nothing_follows_from_another_secret_before_every_scaler_knows_it() -> None:
    plan = decided(old(1), rollout=steady(), autogroup=OLD, secrets={"a": "digest"}, load_per_s=50.0)

    assert (_stage(remembered(plan)), plan.actions) == (Stage.SETTLING, ())
    assert "secrets have changed" in told(plan)


def test_a_secret_that_is_known_to_all_is_proven_as_any_change() -> None:
    seen = remembered(decided(old(1), rollout=steady(), autogroup=OLD, secrets={"a": "digest"}))

    assert stage(seen, now_s=NOW_S + SETTLE_S) is Stage.PROVING


def test_two_scalers_that_take_turns_with_two_secrets_change_nothing() -> None:
    rollout = steady()
    for turn in range(8):
        plan = decided(old(1), rollout=rollout, autogroup=OLD, secrets={"a": "new"} if turn % 2 else {}, load_per_s=50.0)
        rollout = remembered(plan)

    assert _stage(rollout) is Stage.SETTLING
    assert plan.actions == ()


def test_what_is_rented_meanwhile_is_noted_as_what_it_is_born_with() -> None:
    plan = decided(old(1), rollout=steady(), autogroup=OLD, secrets={"a": "digest"}, load_per_s=150.0)

    assert rented_versions(plan) == [remembered(plan).wanted.version] != [V1]


# Proof


def test_a_version_is_proven_by_a_worker_that_was_ready_for_a_while() -> None:
    plan = decided(old(1), new(2, age_s=PROVING_S), rollout=proving(), load_per_s=50.0)

    assert (remembered(plan).proven, remembered(plan).good, remembered(plan).good_spec) == (True, Edition(version=V2), NEW)


@pytest.mark.parametrize(
    "worker",
    [
        new(2, age_s=PROVING_S - 1),
        new(2, _S.BOOTING),
        old(2),
        replace(new(2), condition=a_condition(reported_at_s=NOW_S - 60)),
    ],
    ids=["too short a while", "booting", "of the version before", "silent"],
)
def test_a_version_is_not_proven_by_anything_less(worker: Worker) -> None:
    plan = decided(old(1), worker, rollout=proving(), load_per_s=50.0)

    assert not remembered(plan).proven


def test_a_worker_that_is_far_slower_than_usual_proves_nothing_and_goes() -> None:
    slow = replace(new(2), condition=a_condition(perf=49.0))
    plan = decided(old(1), slow, rollout=proving(), load_per_s=50.0)

    assert (remembered(plan).proven, remembered(plan).failed_workers) == (False, (slow.worker_id,))
    assert [action.worker_id for action in plan.actions if isinstance(action, Drain)] == [slow.worker_id]


def test_the_owner_may_accept_any_speed() -> None:
    slow = replace(new(2), condition=a_condition(perf=49.0))
    plan = decided(old(1), slow, rollout=proving(), load_per_s=50.0, group=a_group(update_perf_min=0.0))

    assert remembered(plan).proven


def test_a_failed_boot_speaks_against_the_version_and_not_for_the_breaker() -> None:
    broken = replace(new(2, _S.BOOTING), condition=a_condition(phase=Phase.ERROR, error="no such model"))
    plan = decided(old(1), broken, rollout=proving(), load_per_s=50.0)

    assert (remembered(plan).failed_workers, plan.state.boot_failures) == ((broken.worker_id,), {})


def test_a_failed_boot_of_the_version_before_counts_for_the_breaker() -> None:
    broken = replace(old(2, _S.BOOTING), condition=a_condition(phase=Phase.ERROR, error="no such model"))
    plan = decided(old(1), broken, rollout=proving(), load_per_s=50.0)

    assert (remembered(plan).failed_workers, plan.state.boot_failures) == ((), {"a": 1})


def test_a_rent_that_is_refused_speaks_against_the_version() -> None:
    rent = Rent(worker_id="w0-x", autogroup="a", offer=an_offer(), reason="", version=V2)
    state = a_state(rollouts={"a": proving()})
    after = after_refusal(state, autogroup="a", code="invalid_args", message="no such template", now_s=NOW_S, rent=rent)

    assert (after.rollouts["a"].failed_workers, after.boot_failures) == (("w0-x",), {})


def test_as_many_failures_as_are_no_chance_fail_the_version() -> None:
    broken = replace(new(2, _S.BOOTING), condition=a_condition(phase=Phase.ERROR, error="no such model"))
    plan = decided(old(1), broken, rollout=proving(failed_workers=("x", "y")), load_per_s=50.0)

    assert (_stage(remembered(plan)), plan.facts["update_failed"]) == (Stage.FAILED, 1.0)
    assert "3 of its workers in a row failed, the last: reported an error: no such model" in told(plan)


def test_a_version_fails_before_the_breaker_would_halt_it() -> None:
    assert FAILURES_MAX < BREAKER_FAILURES


def test_a_machine_that_is_not_what_was_offered_says_nothing_of_the_version() -> None:
    wrong = new(2, _S.BOOTING)
    snapshot = rolling(old(1), wrong, rollout=proving(), load_per_s=50.0)
    assert snapshot.listing is not None
    mixed_up = tuple(replace(one, machine_id=7) if one.instance_id == 2 else one for one in snapshot.listing)
    plan = decide(replace(snapshot, listing=mixed_up), now_s=NOW_S)

    assert [action.fault for action in plan.actions if isinstance(action, Destroy)] == [Fault.MISMATCH]
    assert remembered(plan).failed_workers == ()


# What is rented until then


def test_the_first_of_a_new_version_is_one_alone() -> None:
    assert rented_versions(decided(old(1), rollout=proving(), load_per_s=350.0)) == [V2]


def test_what_is_missing_while_it_is_tried_is_rented_as_the_version_that_works() -> None:
    plan = decided(old(1), new(2, _S.BOOTING), rollout=proving(), load_per_s=250.0)

    assert rented_versions(plan) == [V1, V1]
    assert plan.specs == {"a": OLD}


def test_what_fails_is_rented_no_more_and_what_is_missing_is_rented_as_before() -> None:
    plan = decided(old(1), rollout=failed(), load_per_s=250.0)

    assert rented_versions(plan) == [V1, V1]


def test_a_worker_on_probation_makes_nobody_dispensable() -> None:
    plan = decided(old(1), new(2, age_s=PROVING_S - 1), rollout=proving(), load_per_s=90.0)

    assert plan.actions == ()


def test_from_nothing_the_new_version_is_tried_by_who_asks() -> None:
    assert rented_versions(decided(rollout=proving(), load_per_s=90.0)) == [V2]


def test_whoever_asks_does_not_wait_for_a_trial_alone() -> None:
    plan = decided(new(2, _S.BOOTING), rollout=proving(), load_per_s=90.0)

    assert rented_versions(plan) == [V1]


def test_a_trial_that_serves_alone_is_followed_by_none_that_is_not_needed() -> None:
    assert rented_versions(decided(new(2, age_s=PROVING_S - 1), rollout=proving(), load_per_s=90.0)) == []


def test_without_its_secrets_the_version_before_is_not_rented_and_that_is_said() -> None:
    wanted = remembered(decided(rollout=steady(), secrets={"a": "new"})).wanted
    rollout = failed(wanted=wanted, secrets="new")
    plan = decided(old(1), rollout=rollout, secrets={"a": "new"}, load_per_s=250.0)

    assert rented_versions(plan) == []
    assert any("secrets that its last good version was started with are gone" in sentence for sentence in plan.sentences)


def test_without_its_secrets_and_without_any_worker_the_new_version_is_better_than_none() -> None:
    wanted = remembered(decided(rollout=steady(), secrets={"a": "new"})).wanted
    rollout = failed(wanted=wanted, secrets="new")

    assert rented_versions(decided(rollout=rollout, secrets={"a": "new"}, load_per_s=90.0)) == [wanted.version]


# What is learned


def test_what_a_worker_on_probation_measures_is_learned_once_its_version_is_proven() -> None:
    fast = replace(new(2, age_s=PROVING_S), condition=a_condition(perf=200.0))
    learned = {
        "a|RTX 4090|1": LearnedPerf(perf=100.0, samples=9, dlperf=100.0),
        "a|H100|1": LearnedPerf(perf=400.0, samples=9, dlperf=400.0),
    }
    state = a_state(load_per_s=50.0, rollouts={"a": proving()}, learned=learned)
    after = decided(old(1), fast, rollout=proving(), state=state).state.learned

    assert (after["a|RTX 4090|1"].perf, after["a|H100|1"].perf) == (200.0, 800.0)


def test_a_worker_that_comes_into_service_on_probation_teaches_nothing_yet() -> None:
    booted = replace(new(2, _S.BOOTING), condition=a_condition(perf=60.0))
    state = a_state(load_per_s=50.0, rollouts={"a": proving()})
    plan = decided(old(1), booted, rollout=proving(), state=state)

    assert plan.state.learned == state.learned


def test_a_version_that_is_proven_is_measured_by_its_own_standard() -> None:
    assert unmeasured_versions({"a": proving(), "b": proven(), "c": steady()}) == {V2}


def test_offers_are_looked_for_as_they_would_be_rented() -> None:
    plan = decided(old(1), new(2, _S.BOOTING), rollout=proving(good_spec=replace(OLD, disk_gb=99.0)), load_per_s=250.0, offers={})

    assert (plan.wanted, plan.specs["a"].disk_gb) == (frozenset({"a"}), 99.0)


def test_the_only_version_that_can_be_rented_may_still_prove_itself() -> None:
    wanted = remembered(decided(rollout=steady(), secrets={"a": "new"})).wanted
    rollout = failed(wanted=wanted, secrets="new")
    only = a_worker(1, autogroup_version=wanted.version, age_s=PROVING_S)
    plan = decided(only, rollout=rollout, secrets={"a": "new"}, load_per_s=90.0)

    assert (remembered(plan).proven, plan.actions) == (True, ())
