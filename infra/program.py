"""What a stack is made of, in the order in which its parts need each other.

    table, credentials, dead letters
      └─ rotate function ─ first keys
      └─ report function ─ report URL
           └─ scale function                    groups' items and alarms
                └─ route function                 │
                     ╲            releases ───────┘
                      ╲             │
                       route URL ───┴─── schedules

At destroy the order turns round: the schedules and the route URL go first, so that nobody asks for workers any more, then each
group is released, and only then what a release needs. Nothing in here knows whether the CLI or the sandbox runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.alarms import Alarms
from infra.api_keys import ApiKeys
from infra.code_package import Target, package_functions
from infra.config import StackSettings, read_stack_file
from infra.credentials import Credentials
from infra.dashboard import declare_dashboard
from infra.dead_letters import DeadLetters
from infra.function import Foundation, Function
from infra.group import EndpointGroup
from infra.release import declare_release
from infra.report import declare_report
from infra.rotate import declare_first_keys, declare_rotate
from infra.route import declare_route
from infra.scale import ScaleNeeds, declare_scale
from infra.schedule import Schedules
from infra.state_table import StateTable
from infra.tagging import tagged
from infra.urls import PublicUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
    """What has state."""

    table: StateTable
    credentials: Credentials
    dead_letters: DeadLetters


def main(package: Callable[[Target], Path] = package_functions) -> None:
    """Declare the stack that Pulumi runs, with the code that `package` makes for its target.

    Raises StackFileInvalid and PackagingFailed, before anything is declared.
    """
    stack = pulumi.get_stack()
    settings = read_stack_file(stack)
    code = package(settings.package_target)
    opts = _everything(stack, settings)
    stores = _Stores(
        table=StateTable(f"headgate-{stack}", protect=settings.protect_table, opts=opts),
        credentials=Credentials(stack, settings, opts=opts),
        dead_letters=DeadLetters(f"headgate-{stack}", opts=opts),
    )
    foundation = Foundation(
        stack=stack, settings=settings, code=pulumi.FileArchive(str(code)), table_name=stores.table.name, opts=opts
    )
    _compose(foundation, stores)


def _everything(stack: str, settings: StackSettings) -> pulumi.ResourceOptions:
    tags = {"headgate:stack": stack, "headgate:managed-by": "pulumi", **settings.tags}
    root = pulumi.ComponentResource(
        "headgate:index:ControlPlane", f"headgate-{stack}", opts=pulumi.ResourceOptions(transformations=[tagged(tags)])
    )
    return pulumi.ResourceOptions(parent=root)


def _compose(foundation: Foundation, stores: _Stores) -> None:
    table, credentials, opts = stores.table, stores.credentials, foundation.opts
    rotate = declare_rotate(foundation, table=table, credentials=credentials, dead_letters=stores.dead_letters)
    first_keys = declare_first_keys(rotate, table=table, credentials=credentials, opts=opts)
    report = declare_report(foundation, table_arn=table.arn, credentials=credentials)
    report_url = PublicUrl("report", report, depends_on=[first_keys], opts=opts)
    needs = ScaleNeeds(table_arn=table.arn, credentials=credentials, report_url=report_url.url, dead_letters=stores.dead_letters)
    scale = declare_scale(foundation, needs)
    schedules = Schedules(foundation.prefix, scale=scale, rotate=rotate, dead_letters=stores.dead_letters, opts=opts)
    schedules.rotate_keys(depends_on=first_keys)
    alarms = Alarms(foundation.prefix, namespace=foundation.metrics_namespace, email=foundation.settings.alarm_email, opts=opts)
    releases = _groups(foundation, stores, scale, schedules, alarms)
    route = declare_route(foundation, table_arn=table.arn, credentials=credentials, scale=scale)
    route_url = PublicUrl("route", route, depends_on=[first_keys, *releases], opts=opts)
    _observe(foundation, stores, alarms, {"route": route, "report": report, "scale": scale})
    keys = ApiKeys(foundation.settings.api_keys, table=table, opts=opts)
    pulumi.export("route_url", route_url.url)
    pulumi.export("report_url", report_url.url)
    pulumi.export("api_keys", keys.plaintext)
    pulumi.export("table_name", table.name)
    pulumi.export("endpoints", sorted(foundation.settings.endpoints))


def _groups(
    foundation: Foundation, stores: _Stores, scale: Function, schedules: Schedules, alarms: Alarms
) -> list[aws.lambda_.Invocation]:
    """Declare each endpoint group's items, alarms, release and schedule; return the releases."""
    opts = foundation.opts
    releases = []
    for endpoint, settings in foundation.settings.endpoints.items():
        group = EndpointGroup(endpoint, settings, table=stores.table, opts=opts)
        needs = [*group.items, stores.table, stores.credentials, *alarms.watch_group(endpoint)]
        release = declare_release(endpoint, scale=scale, depends_on=needs, opts=opts)
        schedules.tick(endpoint, depends_on=release)
        for name, schedule in settings.schedules.items():
            schedules.change(endpoint, name, schedule, depends_on=release)
        releases.append(release)
    return releases


def _observe(foundation: Foundation, stores: _Stores, alarms: Alarms, functions: dict[str, Function]) -> None:
    for part, function in functions.items():
        alarms.watch_function(part, function)
    for part in ("route", "report"):
        alarms.watch_url(part, functions[part])
    alarms.watch_dead_letters(stores.dead_letters)
    if foundation.settings.endpoints and foundation.settings.credit_alarm_hours:
        alarms.watch_credit(hours=foundation.settings.credit_alarm_hours)
    declare_dashboard(foundation, functions=functions, table=stores.table, dead_letters=stores.dead_letters)
