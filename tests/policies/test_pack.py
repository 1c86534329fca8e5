"""The pack as Pulumi's engine meets it: a process that serves every rule, and refuses what breaks one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # the SDK brings it without stubs
import pytest
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped] # as grpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policies.rules import LOG_GROUP, RESOURCE_RULES, STACK_RULES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """A connection to the running pack, as the engine has it."""
    # Unbuffered, as Pulumi runs it: the engine waits for the port on the first line.
    pack = subprocess.Popen([sys.executable, "-u", "policies"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert pack.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{int(pack.stdout.readline())}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        pack.kill()
        pack.communicate()


def analyzed(engine: Any, properties: dict[str, Any]) -> list[Any]:
    """Return what the pack says of a log group with these properties."""
    wire = struct_pb2.Struct()
    wire.update(properties)
    urn = f"urn:pulumi:test::headgate::{LOG_GROUP}::logs"
    request = analyzer_pb2.AnalyzeRequest(type=LOG_GROUP, properties=wire, urn=urn, name="logs")
    return list(engine.Analyze(request).diagnostics)


def test_every_rule_is_mandatory(engine: Any) -> None:
    policies = engine.GetAnalyzerInfo(empty_pb2.Empty()).policies

    mandatory = {policy.name for policy in policies if policy.enforcementLevel == analyzer_pb2.MANDATORY}
    assert mandatory == {rule.name for rule in (*RESOURCE_RULES, *STACK_RULES)}


def test_a_resource_that_breaks_a_rule_is_refused(engine: Any) -> None:
    (diagnostic,) = analyzed(engine, {"name": "logs"})

    assert (diagnostic.policyName, diagnostic.enforcementLevel) == ("logs-expire", analyzer_pb2.MANDATORY)
    assert "it keeps its logs for ever. Set retention_in_days." in diagnostic.message


def test_a_resource_that_breaks_none_passes(engine: Any) -> None:
    assert analyzed(engine, {"name": "logs", "retentionInDays": 30}) == []


def test_a_value_that_a_preview_does_not_know_is_not_judged(engine: Any) -> None:
    unknown_number = "3eeb2bf0-c639-47a8-9e75-3b44932eb421"  # Pulumi's sentinel

    assert analyzed(engine, {"name": "logs", "retentionInDays": unknown_number}) == []
