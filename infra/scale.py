"""The scale function: the one that rents, and so the one that holds the marketplace's key.

Nobody can reach it but the schedules, the route function and the releases: it has no URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

from infra.credentials import Credentials
from infra.dead_letters import DeadLetters
from infra.function import Foundation, Function, FunctionShape
from infra.permissions import Statement

MEMORY_MB: Final = 1024
TIMEOUT_S: Final = 300  # for a release; a busy group is ticked for most of a minute only, until the next schedule event


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleNeeds:
    """What the scale function is connected to."""

    table_arn: pulumi.Output[str]
    credentials: Credentials
    report_url: pulumi.Output[str]
    dead_letters: DeadLetters


def declare_scale(foundation: Foundation, needs: ScaleNeeds) -> Function:
    """Declare the function that decides about fleets and carries it out."""
    shape = FunctionShape(
        part="scale",
        description="Rents, starts, stops and destroys workers",
        memory_mb=MEMORY_MB,
        timeout_s=TIMEOUT_S,
        environment={
            "HEADGATE_WORKER_TOKEN_SECRET_ARN": needs.credentials.worker_token_arn,
            "HEADGATE_MARKETPLACE_SECRET_ARN": needs.credentials.marketplace_arn,
            "HEADGATE_MARKETPLACE_URL": foundation.settings.marketplace_url,
            "HEADGATE_MARKETPLACE_PACE": str(foundation.settings.marketplace_pace),
            "HEADGATE_REPORT_URL": needs.report_url,
            "HEADGATE_TICK_INTERVAL_S": str(foundation.settings.tick_interval_s),
            "HEADGATE_RENT_CONFIRM_S": str(foundation.settings.rent_confirm_s),
            "HEADGATE_CREDIT_HOURS_MIN": str(foundation.settings.credit_alarm_hours),
        },
        statements=(*_table_statements(needs.table_arn), *_secret_statements(needs.credentials)),
        failures_arn=needs.dead_letters.arn,
    )
    return Function(foundation, shape)


def _table_statements(table_arn: pulumi.Output[str]) -> tuple[Statement, ...]:
    # Every write but the lease's own is a transaction that checks the lease: it needs the actions of its steps.
    return (
        Statement(
            sid="ReadGroups",
            actions=("dynamodb:Query",),
            resource=table_arn,
            leading_keys=("ENDPOINT#", "FLEET#", "WAITING#", "UPDATE#"),
        ),
        Statement(
            sid="HoldLeases",
            actions=("dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"),
            resource=table_arn,
            leading_keys=("ENDPOINT#",),
        ),
        Statement(
            sid="KeepWorkers", actions=("dynamodb:UpdateItem", "dynamodb:DeleteItem"), resource=table_arn, leading_keys=("FLEET#",)
        ),
        Statement(sid="RecordDecisions", actions=("dynamodb:PutItem",), resource=table_arn, leading_keys=("DECISION#",)),
    )


def _secret_statements(credentials: Credentials) -> tuple[Statement, ...]:
    read = ("secretsmanager:GetSecretValue",)
    return (
        Statement(sid="ReadTokenSecret", actions=read, resource=credentials.worker_token_arn),
        Statement(sid="ReadMarketplaceKey", actions=read, resource=credentials.marketplace_arn),
    )
