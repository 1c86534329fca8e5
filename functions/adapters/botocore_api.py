"""AWS through botocore, for the scaler: there no client waits, and a well-kept library beats our own.

It is used without boto3, whose resources and transfers no function needs, and without looking through its 400 service folders
for the few that are used: both are cold start. Keys, region and `AWS_ENDPOINT_URL` come from the environment, as the Lambda
runtime sets them.

Two attempts of at most 1 s to connect and 2.5 s to read, and at most 1 s between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader

from functions.adapters.aws_api import AwsRefused, AwsUnavailable

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 2.5
ATTEMPTS_MAX: Final = 2
SERVICES: Final = ("dynamodb",)


class BotocoreApi:
    """One service behind a client of botocore or boto3. Implements `aws_api.Api`; binary values are bytes on this side."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Perform one operation."""
        try:
            answer: Mapping[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except ClientError as exc:
            status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
            raise AwsRefused(exc.response["Error"]["Code"], status=status, answer=exc.response) from exc
        except BotoCoreError as exc:  # timed out, refused, no route
            raise AwsUnavailable(type(exc).__name__) from exc
        return answer


def botocore_dynamodb() -> BotocoreApi:
    """Return DynamoDB with this module's deadlines. Makes no call."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
        tcp_keepalive=True,
        # Every request is built in this package, and the contract tests have seen each shape: not checked again at every call.
        parameter_validation=False,
    )
    return BotocoreApi(_session().create_client("dynamodb", config=config))


class _KnownServices(Loader):  # type: ignore[misc]  # botocore has no types
    """Loads service models without listing all of them first, which botocore does to word an error."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - the signature is botocore's
        """Return the services that the functions use."""
        return list(SERVICES)


@cache
def _session() -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", _KnownServices())
    return session
