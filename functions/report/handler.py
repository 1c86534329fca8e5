"""Lambda entry point of the reports: Function URL event in, result out; wiring, logs and metrics.

One structured line a call. It never holds a token, a url or a body.
"""

from __future__ import annotations

import os
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from functions.adapters.aws_api import Aws, Deadline, dynamodb, secrets_manager
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_report import DynamoReportStore
from functions.adapters.environment import required
from functions.adapters.function_url import INTERNAL_ERROR, HttpReply, HttpRequest, refusal
from functions.adapters.public_key_item import CachedPublicKeys
from functions.adapters.secrets import CachedSecret, SecretReader, worker_token_secret
from functions.report.answer import answer
from functions.report.service import ReportPorts

METRIC_REFUSED: Final = "ReportsRefusedCount"

_LOG = Logger()
_METRICS = Metrics()
_CLOCK = SystemClock()
_DEADLINE = Deadline(_CLOCK)
_AWS = Aws.of_environment(os.environ, clock=_CLOCK, left_s=_DEADLINE.left_s)
_READ_SECRET = SecretReader(secrets_manager(_AWS))
_PORTS = ReportPorts(
    store=DynamoReportStore(DynamoTable(dynamodb(_AWS), required(os.environ, "HEADGATE_TABLE"))),
    token_secret=CachedSecret(
        required(os.environ, "HEADGATE_WORKER_TOKEN_SECRET_ARN"), worker_token_secret, clock=_CLOCK, read=_READ_SECRET
    ),
    clock=_CLOCK,
    stack=required(os.environ, "HEADGATE_STACK"),
)
_PUBLIC_KEYS = CachedPublicKeys(_PORTS.store, clock=_CLOCK)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one HTTP request of a worker."""
    _DEADLINE.restart()
    try:
        reply = answer(HttpRequest.of_event(event), ports=_PORTS, public_keys=_PUBLIC_KEYS)
    except Exception:  # noqa: BLE001 - the outermost edge: the worker is owed an answer, and we the traceback
        _LOG.exception("unforeseen")
        reply = refusal(INTERNAL_ERROR)
    _tell(reply, request_id=context.aws_request_id)
    return reply.result()


def _tell(reply: HttpReply, *, request_id: str) -> None:
    _LOG.info("report", extra={"request_id": request_id, "outcome": reply.outcome, "status_code": reply.status, **reply.facts})
    if reply.status >= 400:
        _METRICS.add_metric(name=METRIC_REFUSED, unit=MetricUnit.Count, value=1)
        _METRICS.flush_metrics()
