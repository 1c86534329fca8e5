"""One emulator a test process, with IAM enforced, and one deployment of the example program in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from sandbox.aws.deployment import Deployment, deploy
from sandbox.aws.emulator import Emulator, EmulatorSettings
from sandbox.aws.plan import ResourceEvent
from sandbox.aws.settings import StackSettings
from tests.sandbox.aws import example_program

SettingsFor = Callable[..., StackSettings]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(EmulatorSettings(enforce_iam=True)) as running:
        yield running


@pytest.fixture(scope="session")
def settings_for(emulator: Emulator) -> SettingsFor:
    """Make settings of a stack of its own, with a queue into which the example's function writes."""

    def make(**config: str) -> StackSettings:
        stack = f"t{uuid.uuid4().hex[:8]}"
        outbox = emulator.client("sqs").create_queue(QueueName=f"outbox-{stack}")["QueueUrl"]
        return StackSettings(
            project="example",
            stack=stack,
            config={
                "aws:region": emulator.region,
                "aws:defaultTags": '{"tags": {"app": "example", "team": "everybody"}}',
                "example:outbox": outbox,
                "example:apiKey": "hg-secret",
                **{f"example:{key}": value for key, value in config.items()},
            },
            secret_keys=frozenset({"example:apiKey"}),
        )

    return make


@pytest.fixture(scope="session")
def events() -> list[ResourceEvent]:
    """What the deployment of `deployed` reported."""
    return []


@pytest.fixture(scope="session")
def settings(settings_for: SettingsFor) -> StackSettings:
    """Give the settings of `deployed`."""
    return settings_for()


@pytest.fixture(scope="session")
def deployed(emulator: Emulator, settings: StackSettings, events: list[ResourceEvent]) -> Deployment:
    """Deploy the example once; tests look at it and leave it as it is."""
    return deploy(example_program.main, settings, cloud=emulator, on_resource=events.append)
