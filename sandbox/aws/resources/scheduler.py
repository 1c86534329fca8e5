"""EventBridge Scheduler: schedules and their groups."""

from __future__ import annotations

import re
from typing import Final

import pulumi_aws as aws

from sandbox.aws.errors import InvalidInputs
from sandbox.aws.resources.iam import require_trust
from sandbox.aws.resources.kind import Creation, Deletion, Kind, Made, capitalised, names, tag_list

DEFAULT_GROUP: Final = "default"
SCHEDULER_SERVICE: Final = "scheduler.amazonaws.com"
# The emulator takes `rate(10 seconds)` and then never fires; AWS has no unit below a minute
# (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
_EXPRESSION: Final = re.compile(r"(rate\([1-9]\d* (minute|hour|day)s?\)|cron\(.+\)|at\(.+\))")

_SCHEDULE_NAMES: Final = {
    "actionAfterCompletion": "ActionAfterCompletion",
    "description": "Description",
    "scheduleExpression": "ScheduleExpression",
    "scheduleExpressionTimezone": "ScheduleExpressionTimezone",
    "state": "State",
}


def _create_schedule(creation: Creation) -> Made:
    inputs = creation.inputs
    name, group = creation.physical_name(), inputs.get("groupName", DEFAULT_GROUP)
    if not _EXPRESSION.fullmatch(inputs["scheduleExpression"]):
        raise InvalidInputs(f"{creation.urn}: AWS knows no schedule `{inputs['scheduleExpression']}`")
    require_trust(creation.cloud, inputs["target"]["roleArn"], SCHEDULER_SERVICE, urn=creation.urn)
    arn = creation.cloud.client("scheduler").create_schedule(
        Name=name,
        GroupName=group,
        FlexibleTimeWindow=capitalised(inputs["flexibleTimeWindow"]),
        Target=capitalised(inputs["target"]),
        **creation.picked(_SCHEDULE_NAMES),
    )["ScheduleArn"]
    return Made(f"{group}/{name}", {"name": name, "groupName": group, "arn": arn, "state": _state(creation)})


def _state(creation: Creation) -> str:
    return str(creation.inputs.get("state", "ENABLED"))


def _delete_schedule(deletion: Deletion) -> None:
    group, _, name = deletion.resource.id.partition("/")
    deletion.cloud.client("scheduler").delete_schedule(Name=name, GroupName=group)


def _create_group(creation: Creation) -> Made:
    name = creation.physical_name()
    client = creation.cloud.client("scheduler")
    arn = client.create_schedule_group(Name=name, Tags=tag_list(creation.tags))["ScheduleGroupArn"]
    group = client.get_schedule_group(Name=name)
    outputs = {
        "name": name,
        "arn": arn,
        "state": group["State"],
        "creationDate": group["CreationDate"].isoformat(),
        "lastModificationDate": group["LastModificationDate"].isoformat(),
    }
    return Made(name, outputs)


def _delete_group(deletion: Deletion) -> None:
    deletion.cloud.client("scheduler").delete_schedule_group(Name=deletion.resource.id)


KINDS: Final = (
    Kind(
        resource=aws.scheduler.Schedule,
        args=aws.scheduler.ScheduleArgs,
        honoured=frozenset(_SCHEDULE_NAMES) | names("flexibleTimeWindow groupName name namePrefix target"),
        create=_create_schedule,
        delete=_delete_schedule,
    ),
    Kind(
        resource=aws.scheduler.ScheduleGroup,
        args=aws.scheduler.ScheduleGroupArgs,
        honoured=names("name namePrefix tags"),
        create=_create_group,
        delete=_delete_group,
    ),
)
