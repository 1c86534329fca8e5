"""The resource types that the sandbox can make: one file a family, one table of them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.aws.resources import (
    cloudwatch,
    dynamodb,
    iam,
    lambda_function,
    lambda_use,
    random_values,
    scheduler,
    secretsmanager,
    sns,
    sqs,
)
from sandbox.aws.resources.kind import Kind

_FAMILIES: Final = (
    cloudwatch,
    dynamodb,
    iam,
    lambda_function,
    lambda_use,
    random_values,
    scheduler,
    secretsmanager,
    sns,
    sqs,
)

KINDS: Final[Mapping[str, Kind]] = {kind.type: kind for family in _FAMILIES for kind in family.KINDS}
"""Every kind by its type token."""
