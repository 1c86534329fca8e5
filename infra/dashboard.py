"""One page that answers: is it serving, is it scaling, what does it cost in AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from infra.dead_letters import DeadLetters
from infra.function import Function
from infra.state_table import StateTable

WIDGET_WIDTH: Final = 8  # of a row of 24
WIDGET_HEIGHT: Final = 6
PERIOD_S: Final = 60

Metric = Sequence[Any]


def declare_dashboard(
    prefix: str, *, functions: Mapping[str, Function], table: StateTable, dead_letters: DeadLetters, opts: pulumi.ResourceOptions
) -> aws.cloudwatch.Dashboard:
    """Declare the dashboard of a stack; `functions` by part."""
    widgets: list[tuple[str, list[Metric], str]] = [
        ("Invocations", _lambda_metrics(functions, "Invocations"), "Sum"),
        ("Errors", _lambda_metrics(functions, "Errors"), "Sum"),
        ("Duration, 99th percentile (ms)", _lambda_metrics(functions, "Duration"), "p99"),
        ("Concurrent executions", _lambda_metrics(functions, "ConcurrentExecutions"), "Maximum"),
        ("Table, consumed units", _table_metrics(table, "ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits"), "Sum"),
        ("Dead letters", [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead_letters.name]], "Maximum"),
    ]
    region = table.arn.apply(lambda arn: arn.split(":")[3])
    body = {"widgets": [_widget(index, *widget, region=region) for index, widget in enumerate(widgets)]}
    return aws.cloudwatch.Dashboard("dashboard", dashboard_name=prefix, dashboard_body=pulumi.Output.json_dumps(body), opts=opts)


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
