"""What holds of a group at one moment: a function of its schedules and the time, and of nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.core.civil_time import Zone
from functions.core.model import EndpointGroup, EndpointState, Schedule, ScheduledParameters
from functions.core.scaling import decide
from functions.core.schedules import in_force
from functions.core.snapshot import from_json, to_json
from tests.core.builders import a_group, a_snapshot, a_state, a_worker
from tests.core.test_cron import BERLIN, at, cron

SUNDAY_NOON = "2026-11-22 12:00"
MONDAY_TEN = "2026-11-23 10:00"


def schedule(expression: str, *, for_s: float | None = None, zone: Zone = BERLIN, **sets: Any) -> Schedule:
    """Return a schedule in Berlin."""
    return Schedule(cron=cron(expression), zone=zone, for_s=for_s, sets=ScheduledParameters(**sets))


def group(**schedules: Schedule) -> EndpointGroup:
    """Return a group with a floor of 10 load/s and these schedules."""
    return a_group(min_load=10.0, cold_workers=1, schedules={name.replace("_", "-"): each for name, each in schedules.items()})


WEEKDAYS = group(
    office_hours=schedule("0 8 ? * MON-FRI *", min_load=400.0, cold_workers=4),
    evening=schedule("0 18 ? * MON-FRI *", min_load=50.0),
)


def floor(of: EndpointGroup, now: str) -> float:
    return in_force(of, now_s=at(now, "Europe/Berlin")).group.min_load


@pytest.mark.parametrize(
    ("now", "min_load"),
    [
        ("2026-11-23 07:59", 50.0),  # of Friday evening
        ("2026-11-23 08:00", 400.0),
        ("2026-11-23 17:59:59", 400.0),
        ("2026-11-23 18:00", 50.0),
        (SUNDAY_NOON, 50.0),
    ],
)
def test_a_schedule_holds_until_another_sets_the_same(now: str, min_load: float) -> None:
    assert floor(WEEKDAYS, now) == min_load


def test_what_no_other_schedule_sets_goes_on() -> None:
    assert in_force(WEEKDAYS, now_s=at("2026-11-23 20:00", "Europe/Berlin")).group.cold_workers == 4


def test_a_schedule_with_an_end_gives_back_what_held_before() -> None:
    lunch = schedule("0 12 ? * MON-FRI *", for_s=3600.0, min_load=900.0)
    busy = replace(WEEKDAYS, schedules={**WEEKDAYS.schedules, "lunch": lunch})

    assert [floor(busy, f"2026-11-23 {time}") for time in ("11:59", "12:00", "12:59:59", "13:00")] == [400.0, 900.0, 900.0, 400.0]


def test_where_no_schedule_holds_the_group_has_its_own() -> None:
    only = group(office=schedule("0 8 ? * MON-FRI *", for_s=10 * 3600.0, min_load=400.0))

    assert [floor(only, now) for now in (MONDAY_TEN, "2026-11-23 18:00")] == [400.0, 10.0]


def test_a_schedule_that_has_never_fired_holds_nothing() -> None:
    first = group(new_year=schedule("0 0 1 1 ? 2030", min_load=400.0))

    assert floor(first, MONDAY_TEN) == 10.0


def test_a_deployment_in_the_middle_of_a_schedule_finds_it_holding() -> None:
    assert floor(WEEKDAYS, MONDAY_TEN) == 400.0


def test_a_schedule_that_is_removed_ends() -> None:
    assert floor(replace(WEEKDAYS, schedules={"evening": WEEKDAYS.schedules["evening"]}), MONDAY_TEN) == 50.0
    assert floor(replace(WEEKDAYS, schedules={}), MONDAY_TEN) == 10.0


def test_of_two_in_one_minute_the_last_name_wins() -> None:
    both = group(a=schedule("0 8 * * ? *", min_load=1.0), b=schedule("0 8 * * ? *", min_load=2.0))

    assert floor(both, MONDAY_TEN) == 2.0


def test_a_schedule_never_raises_a_ceiling() -> None:
    most = group(night=schedule("0 0 * * ? *", max_workers=99, max_hourly_cost_micro_usd=99_000_000))
    now = in_force(most, now_s=at(MONDAY_TEN)).group

    assert (now.max_workers, now.max_hourly_cost_micro_usd) == (most.max_workers, most.max_hourly_cost_micro_usd)


def test_a_schedule_lowers_a_ceiling() -> None:
    fewer = group(night=schedule("0 0 * * ? *", max_workers=2, max_hourly_cost_micro_usd=1_500_000))
    now = in_force(fewer, now_s=at(MONDAY_TEN)).group

    assert (now.max_workers, now.max_hourly_cost_micro_usd) == (2, 1_500_000)


@pytest.mark.parametrize(
    ("declared", "scheduled", "now"),
    [
        ("active", "stopped", "stopped"),
        ("stopped", "active", "stopped"),
        ("suspended", "active", "suspended"),
        ("active", "active", "active"),
    ],
)
def test_a_schedule_wakes_no_group_that_its_owner_has_stopped(declared: str, scheduled: str, now: str) -> None:
    hours = schedule("0 8 * * ? *", endpoint_state=EndpointState(scheduled))
    of = replace(group(office=hours), endpoint_state=EndpointState(declared))

    assert in_force(of, now_s=at(MONDAY_TEN)).group.endpoint_state == now


def test_it_says_which_schedule_holds_since_when_and_what_it_sets() -> None:
    told = in_force(WEEKDAYS, now_s=at("2026-11-23 20:00", "Europe/Berlin")).sentences

    assert told == (
        "Schedule office-hours holds since 2026-11-23 08:00 (Europe/Berlin): cold_workers 4.",
        "Schedule evening holds since 2026-11-23 18:00 (Europe/Berlin): min_load 50.",
    )


def test_it_says_until_when() -> None:
    night = group(night=schedule("0 22 * * ? *", for_s=8 * 3600.0, endpoint_state=EndpointState.STOPPED))

    assert in_force(night, now_s=at("2026-11-23 23:00", "Europe/Berlin")).sentences == (
        "Schedule night holds since 2026-11-23 22:00 until 2026-11-24 06:00 (Europe/Berlin): endpoint_state stopped.",
    )


def test_a_ceiling_in_dollars_is_told_in_dollars() -> None:
    night = group(night=schedule("0 0 * * ? *", max_hourly_cost_micro_usd=1_500_000))

    assert "max_hourly_cost_usd 1.5." in in_force(night, now_s=at(MONDAY_TEN)).sentences[0]


def test_a_schedule_of_which_nothing_is_left_is_not_named() -> None:
    floors = group(early=schedule("0 6 * * ? *", min_load=1.0), late=schedule("0 7 * * ? *", min_load=2.0))

    assert [holding.name for holding in in_force(floors, now_s=at(MONDAY_TEN)).holdings] == ["late"]


def test_a_decision_goes_by_what_holds_and_says_so() -> None:
    now_s = at(MONDAY_TEN, "Europe/Berlin")
    plan = decide(a_snapshot(group=WEEKDAYS, state=a_state(last_demand_at_s=now_s)), now_s=now_s)

    assert plan.sentences[-1] == "Schedule office-hours holds since 2026-11-23 08:00 (Europe/Berlin): min_load 400, cold_workers 4."
    assert {name: plan.facts[name] for name in ("needed_load_per_s", "schedules_in_force", "scheduled_min_load")} == {
        "needed_load_per_s": 400.0,
        "schedules_in_force": 1.0,
        "scheduled_min_load": 400.0,
    }


def test_a_schedule_may_stop_a_group() -> None:
    now_s = at(MONDAY_TEN)
    stopped = group(night=schedule("0 0 * * ? *", zone=Zone(), endpoint_state=EndpointState.STOPPED))
    plan = decide(a_snapshot(a_worker(1), group=stopped), now_s=now_s)

    assert "The endpoint is stopped by its owner." in plan.sentences


def test_a_decision_under_a_schedule_replays_from_its_record() -> None:
    now_s = at(MONDAY_TEN, "Europe/Berlin")
    seen = a_snapshot(a_worker(1), group=WEEKDAYS, state=a_state(last_demand_at_s=now_s))

    assert decide(from_json(to_json(seen)), now_s=now_s) == decide(seen, now_s=now_s)
