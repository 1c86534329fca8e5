"""The calls about price increases that wait for an answer."""

from __future__ import annotations

from sandbox.marketplace.api import Call
from sandbox.marketplace.errors import bad_request
from sandbox.marketplace.increases import Increase

_FIELD = "pending_price_increase_id"


def list_pending(call: Call) -> object:
    """`GET /instances/pending-price-increases/`."""
    rows = [each.row() for each in call.world.increases.pending(call.world.advance(call.now_s))]
    return {"success": True, "count": len(rows), "truncated": False, "pending_price_increases": rows}


def accept(call: Call) -> object:
    """`PUT /instances/accept-price-increase/`: the body has the id and nothing else."""
    return _answered(call.world.increases.accept(_increase_id(call), call.world.advance(call.now_s)))


def reject(call: Call) -> object:
    """`PUT /instances/reject-price-increase/`."""
    return _answered(call.world.increases.reject(_increase_id(call), call.world.advance(call.now_s)))


def _answered(increase: Increase) -> dict[str, object]:
    return {"success": True, _FIELD: increase.increase_id, "contract_id": increase.contract.contract_id}


def _increase_id(call: Call) -> int:
    increase_id = call.body.get(_FIELD)
    if isinstance(increase_id, bool) or not isinstance(increase_id, int) or len(call.body) != 1:
        raise bad_request(f"error 400: Invalid args: the body must be exactly '{_FIELD}', a number")
    return increase_id
