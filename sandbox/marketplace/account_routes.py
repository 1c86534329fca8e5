"""The account, the names of GPUs, templates, and fetched logs."""

from __future__ import annotations

from sandbox.marketplace.api import TEXT_TYPE, Call, Reply
from sandbox.marketplace.gpus import GPU_NAMES
from sandbox.marketplace.ledger import usd

USER_ID = 100_001


def user(call: Call) -> object:
    """`GET /users/current`: `credit` is what guards against an empty account."""
    credit = usd(call.world.balance_micro_usd(call.now_s))
    return {
        "id": USER_ID,
        "username": "sandbox",
        "email": "sandbox@example.invalid",
        "credit": credit,
        "balance": 0.0,
        "balance_threshold": 0.0,
        "ssh_key": None,
        "host_agreement_accepted": False,
    }


def spend_rate(call: Call) -> object:
    """`GET /users/spend_rate/`: dollars per hour, as things stand."""
    call.world.advance(call.now_s)
    return {"success": True, "spend_rate": usd(call.world.ledger.rate_micro_usd_per_hour())}


def gpu_names(_call: Call) -> object:
    """`GET /gpu_names/unique/`: needs no key; the official client asks it before anything else."""
    return {"success": True, "gpu_names": list(GPU_NAMES)}


def gpu_types(_call: Call) -> object:
    """`GET /gpu_types/`."""
    return {"success": True, "gpu_types": list(GPU_NAMES)}


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


def fetch_log(call: Call) -> object:
    """`GET /instance_logs/{token}.log`: needs no key, the token is unguessable; 404 when there is no such log."""
    token = call.request.path.rstrip("/").rsplit("/", maxsplit=1)[-1].removesuffix(".log")
    text = call.api.logs.get(token)
    if text is None:
        return Reply(status=404, body=b"not found", content_type=TEXT_TYPE)
    return Reply(body=text.encode(), content_type=TEXT_TYPE)
