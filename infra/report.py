"""The report function: one write a report, and the records of finished requests to forget."""

from __future__ import annotations

from typing import Final

import pulumi

from infra.credentials import Credentials
from infra.function import Foundation, Function, FunctionShape
from infra.permissions import Statement

MEMORY_MB: Final = 256
TIMEOUT_S: Final = 10


def declare_report(foundation: Foundation, *, table_arn: pulumi.Output[str], credentials: Credentials) -> Function:
    """Declare the function that workers speak to."""
    shape = FunctionShape(
        part="report",
        description="Takes what workers report",
        memory_mb=MEMORY_MB,
        timeout_s=TIMEOUT_S,
        environment={"HEADGATE_WORKER_TOKEN_SECRET_ARN": credentials.worker_token_arn},
        statements=(
            Statement(sid="RecordReports", actions=("dynamodb:UpdateItem",), resource=table_arn, leading_keys=("FLEET#",)),
            Statement(sid="ReadPublicKeys", actions=("dynamodb:GetItem",), resource=table_arn, leading_keys=("PUBLIC-KEYS#",)),
            Statement(sid="ForgetRequests", actions=("dynamodb:DeleteItem",), resource=table_arn, leading_keys=("WAITING#",)),
            Statement(sid="ReadTokenSecret", actions=("secretsmanager:GetSecretValue",), resource=credentials.worker_token_arn),
        ),
    )
    return Function(foundation, shape)
