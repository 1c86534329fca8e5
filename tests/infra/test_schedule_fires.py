"""A schedule that the program declares, fired by the emulator's scheduler under IAM, reaches the real scaler, which goes by it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.program import main
from sandbox.aws.deployment import deploy
from sandbox.aws.emulator import Emulator, EmulatorSettings
from tests.infra.recording import REGION
from tests.infra.stack_files import as_file, endpoint
from tests.waiting import until

# Where nobody listens: what the marketplace lists and offers is unknown then, which keeps nobody from deciding.
NO_MARKET = "http://127.0.0.1:9"
CLOCK = {"GroupName": "headgate-test", "Name": "llm.at.always"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    always = {"cron": "* * * * ? *", "set": {"min_load": 123}}
    configured = as_file(endpoints={"llm": endpoint(schedules={"always": always})}, marketplaceUrl=NO_MARKET, packageTarget="local")
    with Emulator(EmulatorSettings(region=REGION, enforce_iam=True)) as running:
        deploy(main, configured, cloud=running)
        yield running


def decisions(emulator: Emulator) -> list[Mapping[str, Any]]:
    """Return the records of the group's decisions."""
    found = emulator.client("dynamodb").query(
        TableName="headgate-test",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "DECISION#llm"}},
    )
    return [json.loads(item["record"]["S"]) for item in found["Items"]]


def test_a_schedule_fires_and_the_decision_goes_by_what_it_sets(emulator: Emulator) -> None:
    """Its time is set to now: a cron expression would come up to a minute later, and the group's own clock with it."""
    client = emulator.client("scheduler")
    declared = client.get_schedule(**CLOCK)
    assert decisions(emulator) == []

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    kept = {name: declared[name] for name in ("FlexibleTimeWindow", "Target")}
    client.update_schedule(**CLOCK, **kept, ScheduleExpression=f"at({now})")

    (decision, *_) = until(lambda: decisions(emulator), deadline_s=20.0, what="a decision")
    assert declared["ScheduleExpression"] == "cron(* * * * ? *)"
    assert decision["facts"]["scheduled_min_load"] == 123.0
    assert decision["sentences"][-1].startswith("Schedule always holds since ")
