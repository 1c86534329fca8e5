"""What should wake a person, and what it says to them.

Of the stack: functions that fail or are throttled, callers who get errors, events that nobody handled, credit that runs out. Of
each endpoint group: what `GROUP_WATCHES` lists, and a scaler that makes no decisions any more.

The functions write a metric of trouble only while there is trouble, so that it costs nothing else; hence "no data" is good news,
except from the scaler itself. The names and dimensions are those that the functions write; a test joins the two ends.
docs/operations.md has a paragraph for each alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypedDict

import pulumi
import pulumi_aws as aws

from infra.dead_letters import DeadLetters
from infra.function import Function

MINUTE_S: Final = 60
SCALE_SERVICE: Final = "headgate-scale"  # a dimension of every metric of the scale function
SERVER_ERROR_MINUTES: Final = (3, 5)  # three of five: one bad minute is a deployment or a blip
SILENT_MINUTES: Final = 5  # an idle group is looked at every minute, a busy one every few seconds
SIGN_OF_LIFE: Final = "WorkersReadyCount"  # written with every decision
CREDIT_METRIC: Final = "CreditLeftHours"
CREDIT_PERIOD_S: Final = 900  # how often it is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A metric that should stay at zero. The alarm goes off when `minutes[0]` of the last `minutes[1]` are above it."""

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    description: str
    minutes: tuple[int, int] = (1, 1)
    statistic: str = "Sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWatch:
    """An alarm that every endpoint group has: `minutes` as in Watch, `says` completes "<group>: …"."""

    name: str
    metric: str
    says: str
    minutes: tuple[int, int] = (1, 1)


RELEASE_UNCONFIRMED: Final = GroupWatch(
    name="release-unconfirmed",
    metric="ReleasesUnconfirmedCount",
    says="the marketplace does not confirm that instances are gone, and they may bill. The scale function's log names them: look "
    "for them in the marketplace's console, and destroy them there. After a destroy that failed, run it again.",
)
GROUP_WATCHES: Final = (
    GroupWatch(
        name="refused",
        metric="MarketplaceRefusalsCount",
        says="the marketplace refuses what is asked of it. Check the account's credit and the API key; the scale function's log "
        "has the marketplace's words.",
    ),
    # Five of six: a scaler that hands over to the next one may leave a minute out, and less is a burst that a ceiling should cut.
    GroupWatch(
        name="budget-reached",
        metric="BudgetReachedCount",
        says="more workers are needed than max_workers or max_hourly_cost_usd allow, so requests wait. Raise the ceiling that the "
        "decision names, or let it be.",
        minutes=(5, 6),
    ),
    # A market that is empty now is often not in a few minutes.
    GroupWatch(
        name="no-offers",
        metric="NoOffersCount",
        says="capacity is missing and no machine on the market can be had. The decision says why for each autogroup: widen its "
        "search_params, or add an autogroup.",
        minutes=(8, 10),
    ),
    GroupWatch(
        name="halted",
        metric="AutogroupsHaltedCount",
        says="an autogroup's workers fail one after the other, so nothing is rented for it for a while. The decision has the last "
        "error: image, model or environment.",
    ),
    GroupWatch(
        name="update-failed",
        metric="UpdatesFailedCount",
        says="workers of a changed autogroup do not become ready, so the version before goes on serving. Correct the autogroup in "
        "the stack file, or take the change back.",
    ),
    RELEASE_UNCONFIRMED,
)


class Alarms(pulumi.ComponentResource):
    """The stack's alarms, sent to `email` unless it is empty, and shown in the console in any case.

    `namespace` is that of the functions' own metrics.
    """

    def __init__(self, prefix: str, *, namespace: str, email: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:Alarms", "alarms", opts=opts)
        self._prefix = prefix
        self._namespace = namespace
        self._mail: list[pulumi.Resource] = []
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
            description="An event was not handled: receive the message to see which and why.",
            statistic="Maximum",
        )
        self._above_zero("dead-letters", watch)

    def watch_credit(self, *, hours: int) -> None:
        """Alarm when the marketplace's credit lasts for fewer hours than that at what is spent now.

        It is read four times an hour. Between two readings, and when one fails, the alarm stays as it is.
        """
        aws.cloudwatch.MetricAlarm(
            "alarm-credit-low",
            name=f"{self._prefix}-credit-low",
            alarm_description=f"The marketplace's credit lasts for less than {hours} hours at what is spent now: pay in. At zero "
            "the marketplace stops every worker, and goes on billing their storage.",
            namespace=self._namespace,
            metric_name=CREDIT_METRIC,
            dimensions={"service": SCALE_SERVICE},
            statistic="Minimum",
            period=CREDIT_PERIOD_S,
            evaluation_periods=1,
            comparison_operator="LessThanThreshold",
            threshold=hours,
            treat_missing_data="ignore",
            **self._common(),
        )

    def watch_group(self, endpoint: str) -> list[pulumi.Resource]:
        """Alarm for what may go wrong with an endpoint group; return what a release of it needs in order to be heard."""
        alarms = {watch: self._above_zero(f"{endpoint}-{watch.name}", self._of_group(endpoint, watch)) for watch in GROUP_WATCHES}
        self._watch_life(endpoint)
        return [alarms[RELEASE_UNCONFIRMED], *self._mail]

    def _of_group(self, endpoint: str, watch: GroupWatch) -> Watch:
        return Watch(
            namespace=self._namespace,
            metric=watch.metric,
            dimensions=_dimensions(endpoint),
            description=f"{endpoint}: {watch.says}",
            minutes=watch.minutes,
            statistic="Maximum",
        )

    def _watch_life(self, endpoint: str) -> None:
        aws.cloudwatch.MetricAlarm(
            f"alarm-{endpoint}-silent",
            name=f"{self._prefix}-{endpoint}-silent",
            alarm_description=f"{endpoint}: no decision was made for {SILENT_MINUTES} minutes. Its fleet stands still, and nothing "
            "is released: see the log of the scale function, and the dead letters.",
            namespace=self._namespace,
            metric_name=SIGN_OF_LIFE,
            dimensions=_dimensions(endpoint),
            statistic="SampleCount",
            period=MINUTE_S,
            evaluation_periods=SILENT_MINUTES,
            comparison_operator="LessThanThreshold",
            threshold=1,
            treat_missing_data="breaching",
            **self._common(),
        )

    def _topic(self, email: str) -> pulumi.Output[str]:
        # Not encrypted with AWS's own key: CloudWatch may not use that one, and an alarm's text holds no secret.
        topic = aws.sns.Topic("alarms", name=f"{self._prefix}-alarms", opts=pulumi.ResourceOptions(parent=self))
        subscription = aws.sns.TopicSubscription(
            "alarms-email", topic=topic.arn, protocol="email", endpoint=email, opts=pulumi.ResourceOptions(parent=self)
        )
        self._mail = [topic, subscription]
        return topic.arn

    def _above_zero(self, name: str, watch: Watch) -> aws.cloudwatch.MetricAlarm:
        bad_minutes, minutes = watch.minutes
        return aws.cloudwatch.MetricAlarm(
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
            **self._common(),
        )

    def _common(self) -> _Common:
        return {
            "alarm_actions": self._actions,
            "ok_actions": self._actions,
            "opts": pulumi.ResourceOptions(parent=self),
        }


class _Common(TypedDict):
    """What all alarms share."""

    alarm_actions: list[pulumi.Input[str]]
    ok_actions: list[pulumi.Input[str]]
    opts: pulumi.ResourceOptions


def _dimensions(endpoint: str) -> dict[str, pulumi.Input[str]]:
    return {"service": SCALE_SERVICE, "endpoint": endpoint}
