"""Schedules of a stack file: what is wrong with one is said by its key; what is right becomes a clock and a part of the item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.spec_codec import decode_group
from functions.core.civil_time import ClockChange, Zone
from functions.core.cron import Cron
from functions.core.model import EndpointState, Schedule, ScheduledParameters
from infra.program import main
from infra.schedule_settings import SETTABLE
from tests.infra.recording import RecordedStack, record
from tests.infra.stack_files import as_file, endpoint, faults

OFFICE = {"cron": "0 8 ? * MON-FRI *", "timezone": "Europe/Berlin", "set": {"min_load": 400}}
NIGHT = {
    "cron": "0 22 * * ? *",
    "for_hours": 8,
    "set": {"endpoint_state": "stopped", "max_workers": 2, "max_hourly_cost_usd": 1.25},
}
KEY = "headgate:endpoints.llm.schedules.office"


def with_schedule(**changes: Any) -> list[str]:
    """Return the faults of a stack file whose one schedule is changed like this."""
    return faults(endpoints={"llm": endpoint(schedules={"office": {**OFFICE, **changes}})})


@pytest.fixture(scope="module")
def scheduled() -> RecordedStack:
    """A stack whose group has two schedules."""
    configured = as_file(endpoints={"llm": endpoint(schedules={"office": OFFICE, "night": NIGHT})})
    return record(lambda: main(lambda _target: Path("functions.zip")), configured)


FORM = "Write 'minutes hours day-of-month month day-of-week year', such as '0 8 ? * MON-FRI *'"
UNKNOWN_ZONE = "is not in this machine's time zone database"
IRREGULAR_ZONE = "changes its clocks by dates that follow no rule"
NEAR = "Write the name of a zone, such as Europe/Berlin, or UTC"
FIXED = "Write a zone of a fixed offset, such as Etc/GMT-1 for one hour east of Greenwich"
FLOOR = "Set the load per second to keep ready at all times, 0 or more"
DOLLARS = "max_hourly_cost_usd"
ALWAYS = "which holds at all times"
BOTH_OR_NEITHER = "must have a ? as day of the month or as day of the week, and not as both"
LOWER = "Lower it, or raise the group's own and have a schedule lower it for the other hours"
WHAT = f"A schedule may set {', '.join(SETTABLE)}"
BAD_EXPRESSIONS = [
    ("0 8 * * *", "has 5 fields, not 6"),
    ("0 8 * * * *", BOTH_OR_NEITHER),
    ("0 8 ? * ? *", BOTH_OR_NEITHER),
    ("60 8 ? * * *", "has '60' as minutes, which is not one of 0 to 59"),
    ("0 8 ? * MOO *", "has 'MOO' as day of the week, which is not one of 1 to 7 or SUN to SAT"),
    ("0 18-8 ? * * *", "has '18-8' as hours, which ends before it begins"),
    ("0/0 8 ? * * *", "has '0/0' as minutes, which steps by no number"),
    ("0 8 ? ? * *", "has a ? as month, where only * means any"),
    ("0 8 32W * ? *", "has '32' as day of the month, which is not one of 1 to 31"),
]
FAULTS = [
    ({"timezone": "Europe/Berlim"}, "timezone = 'Europe/Berlim'", UNKNOWN_ZONE, NEAR),
    ({"timezone": "Africa/Casablanca"}, "timezone = 'Africa/Casablanca'", IRREGULAR_ZONE, FIXED),
    ({"set": {"min_load": -1}}, "set.min_load = -1", "must be greater than or equal to 0", FLOOR),
    ({"set": {"cold_workers": 5}}, "set.cold_workers = 5", "exceeds max_workers (4)", "Lower it, or raise 'max_workers' to 5"),
    ({"set": {"max_workers": 9}}, "set.max_workers = 9", f"exceeds the group's own max_workers (4), {ALWAYS}", LOWER),
    (
        {"set": {"max_hourly_cost_usd": 3}},
        "set.max_hourly_cost_usd = 3",
        f"exceeds the group's own {DOLLARS} (2.5), {ALWAYS}",
        LOWER,
    ),
    ({"set": {"ticket_ttl_s": 9}}, "set.ticket_ttl_s", "cannot be changed by a schedule", WHAT),
    ({"set": {"min_loat": 9}}, "set.min_loat", "is not a key that Headgate knows", WHAT),
]


@pytest.mark.parametrize(("expression", "fault"), BAD_EXPRESSIONS)
def test_an_expression_that_eventbridge_would_refuse_is_refused_before(expression: str, fault: str) -> None:
    assert with_schedule(cron=expression) == [f"{KEY}.cron = {expression!r}: {fault}. {FORM}."]


@pytest.mark.parametrize(("changes", "what", "fault", "remedy"), FAULTS)
def test_a_fault_is_named_by_key_value_and_remedy(changes: dict[str, Any], what: str, fault: str, remedy: str) -> None:
    assert with_schedule(**changes) == [f"{KEY}.{what}: {fault}. {remedy}."]


def test_a_schedule_that_sets_nothing_is_refused() -> None:
    (fault,) = with_schedule(set={})

    assert fault.startswith(f"{KEY}.set: must have at least 1 item")


def test_what_a_schedule_makes_impossible_is_said_to_the_schedule() -> None:
    found = faults(endpoints={"llm": endpoint(cold_workers=3, schedules={"office": {**OFFICE, "set": {"max_workers": 2}}})})

    assert found == [f"{KEY}.set: leaves a group whose cold_workers exceeds max_workers (2). Set that too."]


def test_a_fault_of_the_group_itself_is_not_told_twice() -> None:
    found = faults(endpoints={"llm": endpoint(target_util=2, schedules={"office": OFFICE})})

    assert [fault.partition(" ")[0] for fault in found] == ["headgate:endpoints.llm.target_util"]


def test_two_long_names_together_are_too_long_for_eventbridge() -> None:
    (fault,) = faults(endpoints={"g" * 40: endpoint(schedules={"s" * 21: OFFICE})}, apiKeys={})

    assert fault == (
        f"headgate:endpoints.{'g' * 40}.schedules.{'s' * 21}: is too long a name together with '{'g' * 40}': "
        "EventBridge takes 64 characters. Shorten it."
    )


def test_every_parameter_that_may_be_scheduled_is_one_that_the_functions_schedule() -> None:
    ours = {name.replace("usd", "micro_usd") for name in SETTABLE}

    assert ours == set(ScheduledParameters.__dataclass_fields__)


def test_a_schedule_reads_as_the_functions_read_it(scheduled: RecordedStack) -> None:
    group = decode_group(scheduled.item("group-llm"))

    berlin = Zone(
        name="Europe/Berlin",
        offset_s=3_600,
        summer_offset_s=7_200,
        summer_begins=ClockChange(month=3, week=5, weekday=7, at_s=7_200),
        summer_ends=ClockChange(month=10, week=5, weekday=7, at_s=10_800),
    )
    office_cron = Cron(text="0 8 ? * MON-FRI *", minutes=(0,), hours=(8,), weekdays=tuple((day, 0) for day in range(1, 6)))
    assert group.schedules == {
        "office": Schedule(cron=office_cron, zone=berlin, sets=ScheduledParameters(min_load=400.0)),
        "night": Schedule(
            cron=Cron(text="0 22 * * ? *", minutes=(0,), hours=(22,)),
            zone=Zone(),
            for_s=8 * 3_600.0,
            sets=ScheduledParameters(endpoint_state=EndpointState.STOPPED, max_workers=2, max_hourly_cost_micro_usd=1_250_000),
        ),
    }


def test_a_schedule_is_a_native_one_that_calls_the_scaler_with_the_groups_name(scheduled: RecordedStack) -> None:
    schedule = scheduled.one("scheduler/schedule:Schedule", "schedule-llm.at.office").inputs

    assert schedule == {
        "name": "llm.at.office",
        "groupName": "headgate-test",
        "scheduleExpression": "cron(0 8 ? * MON-FRI *)",
        "scheduleExpressionTimezone": "Europe/Berlin",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": {
            "arn": "arn:aws:lambda:eu-west-1:123456789012:function:headgate-test-scale",
            "roleArn": "arn:aws:iam::123456789012:role/headgate-test-schedule",
            "input": json.dumps({"endpoint": "llm", "reason": "schedule office"}),
            "deadLetterConfig": {"arn": "arn:aws:sqs:eu-west-1:123456789012:headgate-test-dead-letters"},
            "retryPolicy": {"maximumEventAgeInSeconds": 60, "maximumRetryAttempts": 2},
        },
    }


def test_no_schedule_calls_for_a_group_that_is_being_released(scheduled: RecordedStack) -> None:
    release = scheduled.one("lambda/invocation:Invocation", "release-llm")

    clocks = [each for each in scheduled.of("scheduler/schedule:Schedule") if each.name.startswith("schedule-llm")]
    assert sorted(clock.inputs["name"] for clock in clocks) == ["llm", "llm.at.night", "llm.at.office"]
    assert all(scheduled.goes_before(clock, release) for clock in clocks)
