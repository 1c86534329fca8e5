"""Wake the scaler: an asynchronous invocation of its function, which answers as soon as it is queued (some milliseconds)."""

from __future__ import annotations

import json
import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.adapters.aws_client import aws_client

_LOG = logging.getLogger(__name__)


class LambdaScaleWaker:
    """Implements `ports.ScaleWaker`. The client is made at the first wake: most environments never need one."""

    def __init__(self, function_name: str) -> None:
        self._function_name = function_name
        self._client: Any = None

    def wake(self, endpoint: str) -> None:
        """Ask once, without repeating: the schedule comes within the minute anyway."""
        payload = json.dumps({"endpoint": endpoint, "reason": "waiting"}).encode()
        try:
            if self._client is None:
                self._client = aws_client("lambda", attempts_max=1)
            self._client.invoke(FunctionName=self._function_name, InvocationType="Event", Payload=payload)
        except (BotoCoreError, ClientError) as exc:
            _LOG.warning("the scaler of %s was not woken: %s", endpoint, type(exc).__name__)
