"""One page that answers: is it serving, is it scaling, what does it cost in AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from infra.alarms import CREDIT_METRIC, GROUP_WATCHES, SCALE_SERVICE
from infra.dead_letters import DeadLetters
from infra.function import Foundation, Function
from infra.state_table import StateTable

WIDGET_WIDTH: Final = 8  # of a row of 24
WIDGET_HEIGHT: Final = 6
PERIOD_S: Final = 60

Metric = Sequence[Any]


# Metrics of the scale function, one line an endpoint group, and whether they add up over a minute or are levels.
GROUP_WIDGETS: Final = (
    ("Workers ready", "WorkersReadyCount", "Average"),
    ("Workers booting", "WorkersBootingCount", "Average"),
    ("Held cost (micro-dollars an hour)", "HeldCostMicroUsdPerHour", "Maximum"),
    ("Requests waiting", "RequestsWaitingNowCount", "Maximum"),
    ("Oldest wait (s)", "OldestWaitSeconds", "Maximum"),
    ("Arriving load (per s)", "ArrivingLoadPerSecond", "Average"),
)


def declare_dashboard(
    foundation: Foundation, *, functions: Mapping[str, Function], table: StateTable, dead_letters: DeadLetters
) -> aws.cloudwatch.Dashboard:
    """Declare the dashboard of a stack; `functions` by part. First what the groups do, then what that takes of AWS."""
    endpoints, namespace = tuple(foundation.settings.endpoints), foundation.metrics_namespace
    widgets: list[tuple[str, list[Metric], str]] = [
        *((title, _group_metrics(namespace, metric, endpoints), stat) for title, metric, stat in GROUP_WIDGETS if endpoints),
        *_attention(namespace, endpoints),
        ("Invocations", _lambda_metrics(functions, "Invocations"), "Sum"),
        ("Errors", _lambda_metrics(functions, "Errors"), "Sum"),
        ("Duration, 99th percentile (ms)", _lambda_metrics(functions, "Duration"), "p99"),
        ("Concurrent executions", _lambda_metrics(functions, "ConcurrentExecutions"), "Maximum"),
        ("Table, consumed units", _table_metrics(table, "ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"), "Sum"),
        ("Dead letters", [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead_letters.name]], "Maximum"),
    ]
    region = table.arn.apply(lambda arn: arn.split(":")[3])
    body = {"widgets": [_widget(index, *widget, region=region) for index, widget in enumerate(widgets)]}
    return aws.cloudwatch.Dashboard(
        "dashboard", dashboard_name=foundation.prefix, dashboard_body=pulumi.Output.json_dumps(body), opts=foundation.opts
    )


def _group_metrics(namespace: str, metric: str, endpoints: Sequence[str]) -> list[Metric]:
    return [[namespace, metric, "service", SCALE_SERVICE, "endpoint", endpoint, {"label": endpoint}] for endpoint in endpoints]


def _attention(namespace: str, endpoints: Sequence[str]) -> list[tuple[str, list[Metric], str]]:
    """Return what should be empty, and what should not run out."""
    if not endpoints:
        return []
    troubles: list[Metric] = [
        [namespace, watch.metric, "service", SCALE_SERVICE, "endpoint", endpoint, {"label": f"{endpoint} {watch.name}"}]
        for endpoint in endpoints
        for watch in GROUP_WATCHES
    ]
    credit: list[Metric] = [[namespace, CREDIT_METRIC, "service", SCALE_SERVICE, {"label": "hours"}]]
    return [("Needs attention", troubles, "Maximum"), ("Credit lasts for (hours)", credit, "Minimum")]


def _lambda_metrics(functions: Mapping[str, Function], metric: str) -> list[Metric]:
    return [["AWS/Lambda", metric, "FunctionName", function.name, {"label": part}] for part, function in functions.items()]


def _table_metrics(table: StateTable, *metrics: str) -> list[Metric]:
    return [["AWS/DynamoDB", metric, "TableName", table.name] for metric in metrics]


def _widget(index: int, title: str, metrics: Sequence[Metric], stat: str, *, region: pulumi.Output[str]) -> dict[str, Any]:
    row, column = divmod(index, 24 // WIDGET_WIDTH)
    return {
        "type": "metric",
        "x": column * WIDGET_WIDTH,
        "y": row * WIDGET_HEIGHT,
        "width": WIDGET_WIDTH,
        "height": WIDGET_HEIGHT,
        "properties": {
            "title": title,
            "metrics": metrics,
            "stat": stat,
            "period": PERIOD_S,
            "region": region,
            "view": "timeSeries",
        },
    }
