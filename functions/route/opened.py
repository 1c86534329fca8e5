"""What a caller's key opens, found by the integer ids that Vast's clients know, or by name.

Of a group that the key does not open, not even that it exists is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from functions.core.model import Autogroup, EndpointGroup, Worker, fleet_shards
from functions.core.public_ids import AmbiguousId, autogroup_id, endpoint_id, named
from functions.core.rate_limit import told
from functions.core.schedules import InForce
from functions.route.authenticate import Caller
from functions.route.caches import RouteCaches
from functions.route.service import RoutePorts, known_group, no_such_group, over_limit_s
from protocol.problem import Problem, RequestRefused, shown

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The groups that one caller may see. Every method may raise RequestRefused (400, 404) and StoreUnavailable."""

    caller: Caller
    ports: RoutePorts
    caches: RouteCaches

    def group(self, body: Mapping[str, Any]) -> EndpointGroup:
        """Return the group that a body names by `endpoint` or `id`."""
        name = body.get("endpoint")
        if isinstance(name, str):
            return self.known(name)
        return self.group_by_id(_id(body, "id"))

    def autogroup(self, body: Mapping[str, Any], *, field: str = "id") -> tuple[str, str]:
        """Return group and autogroup that a body names by `endpoint` and `autogroup`, or by the id in `field`."""
        endpoint, name = body.get("endpoint"), body.get("autogroup")
        if isinstance(endpoint, str) and isinstance(name, str):
            self.known(endpoint)
            return endpoint, name
        endpoint, autogroup = self.autogroup_by_id(_id(body, field))
        return endpoint, autogroup.name

    def group_by_id(self, wanted: int) -> EndpointGroup:
        """Return the group of this id."""
        return self.known(_meant(wanted, sorted(self.caller.key.endpoints), endpoint_id))

    def autogroup_by_id(self, wanted: int) -> tuple[str, Autogroup]:
        """Return the autogroup of this id, and its group's name."""
        return _meant(wanted, self.autogroups(), lambda pair: autogroup_id(pair[0], pair[1].name))

    def autogroups(self) -> list[tuple[str, Autogroup]]:
        """Return every autogroup, with its group's name."""
        return [(group.endpoint, each) for group in self.groups() for each in self.ports.store.autogroups(group.endpoint)]

    def groups(self) -> list[EndpointGroup]:
        """Return the groups that the key opens and that are there: a key may outlive a group by one deployment."""
        found = []
        for name in sorted(self.caller.key.endpoints):
            try:
                found.append(self.known(name))
            except RequestRefused:
                continue
        return found

    def known(self, name: str) -> EndpointGroup:
        """Return the group of this name."""
        return self.in_force(name).group

    def in_force(self, name: str) -> InForce:
        """Return the parameters of the group of this name, as declared and as they hold now."""
        return known_group(name, key=self.caller.key, ports=self.ports, caches=self.caches)

    def workers(self, group: EndpointGroup) -> Sequence[Worker]:
        """Return the group's workers of every shard."""
        declared = self.in_force(group.endpoint).declared
        return self.ports.store.workers(group.endpoint, range(fleet_shards(declared.max_workers)))


def whole(body: Mapping[str, Any], field: str, most: int, remedy: str) -> int:
    """Return the number from 1 to `most` that a body holds. Raises RequestRefused (400)."""
    value = body.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        message = f"{field} cannot be {shown(value)}"
        raise RequestRefused(Problem(status=400, code="invalid_field", message=message, field=field, remedy=remedy))
    return value


def within_limit(caller: Caller, *, ports: RoutePorts, caches: RouteCaches) -> None:
    """Count a call that is no route as one request without load. Raises RequestRefused (429)."""
    wait_s = over_limit_s(caller.key, cost=0.0, ports=ports, caches=caches)
    if wait_s:
        retry_after_s = math.ceil(wait_s)
        message = f"the limit of this API key is reached ({told(caller.key)})"
        remedy = f"ask again in {retry_after_s} s, or raise the limit in the stack file"
        raise RequestRefused(Problem(status=429, code="rate_limited", message=message, remedy=remedy, retry_after_s=retry_after_s))


def _meant(wanted: int, things: Sequence[_T], id_of: Callable[[_T], int]) -> _T:
    try:
        found = named(wanted, things, id_of)
    except AmbiguousId:
        message, remedy = f"two names have the id {wanted}", "ask by name"
        raise RequestRefused(Problem(status=400, code="invalid_field", message=message, field="id", remedy=remedy)) from None
    if found is None:
        raise no_such_group(f"with the id {wanted}", field="id")
    return found


def _id(body: Mapping[str, Any], field: str) -> int:
    return whole(body, field, 2**31, "send the id of a group, or its name as `endpoint`")
