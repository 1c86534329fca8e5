"""Lambda entry point of the router: Function URL event in, result out; wiring, logs and metrics.

One structured line and one metrics line a call. Neither ever holds a key, a ticket, a url or a body.
"""

from __future__ import annotations

import os
import random
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from functions.adapters.aws_api import Aws, Deadline, dynamodb, secrets_manager
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.environment import required
from functions.adapters.function_url import INTERNAL_ERROR, HttpReply, HttpRequest, refusal
from functions.adapters.nacl_signer import signing_key
from functions.adapters.public_key_item import CachedPublicKeys
from functions.adapters.scale_waker import LambdaScaleWaker
from functions.adapters.secrets import CachedSecret, SecretReader
from functions.route.answer import answer
from functions.route.caches import RouteCaches
from functions.route.service import RoutePorts

METRICS: Final = {"assigned": "RequestsAssignedCount", "waiting": "RequestsWaitingCount"}
METRIC_REFUSED: Final = "RequestsRefusedCount"

_LOG = Logger()
_METRICS = Metrics()
_CLOCK = SystemClock()
_DEADLINE = Deadline(_CLOCK)
_AWS = Aws.of_environment(os.environ, clock=_CLOCK, left_s=_DEADLINE.left_s)
_READ_SECRET = SecretReader(secrets_manager(_AWS))
_PORTS = RoutePorts(
    store=DynamoRouteStore(DynamoTable(dynamodb(_AWS), required(os.environ, "HEADGATE_TABLE"))),
    signing=CachedSecret(required(os.environ, "HEADGATE_SIGNING_SECRET_ARN"), signing_key, clock=_CLOCK, read=_READ_SECRET),
    waker=LambdaScaleWaker(_AWS, required(os.environ, "HEADGATE_SCALE_FUNCTION")),
    clock=_CLOCK,
    rng=random.SystemRandom(),
)
_PUBLIC_KEYS = CachedPublicKeys(_PORTS.store, clock=_CLOCK)
_CACHES = RouteCaches()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one HTTP request."""
    _DEADLINE.restart()
    try:
        reply = answer(HttpRequest.of_event(event), ports=_PORTS, caches=_CACHES, public_keys=_PUBLIC_KEYS)
    except Exception:  # noqa: BLE001 - the outermost edge: the client is owed an answer, and we the traceback
        _LOG.exception("unforeseen")
        reply = refusal(INTERNAL_ERROR)
    _tell(reply, request_id=context.aws_request_id)
    return reply.result(__request_id=context.aws_request_id)


def _tell(reply: HttpReply, *, request_id: str) -> None:
    _LOG.info("route", extra={"request_id": request_id, "outcome": reply.outcome, "status_code": reply.status, **reply.facts})
    if reply.outcome in METRICS or reply.status >= 400:
        _METRICS.add_metric(name=METRICS.get(reply.outcome, METRIC_REFUSED), unit=MetricUnit.Count, value=1)
        _METRICS.flush_metrics()
