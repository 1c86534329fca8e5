"""How clients of AWS are made: one place for deadlines and retries.

botocore is used without boto3, whose resources and transfers no function needs: 177 ms to import and make a client instead of
260 ms (2026-11, 2 cores). Keys, region and `AWS_ENDPOINT_URL` come from the environment, as the Lambda runtime sets them.

A Vast client gives `/route/` 10 s and never repeats it, so a call that AWS does not answer must have failed by then: two attempts
of at most 1 s to connect and 2.5 s to read, and at most 1 s between them, make 8 s. A read deadline as long as that is
deliberate: a write whose answer was lost is counted twice by the second attempt.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import botocore.session
from botocore.config import Config

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 2.5
ATTEMPTS_MAX: Final = 2


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


@cache
def _session() -> Any:
    return botocore.session.Session()
