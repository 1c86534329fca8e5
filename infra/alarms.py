"""What should wake a person.

Functions that fail or are throttled, events that nobody handled, a scaler that no longer succeeds, a marketplace that refuses.

Ten alarms, which is what CloudWatch gives for nothing, and one an endpoint group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.dead_letters import DeadLetters
from infra.function import Function

MINUTE_S: Final = 60
SCALE_SERVICE: Final = "headgate-scale"  # a dimension of every metric of the scale function
REFUSALS_METRIC: Final = "MarketplaceRefusalsCount"
SCALE_SILENT_MINUTES: Final = 5
SERVER_ERROR_MINUTES: Final = (3, 5)  # three of five: one bad minute is a deployment or a blip


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A metric that should stay at zero. The alarm goes off when `minutes[0]` of the last `minutes[1]` are above it."""

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    description: str
    minutes: tuple[int, int] = (1, 1)
    statistic: str = "Sum"


class Alarms(pulumi.ComponentResource):
    """The stack's alarms, sent to `email` unless it is empty, and shown in the console in any case."""

    def __init__(self, prefix: str, *, email: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:Alarms", "alarms", opts=opts)
        self._prefix = prefix
        self._actions: list[pulumi.Input[str]] = [self._topic(email)] if email else []
        self.register_outputs({})

    def watch_function(self, part: str, function: Function) -> None:
        """Alarm when the function raises or is throttled."""
        for metric, meaning in (("Errors", "raised an error"), ("Throttles", "was refused for lack of concurrency")):
            watch = Watch(
                namespace="AWS/Lambda",
                metric=metric,
                dimensions={"FunctionName": function.name},
                description=f"The {part} function {meaning}.",
            )
            self._above_zero(f"{part}-{metric.lower()}", watch)

    def watch_url(self, part: str, function: Function) -> None:
        """Alarm when the function's callers get 5xx answers in several minutes of five."""
        watch = Watch(
            namespace="AWS/Lambda",
            metric="Url5xxCount",
            dimensions={"FunctionName": function.name},
            description=f"Callers of the {part} function get 5xx answers: see its log for the code.",
            minutes=SERVER_ERROR_MINUTES,
        )
        self._above_zero(f"{part}-5xx", watch)

    def watch_dead_letters(self, dead_letters: DeadLetters) -> None:
        """Alarm while an event lies in the queue."""
        watch = Watch(
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": dead_letters.name},
            description="An event of the scale function was not handled: receive the message to see which and why.",
            statistic="Maximum",
        )
        self._above_zero("dead-letters", watch)

    def watch_marketplace(self, endpoint: str, *, namespace: str) -> None:
        """Alarm when the marketplace refuses what the group's scaler asks of it: no credit, no valid key, nothing it can mend."""
        watch = Watch(
            namespace=namespace,
            metric=REFUSALS_METRIC,
            dimensions={"service": SCALE_SERVICE, "endpoint": endpoint},
            description=f"The marketplace refuses to serve {endpoint}: check credit and API key; the scaler's log has its words.",
        )
        self._above_zero(f"{endpoint}-refused", watch)

    def watch_success(self, scale: Function) -> None:
        """Alarm when no invocation of the scaler has succeeded for some minutes, also when there was none at all."""
        queries = [
            aws.cloudwatch.MetricAlarmMetricQueryArgs(
                id="successes", expression="invocations - errors", label="Successful invocations", return_data=True
            ),
            *(_query(metric, scale.name) for metric in ("Invocations", "Errors")),
        ]
        aws.cloudwatch.MetricAlarm(
            "alarm-scale-silent",
            name=f"{self._prefix}-scale-silent",
            alarm_description="The scale function has not succeeded for minutes: fleets stand still, and nothing is released.",
            comparison_operator="LessThanThreshold",
            threshold=1,
            evaluation_periods=SCALE_SILENT_MINUTES,
            metric_queries=queries,
            treat_missing_data="breaching",
            alarm_actions=self._actions,
            ok_actions=self._actions,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _topic(self, email: str) -> pulumi.Output[str]:
        # Not encrypted with AWS's own key: CloudWatch may not use that one, and an alarm's text holds no secret.
        topic = aws.sns.Topic("alarms", name=f"{self._prefix}-alarms", opts=pulumi.ResourceOptions(parent=self))
        aws.sns.TopicSubscription(
            "alarms-email", topic=topic.arn, protocol="email", endpoint=email, opts=pulumi.ResourceOptions(parent=self)
        )
        return topic.arn

    def _above_zero(self, name: str, watch: Watch) -> None:
        bad_minutes, minutes = watch.minutes
        aws.cloudwatch.MetricAlarm(
            f"alarm-{name}",
            name=f"{self._prefix}-{name}",
            alarm_description=watch.description,
            namespace=watch.namespace,
            metric_name=watch.metric,
            dimensions=watch.dimensions,
            statistic=watch.statistic,
            period=MINUTE_S,
            evaluation_periods=minutes,
            datapoints_to_alarm=bad_minutes,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            treat_missing_data="notBreaching",
            alarm_actions=self._actions,
            ok_actions=self._actions,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _query(metric: str, function_name: pulumi.Output[str]) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
    return aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id=metric.lower(),
        return_data=False,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace="AWS/Lambda",
            metric_name=metric,
            period=MINUTE_S,
            stat="Sum",
            dimensions={"FunctionName": function_name},
        ),
    )
