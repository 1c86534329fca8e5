"""The account, and the names of GPUs."""

from __future__ import annotations

from sandbox.marketplace.account import EMAIL, USER_ID, USERNAME
from sandbox.marketplace.api import Call
from sandbox.marketplace.gpus import GPU_NAMES
from sandbox.marketplace.ledger import usd


def user(call: Call) -> object:
    """`GET /users/current`: `credit` is what guards against an empty account."""
    credit = usd(call.world.balance_micro_usd(call.now_s))
    return {
        "id": USER_ID,
        "username": USERNAME,
        "email": EMAIL,
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
