"""boto3 clients that know only what they are told.

Endpoint, region, keys and an empty proxy list are explicit, and the session under them reads no
environment variable, profile, configuration or credentials file. So a sandbox works the same on a
machine that is logged in to AWS, and cannot reach that account by any mistake.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

# Keys for the look of it: the emulator compares no signature.
OPERATOR_KEY_ID: Final = "AKIASANDBOXOPERATOR0"
OPERATOR_SECRET: Final = "sandbox"
CONNECT_TIMEOUT_S: Final = 10.0
FUNCTION_TIMEOUT_MAX_S: Final = 900
"""The longest that a function may run on AWS; a client must be willing to wait for it."""
ATTEMPTS_MAX: Final = 3


class Clients:
    """Makes the clients of one emulator, each once, for any thread."""

    def __init__(self, *, endpoint_url: str, region: str) -> None:
        self._endpoint_url = endpoint_url
        self._session = _isolated_session(region)
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str) -> Any:
        """Give the client of a service."""
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Any:
        # An invoke is never repeated: a function that was slow would run twice.
        attempts = 1 if service == "lambda" else ATTEMPTS_MAX
        config = Config(
            proxies={},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=FUNCTION_TIMEOUT_MAX_S + CONNECT_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        return self._session.client(service, endpoint_url=self._endpoint_url, config=config)


def _isolated_session(region: str) -> boto3.Session:
    variables = {
        name: (in_file, None, default, cast) for name, (in_file, _, default, cast) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        variables[file] = (None, None, os.devnull, None)
    session = botocore.session.Session(session_vars=variables)
    session.set_credentials(OPERATOR_KEY_ID, OPERATOR_SECRET)
    return boto3.Session(botocore_session=session, region_name=region)
