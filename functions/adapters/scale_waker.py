"""Wake the scaler: an asynchronous invocation of its function, which answers as soon as it is queued (some milliseconds)."""

from __future__ import annotations

import json
import logging

from functions.adapters.aws_api import Aws, AwsRefused, AwsService, AwsUnavailable

_LOG = logging.getLogger(__name__)


class LambdaScaleWaker:
    """Implements `ports.ScaleWaker`. It connects at the first wake: most environments never need to."""

    def __init__(self, aws: Aws, function_name: str) -> None:
        self._service = AwsService(aws, "lambda")
        self._path = f"/2015-03-31/functions/{function_name}/invocations"

    def wake(self, endpoint: str) -> None:
        """Ask once, without repeating: the schedule comes within the minute anyway."""
        payload = json.dumps({"endpoint": endpoint, "reason": "waiting"}).encode()
        headers = {"content-type": "application/json", "x-amz-invocation-type": "Event"}
        try:
            self._service.post(self._path, headers, payload, attempts_max=1)
        except (AwsRefused, AwsUnavailable) as exc:
            _LOG.warning("the scaler of %s was not woken: %s", endpoint, exc)
