"""How clients of AWS are made: one place for deadlines and retries.

botocore is used without boto3, whose resources and transfers no function needs, and without looking through its 400 service folders
for the few that are used: both are cold start. Keys, region and `AWS_ENDPOINT_URL` come from the environment, as the Lambda
runtime sets them.

A Vast client gives `/route/` 10 s and never repeats it, so a call that AWS does not answer must have failed by then: two attempts
of at most 1 s to connect and 2.5 s to read, and at most 1 s between them, make 8 s. A read deadline as long as that is
deliberate: a write whose answer was lost is counted twice by the second attempt.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 2.5
ATTEMPTS_MAX: Final = 2
SERVICES: Final = ("dynamodb", "lambda", "secretsmanager")


def aws_client(service: str, *, attempts_max: int = ATTEMPTS_MAX) -> Any:
    """Return a client of `service` with this module's deadlines. Makes no call."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": attempts_max},
        tcp_keepalive=True,
        # Every request is built in this package, and the contract tests have seen each shape: not checked again at every call.
        parameter_validation=False,
    )
    return _session().create_client(service, config=config)


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
