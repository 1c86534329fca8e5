"""What the sandbox refuses, and that it does so before anything is created wherever it can know."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence

import pulumi
import pulumi_aws as aws
import pulumi_random as random_provider
import pytest

from sandbox.aws.deployment import deploy
from sandbox.aws.emulator import Emulator, EmulatorSettings
from sandbox.aws.errors import (
    DeploymentFailed,
    EmulatorFailed,
    InvalidInputs,
    StackRefused,
    UnsupportedResource,
)
from sandbox.aws.plan import PlannedResource, ResourceEvent, Step
from tests.sandbox.aws.conftest import SettingsFor
from tests.sandbox.aws.example_program import TRUST

Program = Callable[[], None]


def unknown_type() -> None:
    aws.s3.Bucket("data")


def misspelt_block() -> None:
    aws.dynamodb.Table("t", hash_key="pk", attributes=[{"nmae": "pk", "type": "S"}])  # type: ignore[list-item]


def ignored_input() -> None:
    aws.lambda_.Function("f", role="arn:aws:iam::1:role/r", vpc_config={"subnet_ids": [], "security_group_ids": []})


def other_region() -> None:
    aws.sqs.Queue("q", region="ap-southeast-2")


def explicit_provider() -> None:
    aws.Provider("elsewhere", region="ap-southeast-2")


def unknown_data_source() -> None:
    aws.get_availability_zones()


def lookup_of_existing() -> None:
    aws.sqs.Queue.get("there", "http://127.0.0.1/queue")


def imported() -> None:
    aws.sqs.Queue("q", opts=pulumi.ResourceOptions(import_="http://127.0.0.1/queue"))


def declared_twice() -> None:
    aws.sqs.Queue("q")
    aws.sqs.Queue("q")


def raising() -> None:
    aws.sqs.Queue("q")
    raise RuntimeError("the program's own words")


@pytest.mark.parametrize(
    ("program", "fault", "words"),
    [
        (unknown_type, UnsupportedResource, "resource type aws:s3/bucket:Bucket"),
        (misspelt_block, InvalidInputs, r"`attributes\[0\]\.nmae` \(did you mean `name`\?\)"),
        (ignored_input, UnsupportedResource, "does not honour `vpcConfig`"),
        (other_region, UnsupportedResource, "one region"),
        (explicit_provider, UnsupportedResource, "aws:defaultTags"),
        (unknown_data_source, UnsupportedResource, "getAvailabilityZones"),
        (lookup_of_existing, UnsupportedResource, "cannot read the existing"),
        (imported, UnsupportedResource, "import_"),
        (declared_twice, InvalidInputs, "twice"),
        (raising, RuntimeError, "the program's own words"),
    ],
)
def test_a_preview_refuses(
    emulator: Emulator, settings_for: SettingsFor, program: Program, fault: type[Exception], words: str
) -> None:
    events: list[ResourceEvent] = []

    with pytest.raises(fault, match=words):
        deploy(program, settings_for(), cloud=emulator, on_resource=events.append)

    assert Step.CREATING not in {event.step for event in events}


def untrusted_role() -> None:
    role = aws.iam.Role("nobody", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": []}))
    code = pulumi.AssetArchive({"main.py": pulumi.StringAsset("")})
    aws.lambda_.Function("f", role=role.arn, runtime="python3.13", handler="main.handler", code=code)


def reserved_variable() -> None:
    role = aws.iam.Role("worker", assume_role_policy=TRUST)
    code = pulumi.AssetArchive({"main.py": pulumi.StringAsset("")})
    variables = aws.lambda_.FunctionEnvironmentArgs(variables={"AWS_REGION": "here"})
    aws.lambda_.Function("f", role=role.arn, runtime="python3.13", handler="main.handler", code=code, environment=variables)


def impossible_schedule() -> None:
    role = aws.iam.Role("worker", assume_role_policy=TRUST)
    aws.scheduler.Schedule(
        "often",
        schedule_expression="rate(10 seconds)",
        flexible_time_window={"mode": "OFF"},
        target={"arn": "arn:aws:lambda:x", "role_arn": role.arn},
    )


def policy_that_is_not_json() -> None:
    role = aws.iam.Role("worker", assume_role_policy=TRUST)
    aws.iam.RolePolicy("worker", role=role.name, policy="{")


def item_without_its_key() -> None:
    aws.dynamodb.TableItem("i", table_name="absent", hash_key="pk", item='{"sk": {"S": "x"}}')


def refused_by_aws() -> None:
    aws.dynamodb.TableItem("i", table_name="absent", hash_key="pk", item='{"pk": {"S": "x"}}')


def built_from_an_output_that_is_not_given() -> None:
    password = random_provider.RandomPassword("p", length=8)
    aws.sqs.Queue("q", tags={"hash": password.bcrypt_hash})


def exports_an_output_that_is_not_given() -> None:
    pulumi.export("hash", random_provider.RandomPassword("p", length=8).bcrypt_hash)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (untrusted_role, "cannot be assumed by lambda.amazonaws.com"),
        (reserved_variable, "AWS_REGION"),
        (impossible_schedule, r"rate\(10 seconds\)"),
        (policy_that_is_not_json, "`policy` is not JSON"),
        (item_without_its_key, "lacks its key pk"),
        (refused_by_aws, "TableItem::i.*ResourceNotFoundException"),
        (built_from_an_output_that_is_not_given, "`tags.hash` is built from an output"),
        (exports_an_output_that_is_not_given, "exports built from an output.*: hash"),
    ],
)
def test_an_update_fails_with_the_name_of_the_resource(
    emulator: Emulator, settings_for: SettingsFor, program: Program, words: str
) -> None:
    with pytest.raises(DeploymentFailed, match=words):
        deploy(program, settings_for(), cloud=emulator)


def two_queues() -> None:
    first = aws.sqs.Queue("first")
    aws.sqs.Queue("second", tags={"of": first.arn})


def test_what_a_failed_update_made_can_be_destroyed(emulator: Emulator, settings_for: SettingsFor) -> None:
    def program() -> None:
        queue = aws.sqs.Queue("made")
        aws.sqs.QueuePolicy("broken", queue_url=queue.url, policy="{")

    with pytest.raises(DeploymentFailed) as raised:
        deploy(program, settings_for(), cloud=emulator)
    partial = raised.value.partial
    made = [resource.name for resource in partial.resources]
    partial.destroy()

    assert (made, partial.resources) == (["made"], ())


def test_a_violation_stops_the_stack_before_anything_is_created(emulator: Emulator, settings_for: SettingsFor) -> None:
    events: list[ResourceEvent] = []

    with pytest.raises(StackRefused, match="first has no encryption"):
        deploy(
            two_queues,
            settings_for(),
            cloud=emulator,
            check=lambda resources: [f"{resources[0].name} has no encryption"],
            on_resource=events.append,
        )

    assert {event.step for event in events} == {Step.PLANNED}


def test_a_resource_is_judged_whole_before_it_is_created(emulator: Emulator, settings_for: SettingsFor) -> None:
    """In the preview all at once, some with unknown values; later those again, complete."""
    seen: list[list[tuple[str, bool]]] = []

    def check(resources: Sequence[PlannedResource]) -> Sequence[str]:
        seen.append(sorted((resource.name, resource.is_known) for resource in resources))
        return ()

    deploy(two_queues, settings_for(), cloud=emulator, check=check)

    assert seen == [[("first", True), ("second", False)], [("second", True)]]


def test_a_violation_seen_only_in_the_update_stops_it_there(emulator: Emulator, settings_for: SettingsFor) -> None:
    def check(resources: Sequence[PlannedResource]) -> Sequence[str]:
        return ["too late"] if [resource.name for resource in resources] == ["second"] else ()

    with pytest.raises(DeploymentFailed, match="too late") as raised:
        deploy(two_queues, settings_for(), cloud=emulator, check=check)

    assert [resource.name for resource in raised.value.partial.resources] == ["first"]


def test_the_program_knows_preview_from_update(emulator: Emulator, settings_for: SettingsFor) -> None:
    runs: list[bool] = []

    deploy(lambda: runs.append(pulumi.runtime.is_dry_run()), settings_for(), cloud=emulator)

    assert runs == [True, False]


def test_the_preview_knows_no_output_of_a_resource(emulator: Emulator, settings_for: SettingsFor) -> None:
    known: list[str] = []

    def program() -> None:
        aws.sqs.Queue("q").arn.apply(lambda _: known.append("update" if not pulumi.runtime.is_dry_run() else "preview"))

    deploy(program, settings_for(), cloud=emulator)

    assert known == ["update"]


def test_nothing_of_a_run_is_left_in_the_process(emulator: Emulator, settings_for: SettingsFor) -> None:
    before = pulumi.get_stack(), pulumi.Config("example").get("apiKey")

    deploy(two_queues, settings_for(), cloud=emulator)

    assert (pulumi.get_stack(), pulumi.Config("example").get("apiKey")) == before


def test_a_stack_for_another_region_is_refused(emulator: Emulator, settings_for: SettingsFor) -> None:
    settings = settings_for()
    config = {**settings.config, "aws:region": "ap-southeast-2"}

    with pytest.raises(UnsupportedResource, match="ap-southeast-2"):
        deploy(two_queues, type(settings)(project="example", stack="t", config=config), cloud=emulator)


def test_the_death_of_the_emulator_explains_a_failed_update(settings_for: SettingsFor) -> None:
    with Emulator(EmulatorSettings()) as dying:

        def program() -> None:
            if not pulumi.runtime.is_dry_run():
                os.kill(dying.pid, signal.SIGKILL)
            aws.sqs.Queue("q")

        with pytest.raises(EmulatorFailed, match="SIGKILL"):
            deploy(program, settings_for(), cloud=dying)
