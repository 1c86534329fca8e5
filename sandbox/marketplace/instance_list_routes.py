"""Lists of instances: paged, legacy, and the values that a user interface offers as filters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.marketplace.api import Call
from sandbox.marketplace.faults import AnswerFault
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.instance_row import instance_row, row_json
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
    told = {
        "success": True,
        "instances_found": len(page.indexes),
        "total_instances": page.total,
        "label_counts": Counter(contract.label or "" for contract, _ in matching),
        "next_token": page.next_token,
    }
    return _with_rows(told, [matching[index][0] for index in page.indexes], call, columns=call.query_json("select_cols", None))


def list_all(call: Call) -> object:
    """`GET /api/v0/instances/`: the legacy list, without pages."""
    contracts = _listed(call)
    return _with_rows({"success": True, "instances_found": len(contracts)}, contracts, call)


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


def _with_rows(told: Mapping[str, object], contracts: Sequence[Contract], call: Call, *, columns: object = None) -> bytes:
    """Return the answer's JSON with the contracts' rows, or the chosen columns of them; a column that does not exist is null."""
    now_us = call.world.now_us
    if not isinstance(columns, list) or columns == ["*"]:
        rows = [row_json(contract, now_us) for contract in contracts]
    else:
        rows = [json.dumps(_projected(instance_row(contract, now_us), columns)) for contract in contracts]
    return f'{json.dumps(told, separators=(",", ":"))[:-1]},"instances":[{",".join(rows)}]}}'.encode()


def _projected(row: Row, columns: list[object]) -> Row:
    return {str(column): row.get(str(column)) for column in columns}
