"""Reading and changing one instance, or several by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.marketplace.amendments import prepay, rebuild
from sandbox.marketplace.api import Call
from sandbox.marketplace.errors import Refused, bad_key, bad_request, insufficient_credit, missing_billing
from sandbox.marketplace.faults import AnswerFault, Operation
from sandbox.marketplace.instance_row import instance_row
from sandbox.marketplace.order import REBID_USD_MAX, read_bid, read_label, read_rebuilt, read_usd

BULK_MAX: Final = 64


def state_operation(body: Mapping[str, object]) -> Operation:
    """Say what a `PUT /instances/{id}/` does: one path starts, stops and labels."""
    return {"running": Operation.START, "stopped": Operation.STOP}.get(str(body.get("state")), Operation.LABEL)


def show(call: Call) -> object:
    """`GET /instances/{id}/`: one row; null with status 200 when there is no such instance (any more)."""
    contract = call.world.show(call.ids[0], call.now_s)
    return {"instances": None if contract is None else instance_row(contract, call.world.now_us)}


def change(call: Call) -> object:
    """`PUT /instances/{id}/`: start, stop, or label, which an instance's own key may not."""
    contract_id = call.ids[0]
    if "state" in call.body:
        _set_state(call, contract_id, call.body["state"])
    elif "label" in call.body:
        if not call.by_account:
            raise bad_key()
        call.world.label(contract_id, read_label(call.body["label"]), call.now_s)
    else:
        raise Refused(400, None, "Invalid target state")
    return {"success": True}


def change_bulk(call: Call) -> object:
    """`PUT /instances/`: start or stop several; a success if one succeeds."""
    ids = _ids(call.body.get("ids"), "ids list required")
    done = [contract_id for contract_id in ids if _try_state(call, contract_id)]
    if not done:
        raise Refused(404, "invalid_args", "Invalid instance ID list ids.")
    return {"success": True}


def destroy(call: Call) -> object:
    """`DELETE /instances/{id}/`: 404 on a repeat."""
    call.world.destroy(call.ids[0], call.now_s)
    return {"success": True}


def destroy_bulk(call: Call) -> object:
    """`DELETE /instances/`: several at once; 404 only if none exists."""
    known = [
        number
        for number in _ids(call.body.get("instance_ids"), "instance_ids list required")
        if call.world.show(number, call.now_s)
    ]
    if not known:
        raise Refused(404, "instances_not_found", "No matching instances found.")
    for contract_id in known:
        call.world.destroy(contract_id, call.now_s)
    return {"success": True}


def reboot(call: Call) -> object:
    """`PUT /instances/reboot/{id}/`."""
    call.world.reboot(call.ids[0], call.now_s)
    return {"success": True}


def recycle(call: Call) -> object:
    """`PUT /instances/recycle/{id}/`."""
    call.world.recycle(call.ids[0], call.now_s)
    return {"success": True}


def change_bid(call: Call) -> object:
    """`PUT /instances/bid_price/{id}/`; without a price it takes the least that wins."""
    contract, price = call.live(), call.body.get("price")
    bid = contract.min_bid_micro_usd_per_hour if price is None else read_bid(price, usd_max=REBID_USD_MAX * contract.num_gpus)
    call.world.change_bid(contract.contract_id, bid, call.now_s)
    return {"success": True}


def update_template(call: Call) -> object:
    """`PUT /instances/update_template/{id}/`: another template, image, environment or command, and the container made anew."""
    contract = call.live()
    named = {"template_hash_id": call.body.get("template_hash_id"), "template_id": call.body.get("template_id")}
    order = read_rebuilt(contract.order, call.body, call.api.templates.for_create(named))
    rebuild(call.world, contract, order, call.now_s)
    return {"success": True, "updated_instance": {"id": contract.contract_id, "image_uuid": order.image}}


def prepay_instance(call: Call) -> object:
    """`PUT /instances/prepay/{id}/` `{"amount": usd}`: a discount for the time that the amount pays for."""
    bought = prepay(call.world, call.live(), read_usd(call.body.get("amount"), "amount"), call.now_s)
    return {"success": True, "timescale": bought.months, "discount_rate": bought.discount}


def _set_state(call: Call, contract_id: int, state: object) -> None:
    if state == "stopped":
        call.world.stop(contract_id, call.now_s)
    elif state == "running":
        if call.drawn.answer is AnswerFault.RESOURCES_UNAVAILABLE:
            call.world.crowd_out(contract_id, call.now_s)
        call.world.start(contract_id, call.now_s)
    else:
        raise Refused(400, None, "Invalid target state")


def _try_state(call: Call, contract_id: int) -> bool:
    try:
        _set_state(call, contract_id, call.body.get("state"))
    except Refused as refused:
        if refused.error == missing_billing().error:
            raise insufficient_credit() from refused
        if refused.status == 400:
            raise
        return refused.status == 200
    return True


def _ids(asked: object, missing: str) -> list[int]:
    if not isinstance(asked, list) or not asked or not all(isinstance(number, int) for number in asked):
        raise bad_request(missing)
    if len(asked) > BULK_MAX:
        raise bad_request(f"chunk length of {len(asked)} > {BULK_MAX}")
    return asked
