"""What people and SDKs may read: groups, autogroups, workers, decisions. Nothing here changes anything.

Paths and shapes are those of Vast's router and of the part of its console that its serverless client asks, so that `vastai` and its
SDK work when pointed here. Parameters are asked for by the integer id that Vast's clients know, or by name.

A key sees the groups that it opens, and of a group that it does not open not even that it exists. Groups and autogroups are seen by
any key, since a client has to find its endpoint before it can send a request; workers and decisions by keys with the scope `read`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from functions.adapters.function_url import HttpReply, HttpRequest, check_path, refusal
from functions.core.model import Scope
from functions.route.authenticate import authenticate, let_in
from functions.route.caches import RouteCaches
from functions.route.decision_log import RECORDS_READ_MAX, TAIL_DEFAULT, TAIL_MAX, log_of
from functions.route.machine_rows import machine_rows
from functions.route.opened import Opened, whole, within_limit
from functions.route.service import RoutePorts
from functions.route.vast_rows import autogroup_row, endpoint_row, worker_row
from protocol.problem import Problem, RequestRefused

_CONFIGURED: Final = re.compile(r"(/api/v0/(?:endptjobs|autojobs|workergroups)/)(?:([0-9]{1,10})/)?")


def read(request: HttpRequest, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    """Return the reply to a read. Raises RequestRefused and StoreUnavailable."""
    if configured := _CONFIGURED.fullmatch(request.path):
        return _configuration(request, *configured.groups(), ports=ports, caches=caches)
    check_path(request, dict.fromkeys(_ASKED, "POST"))
    caller, body = let_in(request, Scope.READ, ports=ports, caches=caches)
    within_limit(caller, ports=ports, caches=caches)
    rows = _ASKED[request.path](_Reader(opened=Opened(caller=caller, ports=ports, caches=caches)), body)
    return HttpReply(status=200, body=rows, outcome="read", facts={"path": request.path})


def _configuration(request: HttpRequest, path: str, wanted: str | None, *, ports: RoutePorts, caches: RouteCaches) -> HttpReply:
    """Answer in the shape of Vast's console, whose refusals its command line tells by `msg`."""
    try:
        if request.method != "GET":
            raise _unchangeable()
        caller = authenticate(request.bearer() or request.query.get("api_key"), *Scope, ports=ports, caches=caches)
        within_limit(caller, ports=ports, caches=caches)
        reader = _Reader(opened=Opened(caller=caller, ports=ports, caches=caches))
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

    opened: Opened

    @property
    def ports(self) -> RoutePorts:
        """What the router needs of the world."""
        return self.opened.ports

    # What the stack file says

    def endpoints(self) -> list[dict[str, Any]]:
        return [endpoint_row(group, api_key=self.opened.caller.text) for group in self.opened.groups()]

    def endpoint(self, wanted: int) -> dict[str, Any]:
        return endpoint_row(self.opened.group_by_id(wanted), api_key=self.opened.caller.text)

    def autogroups(self) -> list[dict[str, Any]]:
        return [autogroup_row(endpoint, each, api_key=self.opened.caller.text) for endpoint, each in self.opened.autogroups()]

    def autogroup(self, wanted: int) -> dict[str, Any]:
        return autogroup_row(*self.opened.autogroup_by_id(wanted), api_key=self.opened.caller.text)

    # What is going on

    def endpoint_workers(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._rows(self.opened.workers(self.opened.group(body)))

    def autogroup_workers(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        endpoint, autogroup = self.opened.autogroup(body)
        return self._rows(each for each in self.opened.workers(self.opened.known(endpoint)) if each.rental.autogroup == autogroup)

    def endpoint_machines(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        group = self.opened.group(body)
        return machine_rows(group, self.ports.store.scaler_state(group.endpoint), now_s=self.ports.clock.now_s())

    def endpoint_log(self, body: Mapping[str, Any]) -> dict[str, str]:
        return self._log(self.opened.group(body).endpoint, body)

    def autogroup_log(self, body: Mapping[str, Any]) -> dict[str, str]:
        endpoint, autogroup = self.opened.autogroup(body)
        return self._log(endpoint, body, autogroup=autogroup)

    def _log(self, endpoint: str, body: Mapping[str, Any], *, autogroup: str | None = None) -> dict[str, str]:
        tail = (
            whole(body, "tail", TAIL_MAX, "send the number of lines that you want, or nothing") if "tail" in body else TAIL_DEFAULT
        )
        records = self.ports.store.recent_decisions(endpoint, limit=min(tail, RECORDS_READ_MAX))
        return log_of(records, tail=tail, autogroup=autogroup)

    def _rows(self, workers: Any) -> list[dict[str, Any]]:
        now_s = self.ports.clock.now_s()
        return [worker_row(worker, now_s=now_s) for worker in workers]


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
    "/get_endpoint_machines/": _Reader.endpoint_machines,
    "/get_endpoint_logs/": _Reader.endpoint_log,
    "/get_autogroup_logs/": _Reader.autogroup_log,
    "/get_workergroup_logs/": _Reader.autogroup_log,
}


def _unchangeable() -> RequestRefused:
    message = "groups are what the stack file says, and are not changed here"
    remedy = "edit `headgate:endpoints` in the stack file and run `pulumi up`"
    return RequestRefused(Problem(status=405, code="wrong_method", message=message, remedy=remedy))
