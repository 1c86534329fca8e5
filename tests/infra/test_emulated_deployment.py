"""The program in the emulator, with IAM enforced: it deploys, its functions may do what they must, and it goes without a trace.

The functions' code is a probe that tries what it is told; the real code is deployed by the end-to-end tests.
"""

from __future__ import annotations

import json
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.program import main
from policies.stack_check import StackCheck
from sandbox.aws.deployment import Deployment, deploy
from sandbox.aws.emulator import Emulator, EmulatorSettings
from sandbox.aws.plan import ResourceEvent, Step
from tests.infra.recording import REGION
from tests.infra.stack_files import as_file

# As a release it needs the group's items and both secrets, and fails without them. Over a URL it says what it is refused.
PROBE = """
import json, os
from botocore.exceptions import ClientError
from botocore.session import Session

session = Session()
table, secrets = session.create_client("dynamodb"), session.create_client("secretsmanager")

def items(endpoint):
    values = {":pk": {"S": f"ENDPOINT#{endpoint}"}}
    found = table.query(TableName=os.environ["HEADGATE_TABLE"], KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)
    return sorted(item["sk"]["S"] for item in found["Items"])

def refused(operation):
    try:
        operation()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None

def handler(event, context):
    if "tf" not in event:
        token = os.environ.get("HEADGATE_WORKER_TOKEN_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none")
        answers = {"scan": refused(lambda: table.scan(TableName=os.environ["HEADGATE_TABLE"])),
                   "token": refused(lambda: secrets.get_secret_value(SecretId=token))}
        return {"statusCode": 200, "body": json.dumps(answers)}
    arns = [os.environ["HEADGATE_WORKER_TOKEN_SECRET_ARN"], os.environ["HEADGATE_MARKETPLACE_SECRET_ARN"]]
    known = [sorted(json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])) for arn in arns]
    seen = {"action": event["tf"]["action"], "items": items(event["endpoint"]), "secrets": known}
    if seen["items"] != ["AUTOGROUP#fast", "SPEC"]:
        raise RuntimeError(f"cannot release: {seen}")
    return seen
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen of a deployment and of its destruction."""

    created: Mapping[str, Any]
    answers: Mapping[str, Mapping[str, str | None]]
    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    code = tmp_path_factory.mktemp("code") / "functions.zip"
    with zipfile.ZipFile(code, "w") as archive:
        for part in ("route", "report", "scale", "rotate"):
            archive.writestr(f"functions/{part}/handler.py", PROBE)
    events: list[ResourceEvent] = []
    with Emulator(EmulatorSettings(region=REGION, enforce_iam=True)) as emulator:
        deployed = deploy(
            lambda: main(lambda _target: code),
            as_file(),
            cloud=emulator,
            check=StackCheck(),
            on_resource=events.append,
        )
        created = json.loads(outputs_of(deployed, "release-llm")["result"])
        answers = {part: ask(deployed.outputs[f"{part}_url"].value) for part in ("route", "report")}
        deployed.destroy(unprotect=True)
        deleted = [event.name for event in events if event.step is Step.DELETED]
        yield Observed(created=created, answers=answers, deleted=deleted, left=standing(emulator))


def outputs_of(deployed: Deployment, name: str) -> Mapping[str, Any]:
    (found,) = (resource for resource in deployed.resources if resource.name == name)
    return found.outputs


def ask(url: str) -> dict[str, str | None]:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - the emulator's own address
        return dict(json.loads(answer.read()))


def standing(emulator: Emulator) -> list[str]:
    """Name what still exists of everything that a stack declares."""
    return [
        *emulator.client("dynamodb").list_tables()["TableNames"],
        *(each["FunctionName"] for each in emulator.client("lambda").list_functions()["Functions"]),
        *(each["RoleName"] for each in emulator.client("iam").list_roles()["Roles"]),
        *(each["Name"] for each in emulator.client("secretsmanager").list_secrets()["SecretList"]),
        *(each["Name"] for each in emulator.client("scheduler").list_schedules()["Schedules"]),
        *(each["AlarmName"] for each in emulator.client("cloudwatch").describe_alarms()["MetricAlarms"]),
        *emulator.client("sqs").list_queues().get("QueueUrls", []),
    ]


def test_the_scale_function_reaches_its_group_and_its_secrets_when_it_is_created(observed: Observed) -> None:
    assert observed.created == {
        "action": "create",
        "items": ["AUTOGROUP#fast", "SPEC"],
        "secrets": [["secret"], ["api_key", "image_login", "secret_env"]],
    }


def test_the_public_functions_reach_their_own_secret_and_never_scan(observed: Observed) -> None:
    assert observed.answers == {
        "route": {"scan": "AccessDeniedException", "token": "AccessDeniedException"},
        "report": {"scan": "AccessDeniedException", "token": None},
    }


def test_a_destroy_releases_the_group_while_that_is_possible_and_leaves_nothing(observed: Observed) -> None:
    order = {name: observed.deleted.index(name) for name in ("schedule-llm", "route-url", "release-llm", "scale-function", "table")}

    assert sorted(order, key=order.__getitem__) in (
        ["schedule-llm", "route-url", "release-llm", "scale-function", "table"],
        ["route-url", "schedule-llm", "release-llm", "scale-function", "table"],
    )
    assert observed.left == []
