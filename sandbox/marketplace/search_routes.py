"""Searches, in the three forms that clients use, and the accept of an offer."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sandbox.marketplace.api import Call
from sandbox.marketplace.errors import Refused, ask_gone_as_400, ask_unavailable, bad_query, bad_request, no_such_ask
from sandbox.marketplace.faults import AnswerFault
from sandbox.marketplace.instance import to_s
from sandbox.marketplace.lifecycle import HOLDS_GPUS
from sandbox.marketplace.offers import Row
from sandbox.marketplace.order import read_order
from sandbox.marketplace.query import OFFER_COLUMNS, Kind

BULK_MAX: Final = 64
# What third parties met: no more than this, whatever the limit said.
CAPPED_OFFERS: Final = 64
ALL_COLUMNS: Final = ("*",)
_GONE: Final = {
    AnswerFault.OFFER_GONE_404: no_such_ask,
    AnswerFault.OFFER_GONE_410: ask_unavailable,
    AnswerFault.OFFER_GONE_400: ask_gone_as_400,
}


def post_bundles(call: Call) -> object:
    """`POST /bundles/`: the body is the flat query."""
    return _search(call, call.body, ALL_COLUMNS)


def get_bundles(call: Call) -> object:
    """`GET /bundles/?q=...&select_cols=...`."""
    return _search(call, call.query_json("q", {}), call.query_json("select_cols", ALL_COLUMNS))


def put_search(call: Call) -> object:
    """`PUT /search/asks/`: `{"select_cols": [...], "q": {flat query}}`."""
    return _search(call, call.body.get("q", {}), call.body.get("select_cols", ALL_COLUMNS))


def create(call: Call) -> object:
    """`PUT /asks/{id}/`: accept an offer."""
    return _accepted(call, call.ids[0])


def create_bulk(call: Call) -> object:
    """`POST /asks/bulk/`: the same body with `ids`; every accept succeeds or fails by itself."""
    results = [_bulk_item(call, ask_id) for ask_id in _bulk_ids(call.body)]
    created = [result["new_contract"] for result in results if "new_contract" in result]
    if not created:
        raise Refused(400, "invalid_args", "; ".join(str(result["msg"]) for result in results)[:1024])
    return {
        "success": True,
        "results": results,
        "created": created,
        "failed": [result["ask_id"] for result in results if "new_contract" not in result],
        "elapsed": 0.0,
    }


def launch(call: Call) -> object:
    """`PUT /launch_instance/`: search by `q` and accept the first hit; 200 with `offer_not_found` when there is none."""
    _, offers = call.world.search(call.body.get("q", {}), call.now_s)
    if not offers:
        return {"success": False, "error": "offer_not_found", "message": "No offers found that match your query."}
    return _accepted(call, offers[0].ask_id)


def _search(call: Call, asked: object, columns: object) -> bytes:
    if call.drawn.answer is AnswerFault.FILTER_IGNORED:
        asked = without_a_filter(asked, call.world.plan.rng)
    query, offers = call.world.search(asked, call.now_s)
    if call.drawn.answer is AnswerFault.SEARCH_CAPPED:
        offers = offers[:CAPPED_OFFERS]
    now_s = to_s(call.world.now_us)
    if columns is None or columns in (["*"], ALL_COLUMNS):
        parts = [offer.row_json(query.pricing, now_s=now_s) for offer in offers]
    elif isinstance(columns, list):
        parts = [
            json.dumps(_projected({**offer.row(query.pricing), "duration": offer.term_ends_s - now_s}, columns)) for offer in offers
        ]
    else:
        raise bad_query("Error in query parameters: select_cols must be a list of columns")
    return ('{"offers":[' + ",".join(parts) + "]}").encode()


def without_a_filter(asked: object, rng: random.Random) -> object:
    """Return the query less one of its numeric filters."""
    if not isinstance(asked, dict):
        return asked
    numeric = [name for name in asked if OFFER_COLUMNS.get(name) is Kind.NUMBER and isinstance(asked[name], dict)]
    ignored = rng.choice(numeric) if numeric else None
    return {name: conditions for name, conditions in asked.items() if name != ignored}


def _projected(row: Row, columns: list[object]) -> Row:
    """Return the chosen columns; one that does not exist is null, as in the API."""
    return {str(column): row.get(str(column)) for column in columns}


def _accepted(call: Call, ask_id: int) -> dict[str, object]:
    """Accept one offer, unless a rival is to be faster. A refusal names the offer."""
    fault = call.drawn.answer
    try:
        if fault in _GONE:
            call.world.snatch(ask_id, call.now_s)
            raise _GONE[fault](ask_id)
        return _created(call, ask_id)
    except Refused as refused:
        raise refused.about(ask_id=ask_id) from refused


def _created(call: Call, ask_id: int) -> dict[str, object]:
    template = call.api.templates.for_create(call.body)
    order = read_order(call.body, template)
    if call.drawn.answer is AnswerFault.BID_IGNORED:
        order = replace(order, bid_micro_usd_per_hour=None)
    if call.drawn.answer is AnswerFault.WRONG_MACHINE:
        ask_id = call.world.mistake(ask_id, order, call.now_s)
    granted = call.drawn.answer is not AnswerFault.CREATED_STOPPED
    contract = call.world.create(ask_id, order, call.now_s, fate=call.drawn.fate, granted=granted)
    if template is not None:
        call.api.templates.used(template, call.now_s)
    # False with a contract id: it exists and bills its disk, but does not start. The caller has to destroy it.
    running = contract.phase in HOLDS_GPUS
    return {"success": running, "new_contract": contract.contract_id, "instance_api_key": contract.instance_key}


def _bulk_item(call: Call, ask_id: int) -> dict[str, object]:
    try:
        created = _created(call, ask_id)
    except Refused as refused:
        return {"ask_id": ask_id, "success": False, "error": refused.error, "msg": refused.msg}
    state = "running" if created["success"] else "stopped"
    return {"ask_id": ask_id, "success": created["success"], "new_contract": created["new_contract"], "state": state}


def _bulk_ids(body: Mapping[str, object]) -> list[int]:
    ids = body.get("ids")
    if not isinstance(ids, list):
        raise bad_request("error missings offer 'ids' parameter")
    if not ids:
        raise bad_request("no ask ids provided")
    if len(ids) > BULK_MAX:
        raise bad_request(f"too many ask ids provided; max is {BULK_MAX}")
    if not all(isinstance(ask_id, int) for ask_id in ids):
        raise bad_request("ask ids must be numbers")
    return ids
