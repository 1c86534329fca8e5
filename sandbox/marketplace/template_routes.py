"""Templates over the wire."""

from __future__ import annotations

from sandbox.marketplace.api import Call


def create_template(call: Call) -> object:
    """`POST /template/`: identical content answers `success: false` with the template that exists."""
    template, new = call.api.templates.create(call.body)
    if not new:
        msg = f"Existing Template Found: {template['id']}. User relationship added."
        return {"success": False, "msg": msg, "template": template}
    return {"success": True, "msg": f"Template Created Successfully! New Template ID: {template['id']}", "template": template}


def list_templates(call: Call) -> object:
    """`GET /template/`."""
    templates = call.api.templates.all()
    if not templates:
        return {"success": False, "msg": "No templates found"}
    return {"success": True, "templates_found": len(templates), "templates": templates}


def edit_template(call: Call) -> object:
    """`PUT /template/`: every edit gives a new hash."""
    return {"success": True, "template": call.api.templates.edit(call.body)}


def delete_template(call: Call) -> object:
    """`DELETE /template/`."""
    call.api.templates.delete(call.body)
    return {"success": True, "msg": "Template deleted."}
