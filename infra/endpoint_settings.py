"""An endpoint group, as a stack file describes it.

Parameter names are Vast's, unchanged; `max_hourly_cost_usd`, `ticket_ttl_s` and `blacklist` are Headgate's own. Defaults are
those of the functions' model, where the units and meanings are defined too; a test compares the two. A description completes the
sentence "Set …", since it is the remedy of a faulty value.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from infra.autogroup_settings import MICRO_USD, AutogroupSettings
from infra.blacklist_settings import BlacklistSettings, spelled_out
from infra.config_faults import STRICT, refusal
from infra.offer_query import query_fields
from infra.schedule_settings import SCHEDULES_MAX, ScheduleSettings

# The marketplace lists an account's instances 25 at a time, once a second: a thousand take most of one invocation of the scaler.
WORKERS_MAX: Final = 1_000
NAME_LENGTH_MAX: Final = 48  # two names, a stack and a worker's id fit the marketplace's label of 256
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None or len(text) > NAME_LENGTH_MAX:
        raise refusal(
            "is not a name that labels, keys and schedules can carry",
            f"Use 1 to {NAME_LENGTH_MAX} letters, digits, '-' and '_', beginning with a letter or digit",
        )
    return text


def _as_text(number: object) -> object:
    # `update_surge: 2` is a number in YAML, `25%` a text.
    return str(number) if type(number) is int else number


Name = Annotated[str, AfterValidator(_name)]
Load = Annotated[float, Field(ge=0)]


class EndpointSettings(BaseModel):
    """What clients call by name, and how its fleet may grow."""

    model_config = STRICT

    max_workers: int = Field(
        ge=1, le=WORKERS_MAX, description=f"the most workers the group may have, running or stopped (1 to {WORKERS_MAX})"
    )
    max_hourly_cost_usd: Decimal = Field(
        gt=0, le=100_000, decimal_places=6, description="the most the group may cost in one hour, in dollars, above 0"
    )
    min_load: Load = Field(default=0.0, description="the load per second to keep ready at all times, 0 or more")
    min_cold_load: Load = Field(default=0.0, description="the load per second to keep rented, ready or stopped, 0 or more")
    target_util: float = Field(default=0.9, gt=0, le=1, description="the share of capacity to use, above 0 and at most 1")
    cold_mult: float = Field(default=2.5, ge=1, le=100, description="rented capacity as a multiple of the active load, at least 1")
    cold_workers: int = Field(default=0, ge=0, description="how many workers to keep rented at least, 0 to 'max_workers'")
    test_workers: int = Field(default=1, ge=0, description="how many workers an untried autogroup may explore, 0 to 'max_workers'")
    max_queue_time: float = Field(
        default=30.0, gt=0, le=3600, description="for how many seconds' work a worker may have a queue, above 0 and at most 3600"
    )
    target_queue_time: float = Field(
        default=10.0, gt=0, le=3600, description="the queue in seconds that the group scales for, at most 'max_queue_time'"
    )
    inactivity_timeout: float = Field(
        default=300.0, description="after how many seconds without demand the group may go to zero (0: at once, negative: never)"
    )
    scale_down_window: float = Field(
        default=180.0, ge=0, le=3600, description="for how many seconds capacity that was needed is kept running, 0 to 3600"
    )
    shortage_cost: float = Field(
        default=20.0, ge=0, le=1000, description="how many times dearer being short of a worker is than an idle one, 0 to 1000"
    )
    ticket_ttl_s: int = Field(default=60, ge=5, le=3600, description="for how many seconds a route ticket is valid, 5 to 3600")
    update_surge: Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^([1-9][0-9]{0,4}|([1-9]|[1-9][0-9]|100)%)$")] = Field(
        default="25%", description="how many workers more than needed an update may have at a time: a number, or 1% to 100%"
    )
    update_perf_min: float = Field(
        default=0.5, ge=0, le=1, description="the share of the performance before, below which a new version has failed, 0 to 1"
    )
    endpoint_state: Literal["active", "suspended", "stopped"] = Field(
        default="active", description="active, suspended (hold the fleet as it is) or stopped (no running worker)"
    )
    interruptible_share_max: float = Field(
        default=1.0, ge=0, le=1, description="the share of the running workers that may be rented by a bid, 0 to 1"
    )
    blacklist: Annotated[BlacklistSettings, BeforeValidator(spelled_out)] = Field(
        default=BlacklistSettings(), description="machines never to rent, as a list of ids, or a map of machines, hosts and allow"
    )
    schedules: dict[Name, ScheduleSettings] = Field(
        default_factory=dict, max_length=SCHEDULES_MAX, description="what changes at which times, as a map by name"
    )
    autogroups: dict[Name, AutogroupSettings] = Field(min_length=1, description="at least one autogroup, as a map by name")

    @property
    def max_hourly_cost_micro_usd(self) -> int:
        """The ceiling in the unit that everything inside reckons in. Exact: the field has at most six decimals."""
        return int(self.max_hourly_cost_usd * MICRO_USD)

    def as_set_by(self, schedule: ScheduleSettings) -> EndpointSettings:
        """Return the group as the schedule has it, with its values as the group's own are: a whole number where one is meant."""
        return EndpointSettings.model_validate({**dict(self), **schedule.changes}, strict=False)

    @field_validator("cold_workers", "test_workers")
    @classmethod
    def _within_the_fleet(cls, workers: int, info: ValidationInfo) -> int:
        if workers > info.data.get("max_workers", workers):
            raise refusal(f"exceeds max_workers ({info.data['max_workers']})", f"Lower it, or raise 'max_workers' to {workers}")
        return workers

    @field_validator("target_queue_time")
    @classmethod
    def _target_within_the_limit(cls, target_s: float, info: ValidationInfo) -> float:
        limit_s = info.data.get("max_queue_time", target_s)
        if target_s > limit_s:
            raise refusal(f"exceeds max_queue_time ({limit_s:g})", f"Set it to {limit_s:g} or less, or raise 'max_queue_time'")
        return target_s

    @field_validator("autogroups")
    @classmethod
    def _something_beside_bids(cls, autogroups: dict[str, AutogroupSettings], info: ValidationInfo) -> dict[str, AutogroupSettings]:
        on_demand = any(one.rental_type != "interruptible" or one.on_demand_fallback for one in autogroups.values())
        if info.data.get("interruptible_share_max", 1.0) < 1 and not on_demand:
            raise refusal(
                "are rented by bids alone although 'interruptible_share_max' is below 1, so that nothing could be rented",
                "Set 'on_demand_fallback' of one of them, or add one that is rented on demand",
            )
        return autogroups

    @field_validator("autogroups")
    @classmethod
    def _one_machine_filter(cls, autogroups: dict[str, AutogroupSettings], info: ValidationInfo) -> dict[str, AutogroupSettings]:
        blacklist = info.data.get("blacklist", BlacklistSettings())
        for field, listed, named in (("machine_id", blacklist.machines, "machines"), ("host_id", blacklist.hosts, "hosts")):
            for name, autogroup in autogroups.items() if listed else ():
                if field in query_fields(autogroup.search_params):
                    raise refusal(
                        f"{name!r} filters on {field} although the group has a blacklist of {named}",
                        f"Move the {named} to 'blacklist'",
                    )
        return autogroups
