"""Templates over the wire."""

from __future__ import annotations

from sandbox.marketplace.api import Call
from sandbox.marketplace.errors import bad_request


def create_template(call: Call) -> object:
    """`POST /template/`: identical content answers `success: false` with the template that exists."""
    template, new = call.api.templates.create(call.body, call.now_s)
    if not new:
        msg = f"Existing Template Found: {template['id']}. User relationship added."
        return {"success": False, "msg": msg, "template": template}
    return {"success": True, "msg": f"Template Created Successfully! New Template ID: {template['id']}", "template": template}


def list_templates(call: Call) -> object:
    """`GET /template/`, by `select_filters`; none found is told with `success: false` and status 200."""
    templates = call.api.templates.matching(call.query_json("select_filters", {}))
    if not templates:
        return {"success": False, "msg": "No templates found"}
    return {"success": True, "templates_found": len(templates), "templates": templates}


def edit_version(call: Call) -> object:
    """`PUT /api/v1/template/`: the present form, which needs both the id and the hash that it replaces."""
    if call.body.get("id") is None or call.body.get("hash_id") is None:
        raise bad_request("error 400: Invalid args: 'id' and 'hash_id' are required")
    return edit_template(call)


def edit_template(call: Call) -> object:
    """`PUT /template/`: every edit gives a new hash."""
    return {"success": True, "template": call.api.templates.edit(call.body)}


def delete_template(call: Call) -> object:
    """`DELETE /template/`."""
    call.api.templates.delete(call.body)
    return {"success": True, "msg": "Template deleted."}
