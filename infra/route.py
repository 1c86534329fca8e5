"""The route function: what it may read and write, and how it is told about the rest.

It runs on a client's path, so it has the memory of a third of a core: less would make a cold start slower than it makes it cheaper.
"""

from __future__ import annotations

from typing import Final

import pulumi

from infra.credentials import Credentials
from infra.function import Foundation, Function, FunctionShape
from infra.permissions import Statement

MEMORY_MB: Final = 512
TIMEOUT_S: Final = 10  # what a Vast client waits for a route


def declare_route(foundation: Foundation, *, table_arn: pulumi.Output[str], credentials: Credentials, scale: Function) -> Function:
    """Declare the function that hands out tickets."""
    shape = FunctionShape(
        part="route",
        description="Hands a client a signed route to a worker",
        memory_mb=MEMORY_MB,
        timeout_s=TIMEOUT_S,
        environment={
            "HEADGATE_SIGNING_SECRET_ARN": credentials.signing_arn,
            "HEADGATE_SCALE_FUNCTION": scale.name,
        },
        statements=(
            Statement(
                sid="ReadKeysGroupsAndRequests",
                actions=("dynamodb:GetItem",),
                resource=table_arn,
                leading_keys=("KEY#", "ENDPOINT#", "WAITING#", "PUBLIC-KEYS#"),
            ),
            Statement(
                sid="ListWorkersRequestsAndWhatPeopleRead",
                actions=("dynamodb:Query",),
                resource=table_arn,
                leading_keys=("FLEET#", "WAITING#", "ENDPOINT#", "DECISION#"),
            ),
            Statement(
                sid="AssignLoadKeepLimitsAndAskForUpdates",
                actions=("dynamodb:UpdateItem",),
                resource=table_arn,
                leading_keys=("FLEET#", "LIMIT#", "UPDATE#"),
            ),
            Statement(
                sid="RecordRequests",
                actions=("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
                resource=table_arn,
                leading_keys=("WAITING#",),
            ),
            Statement(sid="ReadSigningKeys", actions=("secretsmanager:GetSecretValue",), resource=credentials.signing_arn),
            Statement(sid="WakeScale", actions=("lambda:InvokeFunction",), resource=scale.arn),
        ),
    )
    return Function(foundation, shape)
