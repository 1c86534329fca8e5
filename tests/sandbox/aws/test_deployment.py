"""What the example program declares is really there, with the settings that it asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from sandbox.aws.deployment import Deployment
from sandbox.aws.emulator import Emulator, Operation
from sandbox.aws.plan import ResourceEvent, Step
from sandbox.aws.resources import KINDS
from sandbox.aws.settings import StackSettings


def output(deployed: Deployment, name: str) -> Any:
    return deployed.outputs[name].value


@pytest.fixture
def table(emulator: Emulator, deployed: Deployment) -> dict[str, Any]:
    described = emulator.client("dynamodb").describe_table(TableName=output(deployed, "table"))
    return dict(described["Table"])


@pytest.fixture
def function(emulator: Emulator, deployed: Deployment) -> dict[str, Any]:
    return dict(emulator.client("lambda").get_function_configuration(FunctionName=output(deployed, "function")))


def test_the_example_uses_every_kind_but_random_string(deployed: Deployment) -> None:
    used = {resource.type for resource in deployed.resources}

    assert KINDS.keys() - used == {"random:index/randomString:RandomString"}


def test_every_resource_is_planned_before_any_is_created(deployed: Deployment, events: list[ResourceEvent]) -> None:
    steps = [event.step for event in events]

    assert steps[: steps.index(Step.CREATING)] == [Step.PLANNED] * len(deployed.resources)


def test_every_resource_is_reported_as_created_once(deployed: Deployment, events: list[ResourceEvent]) -> None:
    created = sorted(event.urn for event in events if event.step is Step.CREATED)

    assert created == sorted(resource.urn for resource in deployed.resources)


def test_a_urn_names_the_components_above_a_resource(deployed: Deployment, settings: StackSettings) -> None:
    urns = {resource.urn for resource in deployed.resources}

    assert f"urn:pulumi:{settings.stack}::example::example:index:Service$aws:iam/role:Role::service" in urns


def test_names_are_made_with_a_random_suffix(deployed: Deployment) -> None:
    name, _, suffix = output(deployed, "table").rpartition("-")

    assert (name, len(suffix)) == ("state", 7)


def test_the_table_is_on_demand_with_both_keys(table: dict[str, Any]) -> None:
    keys = [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]

    assert (table["BillingModeSummary"]["BillingMode"], keys) == ("PAY_PER_REQUEST", [("pk", "HASH"), ("sk", "RANGE")])


def test_the_table_is_protected_against_deletion(table: dict[str, Any]) -> None:
    assert table["DeletionProtectionEnabled"] is True


def test_the_table_is_encrypted(table: dict[str, Any]) -> None:
    assert table["SSEDescription"]["Status"] == "ENABLED"


def test_the_table_expires_items(emulator: Emulator, deployed: Deployment) -> None:
    described = emulator.client("dynamodb").describe_time_to_live(TableName=output(deployed, "table"))

    assert described["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_the_table_can_be_restored_to_a_point_in_time(emulator: Emulator, deployed: Deployment) -> None:
    described = emulator.client("dynamodb").describe_continuous_backups(TableName=output(deployed, "table"))
    recovery = described["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]

    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_declared_item_is_in_the_table(emulator: Emulator, deployed: Deployment) -> None:
    key = {"pk": {"S": "greeting"}, "sk": {"S": "en"}}
    item = emulator.client("dynamodb").get_item(TableName=output(deployed, "table"), Key=key)["Item"]

    assert (item["text"], item["raw"]) == ({"S": "hello"}, {"B": b"\x00\x01"})


def test_default_tags_are_put_on_what_can_have_tags(emulator: Emulator, deployed: Deployment) -> None:
    tags = emulator.client("iam").list_role_tags(RoleName=output(deployed, "role"))["Tags"]

    assert {tag["Key"]: tag["Value"] for tag in tags} == {"app": "example", "team": "everybody"}


def test_a_resources_own_tag_wins_over_the_default(emulator: Emulator, deployed: Deployment) -> None:
    tags = emulator.client("sqs").list_queue_tags(QueueUrl=output(deployed, "work_url"))["Tags"]

    assert tags == {"app": "example", "team": "inference"}


def test_the_function_has_its_settings(function: dict[str, Any]) -> None:
    shown = {name: function[name] for name in ("Runtime", "Timeout", "MemorySize", "Architectures", "Handler")}

    assert shown == {
        "Runtime": "python3.13",
        "Timeout": 20,
        "MemorySize": 256,
        "Architectures": ["arm64"],
        "Handler": "main.handler",
    }


def test_an_output_reaches_the_environment_of_the_function(deployed: Deployment, function: dict[str, Any]) -> None:
    assert function["Environment"]["Variables"]["TABLE"] == output(deployed, "table")


def test_the_function_answers_through_its_url_with_its_layer(deployed: Deployment) -> None:
    answer = requests.post(f"{output(deployed, 'url')}route/", json={"cost": 1}, timeout=20)

    assert (answer.status_code, answer.headers["x-answer"], answer.json()) == (
        201,
        "yes",
        {"greeting": "hello", "path": "/route/", "body": '{"cost": 1}'},
    )


def test_operations_of_a_function_are_counted_under_its_name(emulator: Emulator, deployed: Deployment) -> None:
    before = emulator.operations()
    requests.post(output(deployed, "url"), timeout=20)
    during = emulator.operations() - before

    assert during == {
        Operation("Lambda.InvokeFunctionUrl", "anonymous"): 1,
        Operation("DynamoDB.UpdateItem", output(deployed, "function")): 1,
    }


def test_a_failed_asynchronous_event_lands_in_the_dead_letter_queue(emulator: Emulator, deployed: Deployment) -> None:
    emulator.client("lambda").invoke(FunctionName=output(deployed, "function"), InvocationType="Event", Payload=b'{"fail": true}')
    received = emulator.client("sqs").receive_message(QueueUrl=output(deployed, "failed_url"), WaitTimeSeconds=20)

    assert json.loads(received["Messages"][0]["Body"])["requestPayload"] == {"fail": True}


def test_a_role_policy_is_the_document_of_the_program(emulator: Emulator, deployed: Deployment) -> None:
    client, role = emulator.client("iam"), output(deployed, "role")
    name = client.list_role_policies(RoleName=role)["PolicyNames"][0]
    statements = client.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]

    assert statements[0]["Resource"].endswith(f":table/{output(deployed, 'table')}")


def test_a_managed_policy_is_attached(emulator: Emulator, deployed: Deployment) -> None:
    attached = emulator.client("iam").list_attached_role_policies(RoleName=output(deployed, "role"))

    assert [policy["PolicyName"] for policy in attached["AttachedPolicies"]] == ["AWSLambdaBasicExecutionRole"]


def test_the_log_group_keeps_logs_for_as_long_as_asked(emulator: Emulator, function: dict[str, Any]) -> None:
    groups = emulator.client("logs").describe_log_groups(logGroupNamePrefix=function["LoggingConfig"]["LogGroup"])

    assert [group["retentionInDays"] for group in groups["logGroups"]] == [7]


def test_the_alarm_watches_the_function(emulator: Emulator, deployed: Deployment) -> None:
    wanted = [{"Name": "FunctionName", "Value": output(deployed, "function")}]
    alarms = emulator.client("cloudwatch").describe_alarms(AlarmNamePrefix="errors-")["MetricAlarms"]

    assert [alarm["Threshold"] for alarm in alarms if alarm["Dimensions"] == wanted] == [0.5]


def test_the_dashboard_is_there(emulator: Emulator, deployed: Deployment, settings: StackSettings) -> None:
    assert deployed.resources
    board = emulator.client("cloudwatch").get_dashboard(DashboardName=f"overview-{settings.stack}")

    assert json.loads(board["DashboardBody"]) == {"widgets": []}


def test_the_schedule_invokes_the_function_every_minute(emulator: Emulator, deployed: Deployment) -> None:
    scheduled = next(resource for resource in deployed.resources if resource.type.endswith(":Schedule"))
    group, _, name = scheduled.id.partition("/")
    schedule = emulator.client("scheduler").get_schedule(Name=name, GroupName=group)

    assert (schedule["ScheduleExpression"], schedule["Target"]["Input"]) == ("rate(1 minute)", '{"endpoint": "llm"}')


def test_a_dead_letter_queue_is_behind_the_queue(emulator: Emulator, deployed: Deployment) -> None:
    attributes = emulator.client("sqs").get_queue_attributes(
        QueueUrl=output(deployed, "work_url"), AttributeNames=["RedrivePolicy", "VisibilityTimeout"]
    )["Attributes"]

    assert (json.loads(attributes["RedrivePolicy"])["maxReceiveCount"], attributes["VisibilityTimeout"]) == (3, "60")


def test_the_queue_policy_comes_from_the_policy_document(emulator: Emulator, deployed: Deployment) -> None:
    attributes = emulator.client("sqs").get_queue_attributes(QueueUrl=output(deployed, "work_url"), AttributeNames=["Policy"])[
        "Attributes"
    ]
    statement = json.loads(attributes["Policy"])["Statement"][0]

    assert statement["Principal"] == {"Service": "events.amazonaws.com"}


def test_random_values_reach_the_secret_and_stay_the_same(emulator: Emulator, deployed: Deployment) -> None:
    secret = emulator.client("secretsmanager").get_secret_value(SecretId=output(deployed, "secret_arn"))

    assert json.loads(secret["SecretString"])["password"] == output(deployed, "password")


def test_a_random_password_obeys_its_rules(deployed: Deployment) -> None:
    password = output(deployed, "password")

    assert (len(password), password.isalnum(), sum(char.isdigit() for char in password) >= 3) == (20, True, True)


def test_random_bytes_have_their_length(deployed: Deployment) -> None:
    assert len(bytes.fromhex(output(deployed, "seed_hex"))) == 32


def test_a_random_id_has_its_prefix(deployed: Deployment) -> None:
    assert (output(deployed, "token")[:2], len(output(deployed, "token"))) == ("t-", 18)


def test_the_release_was_invoked_at_creation(deployed: Deployment) -> None:
    assert json.loads(output(deployed, "released")) == {"noted": True}


def test_data_sources_are_answered(emulator: Emulator, deployed: Deployment) -> None:
    assert output(deployed, "place") == f"aws/{emulator.region}/{emulator.account_id}"


def test_secrets_among_the_outputs_are_known_as_secrets(deployed: Deployment) -> None:
    assert {name for name, value in deployed.outputs.items() if value.is_secret} == {"api_key", "password", "seed_hex"}


def test_a_secret_value_is_available(deployed: Deployment) -> None:
    assert output(deployed, "api_key") == "hg-secret"


def test_no_repr_shows_a_secret(deployed: Deployment) -> None:
    shown = repr(deployed.resources) + repr(deployed.outputs)

    assert not any(secret in shown for secret in ("hg-secret", output(deployed, "password")))
