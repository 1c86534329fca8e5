"""Endpoint groups as items of the table: a change in the stack file is a change of items, live within one tick.

The items' `spec` is the JSON of the functions' `EndpointGroup` and `Autogroup`, field by field. The two packages do not import
each other; a test reads what is written here with what the functions read it with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi

from infra.autogroup_settings import AutogroupSettings
from infra.blacklist_settings import BlacklistSettings
from infra.endpoint_settings import EndpointSettings
from infra.offer_query import without
from infra.schedule_settings import ScheduleSettings
from infra.state_table import StateTable


class EndpointGroup(pulumi.ComponentResource):
    """The items of one endpoint group and its autogroups."""

    def __init__(self, endpoint: str, settings: EndpointSettings, *, table: StateTable, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:EndpointGroup", f"group-{endpoint}", opts=opts)
        self.items = [table.put(f"group-{endpoint}", _item(endpoint, "SPEC", group_spec(endpoint, settings)), parent=self)]
        for name, autogroup in settings.autogroups.items():
            spec = autogroup_spec(name, autogroup, blacklist=settings.blacklist)
            self.items.append(table.put(f"autogroup-{endpoint}.{name}", _item(endpoint, f"AUTOGROUP#{name}", spec), parent=self))
        self.register_outputs({})


def group_spec(endpoint: str, settings: EndpointSettings) -> dict[str, object]:
    """Return the fields of the functions' EndpointGroup."""
    schedules = {name: _schedule_spec(schedule, settings) for name, schedule in settings.schedules.items()}
    return {**_parameters(settings), "endpoint": endpoint, "schedules": schedules}


def _parameters(settings: EndpointSettings) -> dict[str, object]:
    shared = settings.model_dump(mode="json", exclude={"autogroups", "max_hourly_cost_usd", "schedules"})
    return {**shared, "max_hourly_cost_micro_usd": settings.max_hourly_cost_micro_usd}


def _schedule_spec(schedule: ScheduleSettings, settings: EndpointSettings) -> dict[str, object]:
    """Return the fields of the functions' Schedule: what the expression and the zone mean, so that no function has to know."""
    parameters = _parameters(settings.as_set_by(schedule))
    names = ("max_hourly_cost_micro_usd" if name == "max_hourly_cost_usd" else name for name in schedule.changes)
    return {
        "cron": schedule.values,
        "zone": schedule.zone,
        "for_s": schedule.for_s,
        "sets": {name: parameters[name] for name in names},
    }


def autogroup_spec(name: str, settings: AutogroupSettings, *, blacklist: BlacklistSettings) -> dict[str, object]:
    """Return the fields of the functions' Autogroup. What is secret is not among them: it goes to Secrets Manager."""
    shared = settings.model_dump(mode="json", exclude={"backend", "secret_env", "image_login", "max_bid_usd"})
    backend = {} if settings.backend is None else {"BACKEND": settings.backend}
    return {
        **shared,
        "name": name,
        "env": {**settings.env, **backend},
        "search_params": without(settings.search_params, machine_id=blacklist.machines, host_id=blacklist.hosts),
        "max_bid_micro_usd": settings.max_bid_micro_usd,
    }


def _item(endpoint: str, sort_key: str, spec: Mapping[str, object]) -> dict[str, object]:
    return {"pk": {"S": f"ENDPOINT#{endpoint}"}, "sk": {"S": sort_key}, "spec": {"S": json.dumps(spec, sort_keys=True)}}
