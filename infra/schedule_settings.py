"""A schedule of an endpoint group, as a stack file describes it: when, in which time zone, for how long, and what it sets.

What it may set are the group's own parameters, under the group's own rules; `schedule_faults` holds them to these.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from infra.config_faults import STRICT, refusal
from infra.cron import EXPRESSION, CronInvalid, cron_values
from infra.time_zone import ZoneIrregular, ZoneUnknown, known_zones, zone_rule

SCHEDULES_MAX: Final = 20
HOURS_MAX: Final = 8_784  # a leap year
# What the scaler alone goes by, so that it may change at any minute. Workers and tickets that exist would not follow the others.
SETTABLE: Final = (
    "max_workers",
    "max_hourly_cost_usd",
    "min_load",
    "min_cold_load",
    "target_util",
    "cold_mult",
    "cold_workers",
    "test_workers",
    "target_queue_time",
    "inactivity_timeout",
    "scale_down_window",
    "shortage_cost",
    "endpoint_state",
)
CEILINGS: Final = ("max_workers", "max_hourly_cost_usd")
PHYSICAL_NAME_LENGTH_MAX: Final = 64  # EventBridge's


def physical_name(endpoint: str, name: str) -> str:
    """Return what the schedule is called on AWS: no endpoint group's name has a dot, nor has that of the keys' schedule two."""
    return f"{endpoint}.at.{name}"


def _cron(text: str) -> str:
    try:
        cron_values(text)
    except CronInvalid as invalid:
        raise refusal(str(invalid), f"Write {EXPRESSION}") from None
    return text


def _timezone(name: str) -> str:
    try:
        zone_rule(name)
    except ZoneUnknown as unknown:
        near = difflib.get_close_matches(name, known_zones(), n=1)
        example = near[0] if near else "Europe/Berlin"
        raise refusal(str(unknown), f"Write the name of a zone, such as {example}, or UTC") from None
    except ZoneIrregular as irregular:
        raise refusal(str(irregular), "Write a zone of a fixed offset, such as Etc/GMT-1 for one hour east of Greenwich") from None
    return name


class ScheduleSettings(BaseModel):
    """What holds of the group from certain times on."""

    model_config = STRICT

    cron: Annotated[str, AfterValidator(_cron)] = Field(description=f"when it begins, as EventBridge writes it: {EXPRESSION}")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="UTC", description="the zone whose clock 'cron' goes by, such as Europe/Berlin"
    )
    for_hours: float | None = Field(
        default=None,
        gt=0,
        le=HOURS_MAX,
        description=f"for how many hours it holds, above 0 and at most {HOURS_MAX}, or nothing for until another one sets the same",
    )
    changes: dict[str, object] = Field(
        alias="set", min_length=1, description=f"what it sets, as a map of parameters: {', '.join(SETTABLE)}"
    )

    @property
    def for_s(self) -> float | None:
        """For how many seconds it holds."""
        return None if self.for_hours is None else self.for_hours * 3600

    @property
    def values(self) -> Mapping[str, object]:
        """What its expression means."""
        return cron_values(self.cron)

    @property
    def zone(self) -> Mapping[str, object]:
        """The rule of its time zone."""
        return zone_rule(self.timezone)
