"""The rest of a stack: its table, its names, tags and exports, and what watches it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import cost
from functions.scale.figures import FACT_METRICS
from infra.alarms import GROUP_WATCHES
from infra.dashboard import GROUP_WIDGETS
from infra.program import main
from tests.infra.recording import RecordedStack, record
from tests.infra.stack_files import as_file


def test_the_table_is_on_demand_encrypted_recoverable_and_protected(stack: RecordedStack) -> None:
    table = stack.one("dynamodb/table:Table", "table")

    assert {key: value for key, value in table.inputs.items() if key != "tags"} == {
        "name": "headgate-test",
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "pk",
        "rangeKey": "sk",
        "attributes": [{"name": "pk", "type": "S"}, {"name": "sk", "type": "S"}],
        "ttl": {"attributeName": "ttl", "enabled": True},
        "pointInTimeRecovery": {"enabled": True},
        "serverSideEncryption": {"enabled": True},
        "deletionProtectionEnabled": True,
    }
    assert table.protect


def test_a_table_that_may_go_is_protected_by_neither() -> None:
    stack = record(lambda: main(lambda _target: Path("functions.zip")), as_file(protectTable=False))

    table = stack.one("dynamodb/table:Table", "table")
    assert (table.protect, table.inputs["deletionProtectionEnabled"]) == (False, False)


def test_everything_that_can_be_tagged_names_its_stack(stack: RecordedStack) -> None:
    tags = {"headgate:stack": "test", "headgate:managed-by": "pulumi", "team": "inference"}

    tagged = {each.type for each in stack.resources if each.inputs.get("tags") == tags}
    assert tagged == {
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:dynamodb/table:Table",
        "aws:iam/role:Role",
        "aws:lambda/function:Function",
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        "aws:secretsmanager/secret:Secret",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
    }
    assert not [each for each in stack.resources if each.type in tagged and each.inputs.get("tags") != tags]


def test_two_stacks_share_no_name(stack: RecordedStack) -> None:
    names = {each.inputs["name"] for each in stack.resources if each.type.startswith("aws:") and "name" in each.inputs}

    assert {name for name in names if "test" not in name} == {"exact", "llm", "hello", "keys.rotate"}


def test_the_exports(stack: RecordedStack) -> None:
    assert {name: value for name, (value, is_secret) in stack.outputs.items() if not is_secret} == {
        "route_url": "https://headgate-test-route.lambda-url.eu-west-1.on.aws",
        "report_url": "https://headgate-test-report.lambda-url.eu-west-1.on.aws",
        "table_name": "headgate-test",
        "endpoints": ["hello", "llm"],
    }


OF_A_GROUP = {
    "refused": "MarketplaceRefusalsCount",
    "budget-reached": "BudgetReachedCount",
    "no-offers": "NoOffersCount",
    "halted": "AutogroupsHaltedCount",
    "update-failed": "UpdatesFailedCount",
    "release-unconfirmed": "ReleasesUnconfirmedCount",
    "silent": "WorkersReadyCount",
}


def test_the_alarms_and_what_sets_them_off(stack: RecordedStack) -> None:
    alarms = [each.inputs for each in stack.of("cloudwatch/metricAlarm:MetricAlarm")]

    watched = {
        alarm["name"].removeprefix("headgate-test-"): f"{alarm['metricName']} of {' '.join(sorted(alarm['dimensions'].values()))}"
        for alarm in alarms
    }
    groups = {
        f"{endpoint}-{name}": f"{metric} of {' '.join(sorted((endpoint, 'headgate-scale')))}"
        for endpoint in ("llm", "hello")
        for name, metric in OF_A_GROUP.items()
    }
    assert watched == {
        "route-errors": "Errors of headgate-test-route",
        "route-throttles": "Throttles of headgate-test-route",
        "route-5xx": "Url5xxCount of headgate-test-route",
        "report-errors": "Errors of headgate-test-report",
        "report-throttles": "Throttles of headgate-test-report",
        "report-5xx": "Url5xxCount of headgate-test-report",
        "scale-errors": "Errors of headgate-test-scale",
        "scale-throttles": "Throttles of headgate-test-scale",
        "dead-letters": "ApproximateNumberOfMessagesVisible of headgate-test-dead-letters",
        "credit-low": "CreditLeftHours of headgate-scale",
        **groups,
    }


@pytest.mark.parametrize(
    ("name", "minutes"),
    [("budget-reached", (5, 6)), ("no-offers", (8, 10)), ("halted", (1, 1)), ("refused", (1, 1)), ("release-unconfirmed", (1, 1))],
)
def test_what_may_pass_by_itself_wakes_nobody_at_once(stack: RecordedStack, name: str, minutes: tuple[int, int]) -> None:
    alarm = stack.one("cloudwatch/metricAlarm:MetricAlarm", f"alarm-llm-{name}").inputs

    assert (alarm["datapointsToAlarm"], alarm["evaluationPeriods"]) == minutes
    assert (alarm["period"], alarm["comparisonOperator"], alarm["threshold"]) == (60, "GreaterThanThreshold", 0)
    assert alarm["treatMissingData"] == "notBreaching"


def test_a_group_that_is_no_longer_decided_about_sets_off_an_alarm(stack: RecordedStack) -> None:
    alarm = stack.one("cloudwatch/metricAlarm:MetricAlarm", "alarm-llm-silent").inputs

    assert (alarm["statistic"], alarm["comparisonOperator"], alarm["threshold"]) == ("SampleCount", "LessThanThreshold", 1)
    assert (alarm["period"], alarm["evaluationPeriods"], alarm["treatMissingData"]) == (60, 5, "breaching")


def test_credit_that_could_not_be_read_is_neither_low_nor_enough(stack: RecordedStack) -> None:
    alarm = stack.one("cloudwatch/metricAlarm:MetricAlarm", "alarm-credit-low").inputs

    assert (alarm["statistic"], alarm["comparisonOperator"], alarm["threshold"]) == ("Minimum", "LessThanThreshold", 24)
    assert alarm["treatMissingData"] == "ignore"


def test_a_stack_may_do_without_an_alarm_for_credit() -> None:
    stack = record(lambda: main(lambda _target: Path("functions.zip")), as_file(creditAlarmHours=0))

    assert "alarm-credit-low" not in {each.name for each in stack.of("cloudwatch/metricAlarm:MetricAlarm")}


def test_the_cost_page_counts_these_alarms_and_metrics(stack: RecordedStack) -> None:
    alarms = stack.of("cloudwatch/metricAlarm:MetricAlarm")

    assert len(alarms) == cost.ALARMS_OF_A_STACK + 2 * cost.ALARMS_OF_A_GROUP
    assert len(FACT_METRICS) == cost.METRICS_OF_A_GROUP


def test_every_alarm_of_a_group_says_what_to_do_and_fits_cloudwatch(stack: RecordedStack) -> None:
    alarms = [each.inputs for each in stack.of("cloudwatch/metricAlarm:MetricAlarm") if each.name.startswith("alarm-llm-")]
    described = {alarm["alarmDescription"] for alarm in alarms}

    assert len(described) == len(alarms)
    assert all(text.startswith("llm: ") and 80 < len(text) <= 1_024 for text in described)


def test_alarms_go_to_the_address_that_is_configured(stack: RecordedStack) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:headgate-test-alarms"
    (subscription,) = stack.of("sns/topicSubscription:TopicSubscription")

    assert subscription.inputs == {"topic": topic, "protocol": "email", "endpoint": "ops@example.org"}
    assert {tuple(each.inputs["alarmActions"]) for each in stack.of("cloudwatch/metricAlarm:MetricAlarm")} == {(topic,)}


def test_the_metrics_that_are_shown_are_those_that_the_scaler_tells() -> None:
    assert {metric for _, metric, _ in GROUP_WIDGETS} <= set(FACT_METRICS.values())


def test_the_dashboard_shows_every_trouble_of_every_group(stack: RecordedStack) -> None:
    body = json.loads(stack.one("cloudwatch/dashboard:Dashboard", "dashboard").inputs["dashboardBody"])
    (widget,) = (each for each in body["widgets"] if each["properties"]["title"] == "Needs attention")

    assert {(metric[1], metric[5]) for metric in widget["properties"]["metrics"]} == {
        (watch.metric, endpoint) for watch in GROUP_WATCHES for endpoint in ("llm", "hello")
    }


def test_the_dashboard_shows_every_group(stack: RecordedStack) -> None:
    body = json.loads(stack.one("cloudwatch/dashboard:Dashboard", "dashboard").inputs["dashboardBody"])

    assert body["widgets"][0]["properties"]["metrics"] == [
        ["Headgate/test", "WorkersReadyCount", "service", "headgate-scale", "endpoint", endpoint, {"label": endpoint}]
        for endpoint in ("llm", "hello")
    ]


def test_the_dashboard_shows_every_function(stack: RecordedStack) -> None:
    body = json.loads(stack.one("cloudwatch/dashboard:Dashboard", "dashboard").inputs["dashboardBody"])

    shown = {metric[3] for widget in body["widgets"] for metric in widget["properties"]["metrics"] if metric[0] == "AWS/Lambda"}
    assert shown == {"headgate-test-route", "headgate-test-report", "headgate-test-scale"}
    assert {widget["properties"]["region"] for widget in body["widgets"]} == {"eu-west-1"}


def test_a_stack_without_endpoint_groups_is_quiet() -> None:
    stack = record(lambda: main(lambda _target: Path("functions.zip")), as_file(endpoints={}, apiKeys={}))

    assert not [each for each in stack.of("cloudwatch/metricAlarm:MetricAlarm") if each.name == "alarm-credit-low"]
    assert [each.name for each in stack.of("scheduler/schedule:Schedule")] == ["schedule-keys.rotate"]
