"""The clocks: of an endpoint group one every minute, and one for each time at which its parameters change; of the keys one an hour.

A change's clock is a call to look at the right moment, and changes nothing by itself: what holds when is in the group's item, and
the functions work it out (`core.schedules`). So an event that is lost costs a minute, and one that comes twice, nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

import pulumi
import pulumi_aws as aws

from infra.dead_letters import DeadLetters
from infra.function import Function
from infra.permissions import Statement, policy_document, trust
from infra.schedule_settings import ScheduleSettings, physical_name

EVERY: Final = "rate(1 minute)"  # the scheduler's shortest
ROTATE_EVERY: Final = "rate(1 hour)"
ROTATE_NAME: Final = "keys.rotate"  # no endpoint group's name has a dot
EVENT_AGE_MAX_S: Final = 60  # then the next event is there, which is worth as much
EVENT_RETRIES: Final = 2


class _Clock(NamedTuple):
    """When a schedule fires. `timezone` is None where that makes no difference."""

    expression: str
    timezone: str | None = None


class Schedules(pulumi.ComponentResource):
    """The stack's schedules, and the role by which they may invoke the scale and the rotate function and nothing else."""

    def __init__(
        self, prefix: str, *, scale: Function, rotate: Function, dead_letters: DeadLetters, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("headgate:index:Schedules", "schedules", opts=opts)
        self._scale = scale
        self._rotate = rotate
        self._dead_letters = dead_letters
        self._group = aws.scheduler.ScheduleGroup("schedules", name=prefix, opts=pulumi.ResourceOptions(parent=self))
        self._role = aws.iam.Role(
            "schedules-role",
            name=f"{prefix}-schedule",
            description="What the schedules invoke the scale and the rotate function as",
            assume_role_policy=self._group.arn.apply(_trust_of_group),
            opts=pulumi.ResourceOptions(parent=self),
        )
        statements = (
            Statement(sid="InvokeScale", actions=("lambda:InvokeFunction",), resource=scale.arn),
            Statement(sid="InvokeRotate", actions=("lambda:InvokeFunction",), resource=rotate.arn),
            Statement(sid="KeepUndelivered", actions=("sqs:SendMessage",), resource=dead_letters.arn),
        )
        self._policy = aws.iam.RolePolicy(
            "schedules-policy",
            name="exact",
            role=self._role.name,
            policy=policy_document(statements),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

    def tick(self, endpoint: str, *, depends_on: pulumi.Resource) -> aws.scheduler.Schedule:
        """Have the endpoint group looked at every minute, from after `depends_on` exists until before it is gone."""
        target = self._target(self._scale, {"endpoint": endpoint})
        return self._schedule(endpoint, _Clock(expression=EVERY), target, depends_on=depends_on)

    def change(
        self, endpoint: str, name: str, schedule: ScheduleSettings, *, depends_on: pulumi.Resource
    ) -> aws.scheduler.Schedule:
        """Have the endpoint group looked at when its parameters change."""
        clock = _Clock(expression=f"cron({schedule.values['text']})", timezone=schedule.timezone)
        target = self._target(self._scale, {"endpoint": endpoint, "reason": f"schedule {name}"})
        return self._schedule(physical_name(endpoint, name), clock, target, depends_on=depends_on)

    def rotate_keys(self, *, depends_on: pulumi.Resource) -> aws.scheduler.Schedule:
        """Have the signing keys looked after every hour."""
        target = self._target(self._rotate, {"command": "advance"})
        return self._schedule(ROTATE_NAME, _Clock(expression=ROTATE_EVERY), target, depends_on=depends_on)

    def _schedule(
        self, name: str, clock: _Clock, target: aws.scheduler.ScheduleTargetArgs, *, depends_on: pulumi.Resource
    ) -> aws.scheduler.Schedule:
        return aws.scheduler.Schedule(
            f"schedule-{name}",
            name=name,
            group_name=self._group.name,
            schedule_expression=clock.expression,
            schedule_expression_timezone=clock.timezone,
            flexible_time_window=aws.scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            target=target,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[depends_on, self._policy]),
        )

    def _target(self, function: Function, event: Mapping[str, str]) -> aws.scheduler.ScheduleTargetArgs:
        return aws.scheduler.ScheduleTargetArgs(
            arn=function.arn,
            role_arn=self._role.arn,
            input=json.dumps(event),
            dead_letter_config=aws.scheduler.ScheduleTargetDeadLetterConfigArgs(arn=self._dead_letters.arn),
            retry_policy=aws.scheduler.ScheduleTargetRetryPolicyArgs(
                maximum_event_age_in_seconds=EVENT_AGE_MAX_S, maximum_retry_attempts=EVENT_RETRIES
            ),
        )


def _trust_of_group(schedule_group_arn: str) -> str:
    account = schedule_group_arn.split(":")[4]
    return trust(
        "scheduler.amazonaws.com",
        conditions={"StringEquals": {"aws:SourceAccount": account, "aws:SourceArn": schedule_group_arn}},
    )
