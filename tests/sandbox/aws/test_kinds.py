"""What kinds ask of AWS where the emulator does not show it, and values that need no AWS."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest

from sandbox.aws.inputs import REGION
from sandbox.aws.resources import KINDS
from sandbox.aws.resources.kind import Kind
from tests.sandbox.aws.recording_cloud import RecordingCloud, create

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


@pytest.fixture
def cloud() -> RecordingCloud:
    return RecordingCloud()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_honours_only_what_its_provider_knows(kind: Kind) -> None:
    assert kind.honoured <= kind.input_names - {REGION}


def test_an_alarm_on_an_expression_asks_for_its_metrics(cloud: RecordingCloud) -> None:
    """The emulator keeps such an alarm and drops its metrics."""
    metric = {
        "namespace": "AWS/Lambda",
        "metricName": "Errors",
        "period": 60,
        "stat": "Sum",
        "dimensions": {"FunctionName": "route"},
    }
    create(cloud, ALARM, {"metricQueries": [{"id": "e1", "metric": metric}, {"id": "x", "expression": "e1 * 2"}]})

    assert cloud.asked[0][1]["Metrics"] == [
        {
            "Id": "e1",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": "Errors",
                    "Dimensions": [{"Name": "FunctionName", "Value": "route"}],
                },
                "Period": 60,
                "Stat": "Sum",
            },
        },
        {"Id": "x", "Expression": "e1 * 2"},
    ]


def test_a_name_prefix_is_kept(cloud: RecordingCloud) -> None:
    made = create(cloud, "aws:cloudwatch/logGroup:LogGroup", {"namePrefix": "/app/"})

    assert made.id.startswith("/app/")


def test_a_log_groups_arn_has_the_providers_form(cloud: RecordingCloud) -> None:
    """Without the `:*` that the API puts at its end."""
    made = create(cloud, "aws:cloudwatch/logGroup:LogGroup", {"name": "/app"})

    assert made.outputs["arn"] == "arn:aws:logs:eu-central-1:123456789012:log-group:/app"


@pytest.mark.parametrize("resource_type", ["random:index/randomString:RandomString", "random:index/randomPassword:RandomPassword"])
def test_a_random_string_draws_from_the_classes_that_are_on(cloud: RecordingCloud, resource_type: str) -> None:
    inputs: dict[str, Any] = {"length": 64, "special": False, "upper": False, "minLower": 2}
    drawn = create(cloud, resource_type, inputs).outputs["result"]

    assert (len(drawn), set(drawn) - set(string.ascii_lowercase + string.digits)) == (64, set())


def test_special_characters_can_be_chosen(cloud: RecordingCloud) -> None:
    inputs: dict[str, Any] = {"length": 12, "minSpecial": 12, "overrideSpecial": "!"}

    assert create(cloud, "random:index/randomString:RandomString", inputs).outputs["result"] == "!" * 12


def test_random_bytes_are_the_same_in_both_forms(cloud: RecordingCloud) -> None:
    outputs = create(cloud, "random:index/randomBytes:RandomBytes", {"length": 16}).outputs

    assert base64.b64decode(outputs["base64"]) == bytes.fromhex(outputs["hex"])


def test_a_random_id_is_the_same_in_hex_and_decimal(cloud: RecordingCloud) -> None:
    outputs = create(cloud, "random:index/randomId:RandomId", {"byteLength": 8}).outputs

    assert int(outputs["dec"]) == int(outputs["hex"], 16)


def test_random_values_differ(cloud: RecordingCloud) -> None:
    made = {create(cloud, "random:index/randomBytes:RandomBytes", {"length": 16}).outputs["hex"] for _ in range(2)}

    assert len(made) == 2
