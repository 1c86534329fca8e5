"""Lists of instances: paged, legacy, and the values that a user interface offers as filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from sandbox.marketplace.api import Call
from sandbox.marketplace.faults import AnswerFault
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.instance_row import instance_row
from sandbox.marketplace.offers import Row
from sandbox.marketplace.pages import cut, read_limit, read_order
from sandbox.marketplace.query import Kind, compile_conditions

PAGE_MAX: Final = 25
PAGE_OF_NONSENSE: Final = 5

# What is stored on the contract can be filtered and sorted by; what is computed (prices, GPU counts) cannot, as in the API.
STORED: Final[Mapping[str, Kind]] = {
    "id": Kind.NUMBER,
    "machine_id": Kind.NUMBER,
    "host_id": Kind.NUMBER,
    "template_id": Kind.NUMBER,
    "start_date": Kind.NUMBER,
    "end_date": Kind.NUMBER,
    "label": Kind.TEXT,
    "actual_status": Kind.TEXT,
    "intended_status": Kind.TEXT,
    "cur_state": Kind.TEXT,
    "next_state": Kind.TEXT,
    "gpu_name": Kind.NAME,
    "verification": Kind.TEXT,
    "geolocation": Kind.TEXT,
    "image_uuid": Kind.TEXT,
    "template_hash_id": Kind.TEXT,
    "is_bid": Kind.FLAG,
}


def list_pages(call: Call) -> object:
    """`GET /api/v1/instances/`: pages of at most 25, with filters, order and an opaque token."""
    tests = compile_conditions(call.query_json("select_filters", {}), STORED)
    stored = [(contract, _stored(contract)) for contract in _listed(call)]
    matching = [pair for pair in stored if all(test(pair[1]) for test in tests)]
    page = cut(
        [row for _, row in matching],
        read_order(call.query_json("order_by", []), STORED),
        token=call.request.query.get("after_token"),
        limit=read_limit(call.query_json("limit", PAGE_MAX), most=PAGE_MAX, of_nonsense=PAGE_OF_NONSENSE),
    )
    return {
        "success": True,
        "instances_found": len(page.indexes),
        "total_instances": page.total,
        "label_counts": Counter(contract.label or "" for contract, _ in matching),
        "next_token": page.next_token,
        "instances": [_projected(instance_row(matching[index][0], call.world.now_us), call) for index in page.indexes],
    }


def list_all(call: Call) -> object:
    """`GET /api/v0/instances/`: the legacy list, without pages."""
    rows = [instance_row(contract, call.world.now_us) for contract in _listed(call)]
    return {"success": True, "instances_found": len(rows), "instances": rows}


def list_filters(call: Call) -> object:
    """`GET /instances/filters/`: the distinct values that a user interface offers."""
    columns = ("actual_status", "verification", "gpu_name")
    distinct = {tuple(_stored(contract)[column] for column in columns): None for contract in _listed(call)}
    return {"success": True, "filters": [dict(zip(columns, values, strict=True)) for values in distinct]}


def _listed(call: Call) -> list[Contract]:
    contracts = call.world.listed(call.now_s)
    return [] if call.drawn.answer is AnswerFault.EMPTY_LIST else contracts


def _stored(contract: Contract) -> Row:
    hardware, template = contract.machine.hardware, contract.order.template or {}
    return {
        "id": contract.contract_id,
        "machine_id": hardware.machine_id,
        "host_id": hardware.host.host_id,
        "template_id": template.get("id"),
        "template_hash_id": template.get("hash_id"),
        "start_date": to_s(contract.created_us),
        "end_date": contract.term_ends_s,
        "label": contract.label,
        "actual_status": contract.actual_status,
        "intended_status": contract.view.intended,
        "cur_state": contract.view.current,
        "next_state": contract.view.following,
        "gpu_name": hardware.gpu.name,
        "verification": hardware.host.verification,
        "geolocation": hardware.host.geolocation,
        "image_uuid": contract.order.image,
        "is_bid": contract.is_bid,
    }


def _projected(row: Row, call: Call) -> Row:
    columns = call.query_json("select_cols", None)
    if not isinstance(columns, list) or columns == ["*"]:
        return row
    return {str(column): row.get(str(column)) for column in columns}
