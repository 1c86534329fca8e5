"""What goes when: the order as a pure function, and whole stacks taken down in the emulator."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pytest
from botocore.exceptions import ClientError

from sandbox.aws.deployment import Deployment, deploy
from sandbox.aws.destruction import next_to_delete
from sandbox.aws.emulator import Emulator
from sandbox.aws.errors import DestroyStopped, ResourceProtected
from sandbox.aws.plan import Resource, ResourceEvent, Step
from sandbox.aws.settings import StackSettings
from tests.sandbox.aws import example_program
from tests.sandbox.aws.conftest import SettingsFor

INVOCATION = "aws:lambda/invocation:Invocation"
QUEUE = "aws:sqs/queue:Queue"


def resource(urn: str, *, needs: tuple[str, ...] = (), parent: str = "", kind: str = QUEUE) -> Resource:
    return Resource(
        urn=urn,
        type=kind,
        name=urn,
        parent=parent,
        dependencies=frozenset(needs),
        protect=False,
        retain=False,
        inputs={},
        secret_inputs=frozenset(),
        is_known=True,
        id=urn,
        outputs={},
    )


def order_of(*resources: Resource) -> list[list[str]]:
    standing = {entry.urn: entry for entry in resources}
    order = []
    while standing:
        order.append([entry.urn for entry in next_to_delete(standing)])
        for urn in order[-1]:
            del standing[urn]
    return order


def test_a_resource_goes_before_what_it_depends_on() -> None:
    assert order_of(resource("a"), resource("b", needs=("a",)), resource("c", needs=("b",))) == [["c"], ["b"], ["a"]]


def test_a_child_goes_before_its_parent() -> None:
    assert order_of(resource("child", parent="parent"), resource("parent")) == [["child"], ["parent"]]


def test_an_invocation_goes_after_everything_that_it_does_not_hold() -> None:
    release = resource("release", needs=("function",), kind=INVOCATION)

    assert order_of(resource("function"), release, resource("policy")) == [["policy"], ["release"], ["function"]]


def test_an_invocation_goes_before_what_it_depends_on() -> None:
    release = resource("release", needs=("function", "policy"), kind=INVOCATION)

    assert order_of(resource("function"), resource("policy"), release) == [["release"], ["policy"], ["function"]]


def test_invocations_go_together() -> None:
    releases = [resource(urn, needs=("function",), kind=INVOCATION) for urn in ("one", "two")]

    assert order_of(resource("function"), *releases) == [["one", "two"], ["function"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """The example, deployed and destroyed again, with what was reported and what its function was told."""

    deployment: Deployment
    events: list[ResourceEvent]
    told: list[dict[str, object]]


@pytest.fixture(scope="module")
def destroyed(emulator: Emulator, settings_for: SettingsFor) -> Destroyed:
    settings, events = settings_for(), list[ResourceEvent]()
    deployment = deploy(example_program.main, settings, cloud=emulator, on_resource=events.append)
    deployment.destroy(unprotect=True)
    return Destroyed(deployment=deployment, events=events, told=messages(emulator, settings, count=2))


def messages(emulator: Emulator, settings: StackSettings, *, count: int) -> list[dict[str, object]]:
    """Receive what the example's function wrote down, in the order in which it did."""
    received: list[dict[str, object]] = []
    while len(received) < count:
        answer = emulator.client("sqs").receive_message(
            QueueUrl=settings.config["example:outbox"], MaxNumberOfMessages=10, WaitTimeSeconds=5
        )
        received += [json.loads(message["Body"]) for message in answer["Messages"]]
    return received


def test_nothing_stands_after_a_destroy(destroyed: Destroyed) -> None:
    assert destroyed.deployment.resources == ()


def test_a_table_with_deletion_protection_is_gone_too(emulator: Emulator, destroyed: Destroyed) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        emulator.client("dynamodb").describe_table(TableName=destroyed.deployment.outputs["table"].value)


def test_the_function_is_gone(emulator: Emulator, destroyed: Destroyed) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        emulator.client("lambda").get_function(FunctionName=destroyed.deployment.outputs["function"].value)


def test_every_deletion_is_reported(destroyed: Destroyed) -> None:
    urns = {step: sorted(event.urn for event in destroyed.events if event.step is step) for step in (Step.CREATED, Step.DELETED)}

    assert urns[Step.DELETED] == urns[Step.CREATED]


def test_the_release_is_told_create_and_delete_in_the_providers_form(destroyed: Destroyed) -> None:
    """Source: `buildInput` of the provider's invocation resource, see `lambda_use`."""
    given = {"endpoint": "llm"}

    assert destroyed.told == [
        {**given, "tf": {"action": "create", "prev_input": None}},
        {**given, "tf": {"action": "delete", "prev_input": given}},
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The example after a destroy that its release refused."""

    deployment: Deployment
    error: DestroyStopped


@pytest.fixture
def stopped(emulator: Emulator, settings_for: SettingsFor) -> Stopped:
    deployment = deploy(example_program.main, settings_for(failOn="delete"), cloud=emulator)
    with pytest.raises(DestroyStopped) as raised:
        deployment.destroy(unprotect=True)
    return Stopped(deployment=deployment, error=raised.value)


def test_a_destroy_stopped_by_its_release_can_be_repeated(emulator: Emulator, stopped: Stopped) -> None:
    """The function and all that it needs still stand, so that what refused can be put right."""
    assert "refused by the test" in str(stopped.error)
    client, function = emulator.client("lambda"), stopped.deployment.outputs["function"].value
    variables = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=function, Environment={"Variables": {**variables, "FAIL_ON": ""}})
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.1})

    stopped.deployment.destroy(unprotect=True)

    assert stopped.deployment.resources == ()


def protected_program() -> None:
    queue = aws.sqs.Queue("kept", opts=pulumi.ResourceOptions(protect=True))
    aws.sqs.Queue("dependent", opts=pulumi.ResourceOptions(depends_on=[queue]))


def test_a_protected_resource_refuses_the_destroy_before_anything_goes(emulator: Emulator, settings_for: SettingsFor) -> None:
    deployment = deploy(protected_program, settings_for(), cloud=emulator)

    with pytest.raises(ResourceProtected, match="Queue::kept"):
        deployment.destroy()

    assert len(deployment.resources) == 2


def retaining_program() -> None:
    queue = aws.sqs.Queue("kept", opts=pulumi.ResourceOptions(retain_on_delete=True))
    pulumi.export("url", queue.url)


def test_a_retained_resource_stays_in_the_cloud(emulator: Emulator, settings_for: SettingsFor) -> None:
    deployment = deploy(retaining_program, settings_for(), cloud=emulator)

    deployment.destroy()

    url = deployment.outputs["url"].value
    assert emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])


REFUSED_WITHOUT_POLICY = """
import os
from botocore.session import Session
table = Session().create_client("dynamodb")
def handler(event, context):
    print("asked")
    if event["tf"]["action"] == "delete":
        table.get_item(TableName=os.environ["TABLE"], Key={"pk": {"S": "x"}})
"""


def forgetful_program() -> None:
    """Forget to say that the release needs the role's policy."""
    table = aws.dynamodb.Table("state", billing_mode="PAY_PER_REQUEST", hash_key="pk", attributes=[{"name": "pk", "type": "S"}])
    role = aws.iam.Role("worker", assume_role_policy=example_program.TRUST)
    statement = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": table.arn}
    aws.iam.RolePolicy(
        "worker", role=role.name, policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    function = aws.lambda_.Function(
        "worker",
        role=role.arn,
        runtime="python3.13",
        handler="main.handler",
        code=pulumi.AssetArchive({"main.py": pulumi.StringAsset(REFUSED_WITHOUT_POLICY)}),
        environment={"variables": {"TABLE": table.name}},
        timeout=20,
    )
    aws.lambda_.Invocation("release", function_name=function.name, input="{}", lifecycle_scope="CRUD")


def test_a_release_that_forgot_what_it_needs_fails_every_time(emulator: Emulator, settings_for: SettingsFor) -> None:
    deployment = deploy(forgetful_program, settings_for(), cloud=emulator)

    with pytest.raises(DestroyStopped, match="AccessDenied"):
        deployment.destroy()
