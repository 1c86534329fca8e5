"""The table as the router uses it: what `ports.RouteStore` promises, in DynamoDB's operations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from functions.adapters.dynamodb import ConditionFailed, Conflict, DynamoTable
from functions.adapters.dynamodb_items import (
    AUTOGROUP_SK,
    Item,
    api_key_key,
    attribute,
    attributes_of,
    fleet_pk,
    number,
    read,
    read_waiting,
    read_worker,
    routed_key,
    scaler_key,
    spec_key,
    update_key,
    waiting_key,
    worker_key,
)
from functions.adapters.dynamodb_limit import spend
from functions.adapters.public_key_item import read_public_keys
from functions.adapters.spec_codec import decode_autogroup, decode_group, decode_state
from functions.core.lifecycle import WorkerState
from functions.core.model import ApiKey, Assignments, Autogroup, EndpointGroup, Settlement, WaitingRequest, Worker
from functions.core.rate_limit import Budgets, Price
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.key_ports import PublicKeys
from functions.ports import FORGOTTEN_AT_ONCE_MAX, AssignmentRefused, NumberTaken
from protocol.report import Phase

_ASSIGN: Final = "ADD assigned_load :cost, reqnum :one SET ticket_expires_at_s = :expires_at_s"
_MAY_ASSIGN: Final = (
    "#state = :ready AND phase = :phase AND (attribute_not_exists(assigned_load) OR assigned_load <= :assigned_load_max)"
)

_AND_SETTLE: Final = ", settled_load = :settled_load, settled_finished_load = :settled_finished_load"
_AND_NOBODY_SINCE: Final = " AND (attribute_not_exists(reqnum) OR reqnum = :reqnum)"


class DynamoRouteStore:
    """Implements `ports.RouteStore`."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def api_key(self, key_sha256: str) -> ApiKey | None:
        """Read the key's item."""
        item = self._table.get(api_key_key(key_sha256))
        return None if item is None else read(ApiKey, item)

    def public_keys(self) -> PublicKeys:
        """Read the item that shows them."""
        return read_public_keys(self._table)

    def group(self, endpoint: str) -> EndpointGroup | None:
        """Read and decode the group's spec."""
        item = self._table.get(spec_key(endpoint))
        return None if item is None else decode_group(item)

    def workers(self, endpoint: str, shards: Sequence[int]) -> list[Worker]:
        """Query each shard, eventually consistent: the condition of `assign` is what decides."""
        return [
            read_worker(item)
            for shard in shards
            for item in self._table.query(
                fleet_pk(endpoint, shard),
                FilterExpression="#state <> :destroyed",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":destroyed": attribute(WorkerState.DESTROYED)},
            )
        ]

    def waiting(self, endpoint: str, *, limit: int) -> list[WaitingRequest]:
        """Query those who wait from the oldest number on; the assigned have a partition of their own."""
        items = self._table.query(f"WAITING#{endpoint}", limit=limit)
        return sorted(map(read_waiting, items), key=lambda request: (request.arrived_at_s, request.request_idx))

    def scaler_state(self, endpoint: str) -> ScalerState:
        """Read the scaler's item."""
        item = self._table.get(scaler_key(endpoint))
        return decode_state(item or {})

    def autogroups(self, endpoint: str) -> list[Autogroup]:
        """Query the group's items from the first autogroup on; SCALER and SPEC sort after them."""
        narrowed: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :autogroup)",
            "ExpressionAttributeValues": {":autogroup": {"S": AUTOGROUP_SK}},
        }
        return [decode_autogroup(item) for item in self._table.query(f"ENDPOINT#{endpoint}", **narrowed)]

    def recent_decisions(self, endpoint: str, *, limit: int) -> list[DecisionRecord]:
        """Query the newest records. Of a packed one, so of a large fleet, the sentences must do: to unpack takes seconds."""
        items = self._table.query(f"DECISION#{endpoint}", limit=limit, ScanIndexForward=False)
        return [_decision(endpoint, item) for item in items][::-1]

    def assign(
        self,
        worker: Worker,
        *,
        cost: float,
        assigned_load_max: float,
        expires_at_s: float,
        settlement: Settlement | None = None,
    ) -> Assignments:
        """Add to the worker's totals if it may still take the load: the one write of a warm route."""
        write: dict[str, Any] = {
            "UpdateExpression": _ASSIGN,
            "ConditionExpression": _MAY_ASSIGN,
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {
                ":cost": number(cost),
                ":one": number(1),
                ":expires_at_s": number(expires_at_s),
                ":ready": attribute(WorkerState.READY),
                ":phase": attribute(Phase.READY),
                ":assigned_load_max": number(assigned_load_max),
            },
        }
        if settlement is not None:
            write = _settling(write, settlement, reqnum=worker.assignments.reqnum)
        try:
            totals = self._table.update(worker_key(worker.endpoint, worker.worker_id), returned="UPDATED_NEW", **write)
        except (ConditionFailed, Conflict) as exc:
            raise AssignmentRefused(worker.worker_id) from exc
        # What was not written is not returned: what is settled stands as the caller knew it.
        return read(Assignments, {**attributes_of(worker.assignments), **totals})

    def ask_update(self, endpoint: str, autogroup: str, *, asked_at_s: float, settled_s: float) -> float:
        """Set the moment, unless one of late stands."""
        try:
            self._table.update(
                update_key(endpoint, autogroup),
                UpdateExpression="SET asked_at_s = :asked_at_s",
                ConditionExpression="attribute_not_exists(asked_at_s) OR asked_at_s <= :settled_at_s",
                ExpressionAttributeValues={":asked_at_s": number(asked_at_s), ":settled_at_s": number(asked_at_s - settled_s)},
            )
        except ConditionFailed as stands:
            return float(stands.found["asked_at_s"]["N"])
        return asked_at_s

    def cancel_update(self, endpoint: str, autogroup: str) -> None:
        """Remove the moment; an item without one asks for nothing."""
        self._table.update(update_key(endpoint, autogroup), UpdateExpression="REMOVE asked_at_s")

    def spend(self, label: str, asked: Price, *, now_s: float, known: Budgets) -> Budgets:
        """Take from the client's item, which this function alone writes."""
        return spend(self._table, label, asked, now_s=now_s, known=known)

    def request(self, endpoint: str, request_idx: int) -> WaitingRequest | None:
        """Read the record as the last write left it, since a missed assignment would be routed twice."""
        item = self._table.get(waiting_key(endpoint, request_idx), consistent=True)
        if item is None:
            item = self._table.get(routed_key(endpoint, request_idx), consistent=True)
        return None if item is None else read_waiting(item)

    def add_request(self, endpoint: str, request: WaitingRequest, *, expires_at_s: float) -> None:
        """Write the record if there is none.

        A write that had to be repeated may meet itself: the request then takes another number, and the record without a client
        counts as waiting until it is forgotten, as below.
        """
        item = {**waiting_key(endpoint, request.request_idx), **attributes_of(request), "ttl": number(int(expires_at_s))}
        try:
            self._table.put(item, ConditionExpression="attribute_not_exists(pk)")
        except ConditionFailed as exc:
            raise NumberTaken(str(request.request_idx)) from exc

    def put_request(self, endpoint: str, request: WaitingRequest, *, expires_at_s: float) -> None:
        """Write the record where it belongs; the table's TTL removes it.

        Should the second write be lost, the request counts as waiting until it is forgotten: seconds of room, no more.
        """
        waits = waiting_key(endpoint, request.request_idx)
        fields = {**attributes_of(request), "ttl": number(int(expires_at_s))}
        if request.worker_id is None:
            self._table.put({**waits, **fields})
        else:
            self._table.put({**routed_key(endpoint, request.request_idx), **fields})
            self._table.delete(waits)

    def forget_requests(self, endpoint: str, request_idxs: Sequence[int]) -> None:
        """Delete the records in one batch."""
        keys = [waiting_key(endpoint, idx) for idx in dict.fromkeys(request_idxs)]
        if keys:
            self._table.delete_batch(keys[:FORGOTTEN_AT_ONCE_MAX])


def _decision(endpoint: str, item: Item) -> DecisionRecord:
    decided_at_s, _, epoch = item["sk"]["S"].partition("#")
    record: Mapping[str, Any] = json.loads(item["record"]["S"]) if "record" in item else {}
    return DecisionRecord(
        endpoint=endpoint,
        decided_at_s=float(decided_at_s),
        epoch=int(epoch),
        sentences=tuple(each["S"] for each in item["sentences"]["L"]),
        actions=tuple(record.get("actions", ())),
        facts=record.get("facts", {}),
        snapshot=record.get("snapshot", {}),
    )


def _settling(write: Mapping[str, Any], settlement: Settlement, *, reqnum: int) -> dict[str, Any]:
    noted = {f":{name}": held for name, held in attributes_of(settlement).items()}
    return {
        **write,
        "UpdateExpression": write["UpdateExpression"] + _AND_SETTLE,
        "ConditionExpression": write["ConditionExpression"] + _AND_NOBODY_SINCE,
        "ExpressionAttributeValues": {**write["ExpressionAttributeValues"], **noted, ":reqnum": number(reqnum)},
    }
