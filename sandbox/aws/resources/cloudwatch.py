"""CloudWatch: log groups, alarms and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi_aws as aws

from sandbox.aws.errors import InvalidInputs
from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, capitalised, names, tag_list

_ALARM_NAMES: Final = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
    "evaluationPeriods": "EvaluationPeriods",
    "extendedStatistic": "ExtendedStatistic",
    "insufficientDataActions": "InsufficientDataActions",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "thresholdMetricId": "ThresholdMetricId",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
}


def _create_log_group(creation: Creation) -> Made:
    name = creation.physical_name()
    client = creation.cloud.client("logs")
    options = creation.picked({"kmsKeyId": "kmsKeyId", "logGroupClass": "logGroupClass"})
    client.create_log_group(logGroupName=name, tags=dict(creation.tags), **options)
    if days := creation.inputs.get("retentionInDays"):
        client.put_retention_policy(logGroupName=name, retentionInDays=days)
    # The provider's ARN has no `:*` at the end, unlike the API's.
    arn = f"arn:aws:logs:{creation.cloud.region}:{creation.cloud.account_id}:log-group:{name}"
    return Made(name, {"name": name, "arn": arn, "retentionInDays": days or 0})


def _delete_log_group(deletion: Deletion) -> None:
    deletion.cloud.client("logs").delete_log_group(logGroupName=deletion.resource.id)


def _create_alarm(creation: Creation) -> Made:
    name = creation.physical_name()
    alarm = creation.picked(_ALARM_NAMES)
    if dimensions := creation.inputs.get("dimensions"):
        alarm["Dimensions"] = _dimensions(dimensions)
    if queries := creation.inputs.get("metricQueries"):
        alarm["Metrics"] = [_metric_query(query) for query in queries]
    client = creation.cloud.client("cloudwatch")
    client.put_metric_alarm(AlarmName=name, Tags=tag_list(creation.tags), **alarm)
    arn = f"arn:aws:cloudwatch:{creation.cloud.region}:{creation.cloud.account_id}:alarm:{name}"
    return Made(name, {"name": name, "arn": arn})


def _dimensions(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _metric_query(query: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = capitalised({key: value for key, value in query.items() if key != "metric"})
    if metric := query.get("metric"):
        stat = capitalised({key: metric[key] for key in ("period", "stat", "unit") if key in metric})
        stat["Metric"] = capitalised({key: metric[key] for key in ("metricName", "namespace") if key in metric})
        stat["Metric"]["Dimensions"] = _dimensions(metric.get("dimensions", {}))
        entry["MetricStat"] = stat
    return entry


def _delete_alarm(deletion: Deletion) -> None:
    deletion.cloud.client("cloudwatch").delete_alarms(AlarmNames=[deletion.resource.id])


def _create_dashboard(creation: Creation) -> Made:
    name = creation.inputs["dashboardName"]
    body = creation.json_document("dashboardBody")
    answer = creation.cloud.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=body)
    if messages := answer.get("DashboardValidationMessages"):
        raise InvalidInputs(f"{creation.urn}: `dashboardBody`: {messages}")
    return Made(name, {"dashboardArn": f"arn:aws:cloudwatch::{creation.cloud.account_id}:dashboard/{name}"})


def _delete_dashboard(deletion: Deletion) -> None:
    deletion.cloud.client("cloudwatch").delete_dashboards(DashboardNames=[deletion.resource.id])


KINDS: Final = (
    Kind(
        resource=aws.cloudwatch.LogGroup,
        args=aws.cloudwatch.LogGroupArgs,
        honoured=names("kmsKeyId logGroupClass name namePrefix retentionInDays tags"),
        create=_create_log_group,
        delete=_delete_log_group,
    ),
    Kind(
        resource=aws.cloudwatch.MetricAlarm,
        args=aws.cloudwatch.MetricAlarmArgs,
        honoured=frozenset(_ALARM_NAMES) | names("dimensions metricQueries name tags"),
        create=_create_alarm,
        delete=_delete_alarm,
    ),
    Kind(
        resource=aws.cloudwatch.Dashboard,
        args=aws.cloudwatch.DashboardArgs,
        honoured=names("dashboardBody dashboardName"),
        create=_create_dashboard,
        delete=_delete_dashboard,
    ),
)
