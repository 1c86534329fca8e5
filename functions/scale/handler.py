"""Lambda entry point of the scaler: schedule, wake-up or lifecycle event in, a short account out; wiring, logs and metrics.

One structured line and one set of metrics a decision. What cannot be handled is raised: Lambda counts it, the alarm sees it, and
the next schedule (or `pulumi destroy`, run again) resumes from the table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from functions.adapters.aws_api import Aws, secrets_manager
from functions.adapters.botocore_api import botocore_dynamodb
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_scale import DynamoScaleStore
from functions.adapters.environment import required
from functions.adapters.secrets import CachedSecret, SecretReader, marketplace_secret, worker_token_secret
from functions.adapters.vast import VastMarketplace
from functions.adapters.vast_http import VastHttp
from functions.scale.events import SCHEDULE, Asked, ScaleEvent, parse_event
from functions.scale.figures import METRIC_RELEASES, account_metrics, line, metrics
from functions.scale.release import ReleaseIncomplete, release_group
from functions.scale.service import keep_scaled
from functions.scale.tick import Tick
from functions.scale.turn import ScalePorts, ScaleSettings

# What ends a tick that was begun in time: a write or two, and the lease's return.
DEADLINE_MARGIN_S: Final = 10.0
# A busy group is watched until shortly before the next schedule event takes over. A release may take the function's whole time,
# until the marketplace has confirmed everything.
SCALE_S_MAX: Final = 57.0

_LOG = Logger()
_METRICS = Metrics()
_CLOCK = SystemClock()
_READ_SECRET = SecretReader(secrets_manager(Aws.of_environment(os.environ, clock=_CLOCK)))
_WORKER_TOKEN = CachedSecret(
    required(os.environ, "HEADGATE_WORKER_TOKEN_SECRET_ARN"), worker_token_secret, clock=_CLOCK, read=_READ_SECRET
)
_MARKETPLACE = CachedSecret(
    required(os.environ, "HEADGATE_MARKETPLACE_SECRET_ARN"), marketplace_secret, clock=_CLOCK, read=_READ_SECRET
)
_HTTP = VastHttp(
    required(os.environ, "HEADGATE_MARKETPLACE_URL"),
    api_key=lambda: _MARKETPLACE().api_key,
    clock=_CLOCK,
    pace_factor=float(required(os.environ, "HEADGATE_MARKETPLACE_PACE")),
)
_PORTS = ScalePorts(
    store=DynamoScaleStore(DynamoTable(botocore_dynamodb(), required(os.environ, "HEADGATE_TABLE"))),
    marketplace=VastMarketplace(_HTTP, clock=_CLOCK),
    clock=_CLOCK,
)
_STACK = required(os.environ, "HEADGATE_STACK")
_REPORT_URL = required(os.environ, "HEADGATE_REPORT_URL")
_TICK_INTERVAL_S = float(required(os.environ, "HEADGATE_TICK_INTERVAL_S"))
_RENT_CONFIRM_S = float(required(os.environ, "HEADGATE_RENT_CONFIRM_S"))
_CREDIT_HOURS_MIN = float(required(os.environ, "HEADGATE_CREDIT_HOURS_MIN"))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do what one event asks."""
    asked = parse_event(event)
    deadline_s = _CLOCK.now_s() + context.get_remaining_time_in_millis() / 1000 - DEADLINE_MARGIN_S
    match asked.asked:
        case Asked.SCALE:
            scale_until_s = min(deadline_s, _CLOCK.now_s() + SCALE_S_MAX)
            return _scale(asked, owner=context.aws_request_id, deadline_s=scale_until_s)
        case Asked.RELEASE:
            return _release(asked, owner=context.aws_request_id, deadline_s=deadline_s)
        case Asked.NOTHING:
            return {"ok": True}


def _scale(asked: ScaleEvent, *, owner: str, deadline_s: float) -> dict[str, Any]:
    ticks = 0
    patient = asked.reason == SCHEDULE
    for done in keep_scaled(
        asked.endpoint, owner=owner, ports=_PORTS, settings=_settings(), deadline_s=deadline_s, patient=patient
    ):
        ticks += 1
        _tell(done, reason=asked.reason)
    return {"ok": True, "ticks": ticks}


def _release(asked: ScaleEvent, *, owner: str, deadline_s: float) -> dict[str, Any]:
    try:
        released = release_group(asked.endpoint, owner=owner, ports=_PORTS, settings=_settings(), deadline_s=deadline_s)
    except ReleaseIncomplete as incomplete:
        _count({METRIC_RELEASES: float(incomplete.count)}, endpoint=asked.endpoint)
        raise
    _LOG.info("released", extra={"endpoint": asked.endpoint, "instances": released})
    return {"ok": True, "released": released}


def _settings() -> ScaleSettings:
    return ScaleSettings(
        stack=_STACK,
        report_url=_REPORT_URL,
        worker_token_secret=_WORKER_TOKEN(),
        secret_env=_MARKETPLACE().secret_env,
        image_login=_MARKETPLACE().image_login,
        tick_interval_s=_TICK_INTERVAL_S,
        rent_confirm_s=_RENT_CONFIRM_S,
        credit_hours_min=_CREDIT_HOURS_MIN,
    )


def _tell(done: Tick, *, reason: str) -> None:
    _LOG.info("decision", extra={"reason": reason, **line(done)})
    _count(metrics(done), endpoint=done.snapshot.group.endpoint)
    _count(account_metrics(done))


def _count(values: Mapping[str, float], **dimensions: str) -> None:
    """Write the metrics as one set, beside the service's name under these dimensions: what an alarm watches has exactly them."""
    for dimension, told in dimensions.items():
        _METRICS.add_dimension(name=dimension, value=told)
    for name, value in values.items():
        _METRICS.add_metric(name=name, unit=MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count, value=value)
    if values:
        _METRICS.flush_metrics()
