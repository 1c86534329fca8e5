"""The simulator's own controls, under `/_sim/`: what a demo and its tests do that no marketplace offers.

All need the account's key, none meets a fault. Times are seconds of the world's clock, money is micro-dollars.
"""

from __future__ import annotations

from sandbox.marketplace.api import Call
from sandbox.marketplace.errors import Refused, bad_request
from sandbox.marketplace.faults import PRESETS, AnswerFault, Chance, Fate, Operation, fault_of
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.ledger import ContractBill, usd

_AS_OFFLINE = "offline"
_AS_EXITED = "exited"


def health(_call: Call) -> object:
    """`GET /_sim/health`: needs no key."""
    return {"ok": True}


def contracts(call: Call) -> object:
    """`GET /_sim/contracts`: every contract ever, destroyed ones included, with its history and bill."""
    now_us = call.world.advance(call.now_s)
    everything = call.world.contracts.all.values()
    return {
        "now_s": to_s(now_us),
        "contracts": [_contract(call, each, call.world.ledger.contract_bill(each.contract_id, now_us)) for each in everything],
    }


def bill(call: Call) -> object:
    """`GET /_sim/bill`: the ledger, per contract and in total; and the rate at which it grows now."""
    owed = call.world.bill(call.now_s)
    return {
        "now_s": to_s(call.world.now_us),
        "total_micro_usd": owed.total_micro_usd,
        "rate_micro_usd_per_hour": call.world.ledger.rate_micro_usd_per_hour(),
        "credit_left_micro_usd": call.world.balance_micro_usd(call.now_s),
        "contracts": [_bill(each) for each in owed.contracts],
    }


def vanish(call: Call) -> object:
    """`POST /_sim/instances/{id}/vanish`: the machine is gone for ever; `{"as": "exited"}` ends only the container, unasked."""
    shown = call.body.get("as", _AS_OFFLINE)
    if shown not in {_AS_OFFLINE, _AS_EXITED}:
        raise bad_request(f"as must be {_AS_OFFLINE} or {_AS_EXITED}")
    call.world.strike(call.ids[0], Fate.VANISHES if shown == _AS_OFFLINE else Fate.EXITS, call.now_s)
    return {"success": True}


def strike(call: Call) -> object:
    """`POST /_sim/instances/{id}/fate` `{"fate": name}`: let any fate come true now."""
    call.world.strike(call.ids[0], _fate(call.body.get("fate")), call.now_s)
    return {"success": True}


def traffic(call: Call) -> object:
    """`POST /_sim/instances/{id}/traffic` `{"up_bytes": n, "down_bytes": n}`: bill traffic."""
    up, down = _bytes(call, "up_bytes"), _bytes(call, "down_bytes")
    call.world.transfer(call.ids[0], call.now_s, up_bytes=up, down_bytes=down)
    return {"success": True}


def use(call: Call) -> object:
    """`POST /_sim/instances/{id}/use` `{"busy": 0..1 | null}`: how much of its GPUs it uses from now on, for its meters."""
    busy = call.body.get("busy")
    if isinstance(busy, bool) or not (busy is None or (isinstance(busy, (int, float)) and 0 <= busy <= 1)):
        raise bad_request("busy must be a number between 0 and 1, or null")
    call.world.set_busy(call.ids[0], busy, call.now_s)
    return {"success": True}


def add_credit(call: Call) -> object:
    """`POST /_sim/credit` `{"usd": x}`: pay in (or out, when negative)."""
    amount = call.body.get("usd")
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise bad_request("usd must be a number")
    call.world.add_credit(amount, call.now_s)
    return {"success": True, "credit": usd(call.world.balance_micro_usd(call.now_s))}


def faults(call: Call) -> object:
    """`GET /_sim/faults`: the probabilities in force and how many calls there were."""
    plan = call.world.plan
    return {
        "calls": dict(plan.calls),
        "chances": [
            {"operation": chance.operation, "fault": chance.fault, "probability": chance.probability}
            for chance in plan.options.chances
        ],
        "failure_share": dict(plan.options.failure_share),
        "list_lag_share": plan.options.list_lag_share,
        "presets": list(PRESETS),
    }


def add_fault(call: Call) -> object:
    """`POST /_sim/faults`: one of three bodies.

    `{"preset": "none"|"typical"|"hostile"}` replaces everything; `{"operation", "fault", "probability"}` adds a chance;
    `{"operation", "fault", "after": n}` scripts the next call of that operation (after n more).
    """
    plan = call.world.plan
    if "preset" in call.body:
        plan.put(PRESETS[_one_of(call.body["preset"], list(PRESETS), "preset")])
        return {"success": True}
    operation = Operation(_one_of(call.body.get("operation"), [*Operation], "operation"))
    fault = fault_of(_one_of(call.body.get("fault"), [*AnswerFault, *Fate], "fault"))
    try:
        if "probability" not in call.body:
            return {"success": True, "call": plan.script_next(operation, fault, after=int(str(call.body.get("after", 0))))}
        plan.add_chance(Chance(operation=operation, fault=fault, probability=float(str(call.body["probability"]))))
    except ValueError as exc:
        raise bad_request(str(exc)) from exc
    return {"success": True}


def _contract(call: Call, contract: Contract, owed: ContractBill) -> dict[str, object]:
    hardware = contract.machine.hardware
    return {
        "id": contract.contract_id,
        "label": contract.label,
        "phase": contract.phase,
        "actual_status": contract.actual_status,
        "machine_id": hardware.machine_id,
        "gpu_name": hardware.gpu.name,
        "num_gpus": contract.num_gpus,
        "dph_base_micro_usd": contract.tariff.gpu_micro_usd_per_hour,
        "fate": contract.fate,
        "pid": call.api.processes.pid(contract.contract_id),
        "ports": contract.ports,
        "created_s": to_s(contract.created_us),
        "destroyed_s": None if contract.destroyed_us is None else to_s(contract.destroyed_us),
        "history": [[to_s(moment.at_us), moment.phase, moment.status] for moment in contract.history],
        "bill": _bill(owed),
    }


def _bill(owed: ContractBill) -> dict[str, int]:
    return {
        "id": owed.contract_id,
        "gpu_micro_usd": owed.gpu_micro_usd,
        "storage_micro_usd": owed.storage_micro_usd,
        "bandwidth_micro_usd": owed.bandwidth_micro_usd,
        "total_micro_usd": owed.total_micro_usd,
    }


def _fate(name: object) -> Fate:
    return Fate(_one_of(name, [*Fate], "fate"))


def _one_of(name: object, names: list[str], what: str) -> str:
    if name not in names:
        raise Refused(400, "invalid_args", f"{what} must be one of {', '.join(names)}")
    return str(name)


def _bytes(call: Call, field: str) -> int:
    count = call.body.get(field, 0)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise bad_request(f"{field} must be a number of bytes")
    return count
