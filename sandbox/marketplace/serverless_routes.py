"""Endpoints and workergroups over the wire. A create tells its id as `result` for an endpoint and as `id` for a workergroup."""

from __future__ import annotations

from sandbox.marketplace.api import Call
from sandbox.marketplace.instance import to_s


def list_endpoints(call: Call) -> object:
    """`GET /endptjobs/`."""
    return {"success": True, "results": [endpoint.row() for endpoint in call.api.serverless.endpoints.values()]}


def show_endpoint(call: Call) -> object:
    """`GET /endptjobs/{id}/`."""
    return {"success": True, "result": call.api.serverless.endpoint(call.ids[0]).row()}


def create_endpoint(call: Call) -> object:
    """`POST /endptjobs/`."""
    return {"success": True, "result": call.api.serverless.create_endpoint(call.body, _now_s(call)).id}


def change_endpoint(call: Call) -> object:
    """`PUT /endptjobs/{id}/`: null leaves a field as it is."""
    call.api.serverless.change_endpoint(call.ids[0], call.body, _now_s(call))
    return {"success": True}


def delete_endpoint(call: Call) -> object:
    """`DELETE /endptjobs/{id}/`: its workergroups go with it; workers it has none."""
    gone = call.api.serverless.delete_endpoint(call.ids[0])
    return {"success": True, "deleted_workers": [], "failed_workers": [], "msg": f"Endpoint {gone.id} deleted."}


def list_workergroups(call: Call) -> object:
    """`GET /autojobs/`, `GET /workergroups/`."""
    kept = call.api.serverless
    return {"success": True, "results": [group.row(kept.endpoint(group.endpoint_id)) for group in kept.workergroups.values()]}


def create_workergroup(call: Call) -> object:
    """`POST /autojobs/`, `POST /workergroups/`."""
    return {"success": True, "id": call.api.serverless.create_workergroup(call.body, _now_s(call)).id}


def change_workergroup(call: Call) -> object:
    """`PUT /autojobs/{id}/`: null leaves a field as it is; the official client never leaves `search_params` out."""
    call.api.serverless.change_workergroup(call.ids[0], call.body, _now_s(call))
    return {"success": True}


def delete_workergroup(call: Call) -> object:
    """`DELETE /autojobs/{id}/`."""
    call.api.serverless.delete_workergroup(call.ids[0], _now_s(call))
    return {"success": True}


def _now_s(call: Call) -> float:
    return to_s(call.world.advance(call.now_s))
