"""What a destroy is bound to do first: stop asking for workers, then release, then take away what a release needs."""

from __future__ import annotations

import json

import pytest

from tests.infra.recording import Recorded, RecordedStack

NEEDED = [
    "dynamodb/table:Table table",
    "dynamodb/tableItem:TableItem group-llm",
    "dynamodb/tableItem:TableItem autogroup-llm.fast",
    "lambda/function:Function scale-function",
    "iam/role:Role scale-role",
    "iam/rolePolicy:RolePolicy scale-policy",
    "cloudwatch/logGroup:LogGroup scale-logs",
    "secretsmanager/secretVersion:SecretVersion worker-token",
    "secretsmanager/secretVersion:SecretVersion marketplace",
    "cloudwatch/metricAlarm:MetricAlarm alarm-llm-release-unconfirmed",
    "sns/topicSubscription:TopicSubscription alarms-email",
]
ASKING = [
    "scheduler/schedule:Schedule schedule-llm",
    "lambda/functionUrl:FunctionUrl route-url",
    "lambda/permission:Permission route-url-call",
]


def of(stack: RecordedStack, spelled: str) -> Recorded:
    type_, name = spelled.split()
    return stack.one(type_, name)


def release(stack: RecordedStack) -> Recorded:
    return stack.one("lambda/invocation:Invocation", "release-llm")


@pytest.mark.parametrize("needed", NEEDED)
def test_a_group_is_released_before_what_the_release_needs_is_gone(stack: RecordedStack, needed: str) -> None:
    assert stack.goes_before(release(stack), of(stack, needed))


@pytest.mark.parametrize("asking", ASKING)
def test_nobody_asks_for_workers_any_more_when_a_group_is_released(stack: RecordedStack, asking: str) -> None:
    assert stack.goes_before(of(stack, asking), release(stack))


def test_every_endpoint_group_is_released(stack: RecordedStack) -> None:
    releases = [each.inputs for each in stack.of("lambda/invocation:Invocation") if each.inputs.get("lifecycleScope") == "CRUD"]
    inputs = [json.loads(each["input"]) for each in releases]

    assert sorted(each["endpoint"] for each in inputs) == ["hello", "llm"]


def test_a_release_is_told_of_creation_update_and_deletion(stack: RecordedStack) -> None:
    inputs = release(stack).inputs

    assert (inputs["functionName"], inputs["lifecycleScope"], inputs["terraformKey"]) == ("headgate-test-scale", "CRUD", "tf")


def test_a_schedule_fires_every_minute_with_its_groups_name(stack: RecordedStack) -> None:
    schedule = stack.one("scheduler/schedule:Schedule", "schedule-llm").inputs

    assert schedule == {
        "name": "llm",
        "groupName": "headgate-test",
        "scheduleExpression": "rate(1 minute)",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": {
            "arn": "arn:aws:lambda:eu-west-1:123456789012:function:headgate-test-scale",
            "roleArn": "arn:aws:iam::123456789012:role/headgate-test-schedule",
            "input": '{"endpoint": "llm"}',
            "deadLetterConfig": {"arn": "arn:aws:sqs:eu-west-1:123456789012:headgate-test-dead-letters"},
            "retryPolicy": {"maximumEventAgeInSeconds": 60, "maximumRetryAttempts": 2},
        },
    }


def test_a_schedule_does_not_fire_before_its_role_may_invoke(stack: RecordedStack) -> None:
    schedule = stack.one("scheduler/schedule:Schedule", "schedule-llm")

    assert stack.goes_before(schedule, stack.one("iam/rolePolicy:RolePolicy", "schedules-policy"))


def test_the_signing_keys_are_looked_after_every_hour(stack: RecordedStack) -> None:
    schedule = stack.one("scheduler/schedule:Schedule", "schedule-keys.rotate").inputs

    assert (schedule["scheduleExpression"], schedule["target"]["arn"], schedule["target"]["input"]) == (
        "rate(1 hour)",
        "arn:aws:lambda:eu-west-1:123456789012:function:headgate-test-rotate",
        '{"command": "advance"}',
    )


@pytest.mark.parametrize("needing", ["lambda/functionUrl:FunctionUrl route-url", "lambda/functionUrl:FunctionUrl report-url"])
def test_nobody_can_ask_for_a_ticket_or_a_key_before_there_are_keys(stack: RecordedStack, needing: str) -> None:
    first_keys = stack.one("lambda/invocation:Invocation", "first-keys")

    assert stack.goes_before(of(stack, needing), first_keys)
