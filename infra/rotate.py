"""The rotate function: the only one that may write the signing keys, and the item that shows their public halves.

The deployment invokes it once, which makes the first keys; nobody may ask for a ticket or a key before. From then on the schedule
asks it every hour what is due, and a person may ask for more (docs/operations.md).
"""

from __future__ import annotations

import json
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.credentials import Credentials
from infra.dead_letters import DeadLetters
from infra.function import Foundation, Function, FunctionShape
from infra.permissions import Statement
from infra.state_table import StateTable

MEMORY_MB: Final = 512  # an RSA key is a search for primes, which waits for the processor
TIMEOUT_S: Final = 60


def declare_rotate(foundation: Foundation, *, table: StateTable, credentials: Credentials, dead_letters: DeadLetters) -> Function:
    """Declare the function that makes keys and lets one follow another."""
    shape = FunctionShape(
        part="rotate",
        description="Makes, publishes and replaces the keys that sign tickets",
        memory_mb=MEMORY_MB,
        timeout_s=TIMEOUT_S,
        environment={
            "HEADGATE_SIGNING_SECRET_ARN": credentials.signing_arn,
            "HEADGATE_ROTATION_DAYS": str(foundation.settings.signing_key_rotation_days),
        },
        statements=(
            Statement(
                sid="KeepSigningKeys",
                actions=("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
                resource=credentials.signing_arn,
            ),
            Statement(sid="ShowPublicKeys", actions=("dynamodb:PutItem",), resource=table.arn, leading_keys=("PUBLIC-KEYS#",)),
        ),
        failures_arn=dead_letters.arn,
    )
    return Function(foundation, shape)


def declare_first_keys(
    rotate: Function, *, table: StateTable, credentials: Credentials, opts: pulumi.ResourceOptions
) -> aws.lambda_.Invocation:
    """Have the first keys made when the stack, or its secret, is created. What depends on it comes after there are keys."""
    return aws.lambda_.Invocation(
        "first-keys",
        function_name=rotate.name,
        input=json.dumps({"command": "advance"}),
        triggers={"secret": credentials.signing_arn},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[rotate, table])),
    )
