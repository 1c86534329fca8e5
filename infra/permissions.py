"""IAM statements as values: what one principal may do, exactly.

No statement names a wildcard action or resource. Access to the table is narrowed further by the leading part of the partition
key (`dynamodb:LeadingKeys`), so that a function reaches its own kinds of item and no other, whatever its code does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi

POLICY_VERSION: Final = "2012-10-17"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One allowance. `leading_keys` are prefixes of partition keys, such as `FLEET#`; empty where the resource is no table."""

    sid: str
    actions: tuple[str, ...]
    resource: pulumi.Input[str]
    leading_keys: tuple[str, ...] = ()


def policy_document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """Return the JSON of a policy that allows exactly `statements`."""
    return pulumi.Output.json_dumps({"Version": POLICY_VERSION, "Statement": [_wire(statement) for statement in statements]})


def trust(service: str, *, conditions: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Return the JSON of a policy by which `service` (such as `lambda.amazonaws.com`) may take a role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": POLICY_VERSION, "Statement": [statement | ({"Condition": conditions} if conditions else {})]})


def _wire(statement: Statement) -> dict[str, object]:
    wire: dict[str, object] = {
        "Sid": statement.sid,
        "Effect": "Allow",
        "Action": list(statement.actions),
        "Resource": statement.resource,
    }
    if statement.leading_keys:
        # "ForAllValues" since a batch names several keys: every one of them has to fit.
        patterns = [f"{prefix}*" for prefix in statement.leading_keys]
        wire["Condition"] = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": patterns}}
    return wire
