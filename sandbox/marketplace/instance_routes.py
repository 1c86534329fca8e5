"""Reading and changing instances."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

from sandbox.marketplace.api import LOG_RESULTS_MAX, Call
from sandbox.marketplace.errors import Refused, bad_query, bad_request, no_such_instance
from sandbox.marketplace.faults import AnswerFault, Operation
from sandbox.marketplace.instance import Contract, to_s
from sandbox.marketplace.instance_row import instance_row
from sandbox.marketplace.offers import Row
from sandbox.marketplace.order import read_bid, read_label
from sandbox.marketplace.query import Kind, compile_conditions, sortable

PAGE_MAX: Final = 25
PAGE_OF_NONSENSE: Final = 5
BULK_MAX: Final = 64
LOG_LINES_DEFAULT: Final = 1_000
LOG_LINES_MAX: Final = 10_000
LOG_FILTER_CHARS_MAX: Final = 256

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
Order = list[tuple[str, bool]]


def state_operation(body: Mapping[str, object]) -> Operation:
    """Say what a `PUT /instances/{id}/` does: one path starts, stops and labels."""
    return {"running": Operation.START, "stopped": Operation.STOP}.get(str(body.get("state")), Operation.LABEL)


def list_pages(call: Call) -> object:
    """`GET /api/v1/instances/`: pages of at most 25, with filters, order and an opaque token."""
    tests = compile_conditions(call.query_json("select_filters", {}), STORED)
    order = _order(call.query_json("order_by", []))
    stored = [(contract, _stored(contract)) for contract in _listed(call)]
    matching = [pair for pair in stored if all(test(pair[1]) for test in tests)]
    for column, descending in reversed(order):
        matching.sort(key=lambda pair, column=column: sortable(pair[1][column]), reverse=descending)  # type: ignore[misc]
    token = _token_values(call.request.query.get("after_token"), order)
    rest = [pair for pair in matching if token is None or _is_after(pair[1], token, order)]
    limit = _limit(call.query_json("limit", PAGE_MAX))
    page = rest[:limit]
    return {
        "success": True,
        "instances_found": len(page),
        "total_instances": len(matching),
        "label_counts": Counter(contract.label or "" for contract, _ in matching),
        "next_token": _token(page[-1][1], order) if len(rest) > limit else None,
        "instances": [_projected(instance_row(contract, call.world.now_us), call) for contract, _ in page],
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


def show(call: Call) -> object:
    """`GET /instances/{id}/`: one row; null with status 200 when there is no such instance (any more)."""
    contract = call.world.show(call.ids[0], call.now_s)
    return {"instances": None if contract is None else instance_row(contract, call.world.now_us)}


def change(call: Call) -> object:
    """`PUT /instances/{id}/`: start, stop or label."""
    contract_id = call.ids[0]
    if "state" in call.body:
        _set_state(call, contract_id, call.body["state"])
    elif "label" in call.body:
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
    """`PUT /instances/bid_price/{id}/`."""
    call.world.change_bid(call.ids[0], read_bid(call.body.get("price")), call.now_s)
    return {"success": True}


def request_logs(call: Call) -> object:
    """`PUT /instances/request_logs/{id}/`: puts the log's end where `result_url` says; fetching that needs no key."""
    contract = call.world.show(call.ids[0], call.now_s)
    if contract is None:
        raise no_such_instance(call.ids[0])
    lines = _log_lines(call.body.get("tail"))
    daemon = str(call.body.get("daemon_logs")).lower() == "true"
    text = _daemon_log(contract, lines) if daemon else call.api.processes.log_tail(contract.contract_id, lines)
    token = f"C.{contract.contract_id}-{call.world.plan.rng.getrandbits(128):032x}"
    call.api.logs[token] = _filtered(text, call.body.get("filter"))
    while len(call.api.logs) > LOG_RESULTS_MAX:
        del call.api.logs[next(iter(call.api.logs))]
    return {
        "success": True,
        "result_url": f"http://{call.request.host}/instance_logs/{token}.log",
        "msg": "Logs requested, wait a few seconds and then view the result_url",
    }


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


def _limit(asked: object) -> int:
    try:
        limit = int(str(asked))
    except ValueError as exc:
        raise bad_query("Error in query parameters: limit must be a number") from exc
    return min(limit, PAGE_MAX) if limit > 0 else PAGE_OF_NONSENSE


def _order(asked: object) -> Order:
    """Read `order_by`; anything but `desc` is ascending, and the id always comes last, so that every order is total."""
    terms = asked if isinstance(asked, list) else []
    order: Order = []
    for term in terms:
        column = term.get("col") if isinstance(term, dict) else None
        if column not in STORED:
            raise bad_query(f"Error in query parameters: {str(column)[:64]} is not a valid search key")
        order.append((str(column), term.get("dir") == "desc"))
    return order if any(column == "id" for column, _ in order) else [*order, ("id", False)]


def _token(row: Row, order: Order) -> str:
    return base64.b64encode(json.dumps({"values": {column: row[column] for column, _ in order}}).encode()).decode()


def _token_values(token: str | None, order: Order) -> Mapping[str, object] | None:
    if not token:
        return None
    try:
        values = json.loads(base64.b64decode(token, validate=True))["values"]
        return {column: values[column] for column, _ in order}
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise bad_query("Error in query parameters: invalid after_token") from exc


def _is_after(row: Row, token: Mapping[str, object], order: Order) -> bool:
    for column, descending in order:
        here, there = sortable(row[column]), sortable(token[column])
        if here != there:
            return _less(there, here) is not descending
    return False


def _less(left: tuple[int, object], right: tuple[int, object]) -> bool:
    try:
        return left < right
    except TypeError as exc:
        raise bad_query("Error in query parameters: invalid after_token") from exc


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


def _log_lines(tail: object) -> int:
    try:
        return min(max(int(str(tail)), 0), LOG_LINES_MAX) if tail else LOG_LINES_DEFAULT
    except ValueError as exc:
        raise bad_request("tail must be a number of lines") from exc


def _daemon_log(contract: Contract, lines: int) -> str:
    """The host's side of the story: when the container showed what."""
    told = [f"{to_s(moment.at_us):.3f} C.{contract.contract_id} {moment.phase} ({moment.status})" for moment in contract.history]
    return "\n".join(told[-lines:] if lines else []) + "\n"


def _filtered(text: str, pattern: object) -> str:
    """Keep the lines that contain what is asked for, as plain text: a caller's regular expression could run for ever."""
    if not pattern:
        return text
    wanted = str(pattern)[:LOG_FILTER_CHARS_MAX]
    return "".join(line for line in text.splitlines(keepends=True) if wanted in line)
