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
    shared = settings.model_dump(mode="json", exclude={"autogroups", "max_hourly_cost_usd"})
    return {**shared, "endpoint": endpoint, "max_hourly_cost_micro_usd": settings.max_hourly_cost_micro_usd}


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
