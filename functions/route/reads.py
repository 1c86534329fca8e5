"""What people and SDKs may read: groups, autogroups, workers, decisions. Nothing here changes anything.

Paths and shapes are those of Vast's router and of the part of its console that its serverless client asks, so that `vastai` and its
SDK work when pointed here. Parameters are asked for by the integer id that Vast's clients know, or by name.

A key sees the groups that it opens, and of a group that it does not open not even that it exists. Groups and autogroups are seen by
any key, since a client has to find its endpoint before it can send a request; workers and decisions by keys with the scope `read`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from functions.adapters.function_url import HttpReply, HttpRequest, check_path, refusal
from functions.core.model import Autogroup, EndpointGroup, Scope, Worker, fleet_shards
from functions.core.public_ids import AmbiguousId, autogroup_id, endpoint_id, named
from functions.core.rate_limit import told
from functions.core.schedules import InForce
from functions.route.authenticate import Caller, authenticate, let_in
from functions.route.caches import RouteCaches
from functions.route.decision_log import RECORDS_READ_MAX, TAIL_DEFAULT, TAIL_MAX, log_of
from functions.route.service import RoutePorts, known_group, no_such_group, over_limit_s
from functions.route.vast_rows import autogroup_row, endpoint_row, worker_row
from protocol.problem import Problem, RequestRefused, shown

_T = TypeVar("_T")

_CONFIGURED: Final = re.compile(r"(/api/v0/(?:endptjobs|autojobs|workergroups)/)(?:([0-9]{1,10})/)?")


def read(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    """Return the reply to a read. Raises RequestRefused and StoreUnavailable."""
    if configured := _CONFIGURED.fullmatch(request.path):
        return _configuration(request, *configured.groups(), ports=ports, caches=caches)
    check_path(request, dict.fromkeys(_ASKED, "POST"))
    caller, body = let_in(request, Scope.READ, ports=ports, caches=caches)
    _within_limit(caller, ports=ports, caches=caches)
    rows = _ASKED[request.path](_Reader(caller=caller, ports=ports, caches=caches), body)
    return HttpReply(status=200, body=rows, outcome="read", facts={"path": request.path})


def _configuration(request: HttpRequest, path: str, wanted: str | None, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    """Answer in the shape of Vast's console, whose refusals its command line tells by `msg`."""
    try:
        if request.method != "GET":
            raise _unchangeable()
        caller = authenticate(request.bearer() or request.query.get("api_key"), *Scope, ports=ports, caches=caches)
        _within_limit(caller, ports=ports, caches=caches)
        reader = _Reader(caller=caller, ports=ports, caches=caches)
        kind = _CONSOLE[path]
        found = {"results": kind.rows(reader)} if wanted is None else {"result": kind.row(reader, int(wanted))}
    except RequestRefused as exc:
        refused = refusal(exc.problem)
        problem = exc.problem
        body = {**problem.wire(), "success": False, "msg": "; ".join(filter(None, (problem.message, problem.remedy)))}
        return HttpReply(status=refused.status, body=body, outcome=refused.outcome, headers=refused.headers)
    return HttpReply(status=200, body={"success": True, **found}, outcome="read", facts={"path": path})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """What one caller may look at."""

    caller: Caller
    ports: RoutePorts
    caches: RouteCaches

    # What the stack file says

    def endpoints(self) -> list[dict[str, Any]]:
        return [endpoint_row(group, api_key=self.caller.text) for group in self._groups()]

    def endpoint(self, wanted: int) -> dict[str, Any]:
        return endpoint_row(self._group_by_id(wanted), api_key=self.caller.text)

    def autogroups(self) -> list[dict[str, Any]]:
        return [autogroup_row(endpoint, each, api_key=self.caller.text) for endpoint, each in self._autogroups()]

    def autogroup(self, wanted: int) -> dict[str, Any]:
        return autogroup_row(*self._autogroup_by_id(wanted), api_key=self.caller.text)

    # What is going on

    def endpoint_workers(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._rows(self._workers(self._group(body)))

    def autogroup_workers(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        endpoint, autogroup = self._autogroup(body)
        return self._rows(each for each in self._workers(self._known(endpoint)) if each.rental.autogroup == autogroup)

    def endpoint_log(self, body: Mapping[str, Any]) -> dict[str, str]:
        return self._log(self._group(body).endpoint, body)

    def autogroup_log(self, body: Mapping[str, Any]) -> dict[str, str]:
        endpoint, autogroup = self._autogroup(body)
        return self._log(endpoint, body, autogroup=autogroup)

    def update_workers(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Say how workers are replaced; Vast's clients take a refusal from the body of a success alone."""
        _, autogroup = self._autogroup_by_id(_id(body, "workergroup_id"))
        refused = "workers are not updated in place: they follow the stack file"
        remedy = f"give the autogroup {autogroup.name!r} another name and its new image there, and run `pulumi up`"
        told = f"{refused}; {remedy}; each worker of the old one leaves once its replacement serves"
        return {"success": False, "error_msg": told, "workers_to_update": 0, "cancelled": False}

    def _log(self, endpoint: str, body: Mapping[str, Any], *, autogroup: str | None = None) -> dict[str, str]:
        tail = (
            _whole(body, "tail", TAIL_MAX, "send the number of lines that you want, or nothing") if "tail" in body else TAIL_DEFAULT
        )
        records = self.ports.store.recent_decisions(endpoint, limit=min(tail, RECORDS_READ_MAX))
        return log_of(records, tail=tail, autogroup=autogroup)

    def _rows(self, workers: Any) -> list[dict[str, Any]]:
        now_s = self.ports.clock.now_s()
        return [worker_row(worker, now_s=now_s) for worker in workers]

    def _workers(self, group: EndpointGroup) -> Sequence[Worker]:
        declared = self._in_force(group.endpoint).declared
        return self.ports.store.workers(group.endpoint, range(fleet_shards(declared.max_workers)))

    def _group(self, body: Mapping[str, Any]) -> EndpointGroup:
        name = body.get("endpoint")
        if isinstance(name, str):
            return self._known(name)
        return self._group_by_id(_id(body))

    def _autogroup(self, body: Mapping[str, Any]) -> tuple[str, str]:
        endpoint, name = body.get("endpoint"), body.get("autogroup")
        if isinstance(endpoint, str) and isinstance(name, str):
            self._known(endpoint)
            return endpoint, name
        endpoint, autogroup = self._autogroup_by_id(_id(body))
        return endpoint, autogroup.name

    def _group_by_id(self, wanted: int) -> EndpointGroup:
        return self._known(_meant(wanted, sorted(self.caller.key.endpoints), endpoint_id))

    def _autogroup_by_id(self, wanted: int) -> tuple[str, Autogroup]:
        return _meant(wanted, self._autogroups(), lambda pair: autogroup_id(pair[0], pair[1].name))

    def _autogroups(self) -> list[tuple[str, Autogroup]]:
        return [(group.endpoint, each) for group in self._groups() for each in self.ports.store.autogroups(group.endpoint)]

    def _groups(self) -> list[EndpointGroup]:
        """Return the groups that the key opens and that are there: a key may outlive a group by one deployment."""
        found = []
        for name in sorted(self.caller.key.endpoints):
            try:
                found.append(self._known(name))
            except RequestRefused:
                continue
        return found

    def _known(self, name: str) -> EndpointGroup:
        return self._in_force(name).group

    def _in_force(self, name: str) -> InForce:
        return known_group(name, key=self.caller.key, ports=self.ports, caches=self.caches)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of configuration is listed, and one of them looked up."""

    rows: Callable[[_Reader], list[dict[str, Any]]]
    row: Callable[[_Reader, int], dict[str, Any]]


_ENDPOINTS: Final = _Kind(_Reader.endpoints, _Reader.endpoint)
_AUTOGROUPS: Final = _Kind(_Reader.autogroups, _Reader.autogroup)
_CONSOLE: Final = {
    "/api/v0/endptjobs/": _ENDPOINTS,
    "/api/v0/autojobs/": _AUTOGROUPS,
    "/api/v0/workergroups/": _AUTOGROUPS,
}
_ASKED: Final[dict[str, Callable[[_Reader, Mapping[str, Any]], list[dict[str, Any]] | dict[str, Any]]]] = {
    "/get_endpoint_workers/": _Reader.endpoint_workers,
    "/get_autogroup_workers/": _Reader.autogroup_workers,
    "/get_workergroup_workers/": _Reader.autogroup_workers,
    "/get_endpoint_logs/": _Reader.endpoint_log,
    "/get_autogroup_logs/": _Reader.autogroup_log,
    "/get_workergroup_logs/": _Reader.autogroup_log,
    "/update_workers/": _Reader.update_workers,
}


def _meant(wanted: int, things: Sequence[_T], id_of: Callable[[_T], int]) -> _T:
    try:
        found = named(wanted, things, id_of)
    except AmbiguousId:
        message, remedy = f"two names have the id {wanted}", "ask by name"
        raise RequestRefused(Problem(status=400, code="invalid_field", message=message, field="id", remedy=remedy)) from None
    if found is None:
        raise no_such_group(f"with the id {wanted}", field="id")
    return found


def _id(body: Mapping[str, Any], field: str = "id") -> int:
    return _whole(body, field, 2**31, "send the id of a group, or its name as `endpoint`")


def _whole(body: Mapping[str, Any], field: str, most: int, remedy: str) -> int:
    value = body.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        message = f"{field} cannot be {shown(value)}"
        raise RequestRefused(Problem(status=400, code="invalid_field", message=message, field=field, remedy=remedy))
    return value


def _within_limit(caller: Caller, *, ports: RoutePorts, caches: RouteCaches) -> None:
    """Count a read as one request without load. Raises RequestRefused (429)."""
    wait_s = over_limit_s(caller.key, cost=0.0, ports=ports, caches=caches)
    if wait_s:
        retry_after_s = math.ceil(wait_s)
        message = f"the limit of this API key is reached ({told(caller.key)})"
        remedy = f"ask again in {retry_after_s} s, or raise the limit in the stack file"
        raise RequestRefused(Problem(status=429, code="rate_limited", message=message, remedy=remedy, retry_after_s=retry_after_s))


def _unchangeable() -> RequestRefused:
    message = "groups are what the stack file says, and are not changed here"
    remedy = "edit `headgate:endpoints` in the stack file and run `pulumi up`"
    return RequestRefused(Problem(status=405, code="wrong_method", message=message, remedy=remedy))
