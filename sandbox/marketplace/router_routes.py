"""The calls of the marketplace's router that a client of this host makes, where no Headgate answers them (see `forwarding`).

They have no `/api` in their path and errors of their own: `{"error_msg": ...}`. A caller shows the account's key, which opens every
endpoint, or an endpoint's token, which opens that one; in the header, the query or the body. Since records have no workers, the
answers are those about an endpoint that nobody serves: no workers, nothing to update, and a log of what happened to the records.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from sandbox.marketplace.api import Call, Reply, encode
from sandbox.marketplace.serverless import LOG_LINES_MAX, Endpoint, Workergroup


class NotRouted(Exception):
    """The router says no: `status`, and its words."""

    def __init__(self, status: int, msg: str) -> None:
        super().__init__(msg)
        self.status = status


def endpoint_workers(call: Call) -> object:
    """`POST /get_endpoint_workers/` `{"id" | "endpoint"}`: a bare list."""
    return _told(lambda: _none_of(_endpoint(call)))


def workergroup_workers(call: Call) -> object:
    """`POST /get_workergroup_workers/`, `POST /get_autogroup_workers/` `{"id"}`: a bare list."""
    return _told(lambda: _none_of(_workergroup(call, "id")))


def endpoint_logs(call: Call) -> object:
    """`POST /get_endpoint_logs/` `{"id" | "endpoint", "tail"}`: one text a level."""
    return _told(lambda: _log(call, _endpoint(call).id))


def workergroup_logs(call: Call) -> object:
    """`POST /get_workergroup_logs/`, `POST /get_autogroup_logs/` `{"id", "tail"}`: its endpoint's."""
    return _told(lambda: _log(call, _workergroup(call, "id").endpoint_id))


def update_workers(call: Call) -> object:
    """`POST /update_workers/` `{"workergroup_id", "cancel_update"}`: an unknown group is told with status 200."""
    try:
        _workergroup(call, "workergroup_id")
    except NotRouted as no:
        body = encode({"success": False, "error_msg": str(no)})
        return Reply(status=no.status if no.status == 401 else 200, body=body)
    return {"success": True, "workers_to_update": 0, "cancelled": call.body.get("cancel_update") is True}


def _told(answer: Callable[[], object]) -> object:
    try:
        return answer()
    except NotRouted as no:
        return Reply(status=no.status, body=encode({"error_msg": str(no)}))


def _none_of(_record: Endpoint | Workergroup) -> list[object]:
    """Return the workers of a record: there are none here."""
    return []


def _endpoint(call: Call) -> Endpoint:
    number, name = call.body.get("id"), call.body.get("endpoint")
    kept = call.api.serverless
    found = kept.endpoints.get(number) if isinstance(number, int) else kept.endpoint_named(str(name)) if name else None
    return _opened(call, found, f"endpoint {number if name is None else name} not found")


def _workergroup(call: Call, key: str) -> Workergroup:
    number = call.body.get(key)
    kept = call.api.serverless
    found = kept.workergroups.get(number) if isinstance(number, int) else None
    _opened(call, None if found is None else kept.endpoint(found.endpoint_id), f"workergroup {number} not found")
    assert found is not None, "a record without an endpoint is not opened"
    return found


def _opened(call: Call, endpoint: Endpoint | None, missing: str) -> Endpoint:
    """Return the endpoint if the caller's key opens it; a stranger does not learn whether it exists."""
    if not call.by_account and (endpoint is None or not hmac.compare_digest(call.key.encode(), endpoint.api_key.encode())):
        raise NotRouted(401, "Invalid API key")
    if endpoint is None:
        raise NotRouted(400, missing)
    return endpoint


def _log(call: Call, endpoint_id: int) -> dict[str, str]:
    tail = call.body.get("tail")
    if tail is not None and (isinstance(tail, bool) or not isinstance(tail, int) or tail < 0):
        raise NotRouted(400, "tail must be a number of lines")
    text = call.api.serverless.log(endpoint_id, LOG_LINES_MAX if tail is None else tail)
    return {"info0": text, "info1": text, "trace": "", "debug": ""}
