"""The table as the scaler uses it: what `ports.ScaleStore` promises, in DynamoDB's operations.

*Fencing.* Whoever takes the lease raises the group's epoch. Every later write is a transaction that first checks that the epoch is
still its own, so a scaler that was overtaken (paused, slow, started twice) cannot write anything more, not even a new worker:
either its write came before the new lease, and the new scaler's strongly consistent load has seen it, or it fails. A condition on
the worker's item alone would let it create items that the new scaler never counted.

*Shards.* The number of shards follows `max_workers`; workers of a larger past live on in higher ones. The highest number ever used
is kept beside the lease, and raised by the load that first sees it, before anything can be put there.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from functions.adapters.dynamodb import ConditionFailed, DynamoTable
from functions.adapters.dynamodb_items import (
    AUTOGROUP_SK,
    Item,
    attribute,
    attributes_of,
    binary,
    decision_key,
    decision_part_key,
    field_names,
    fleet_pk,
    number,
    parts_pk,
    read_waiting,
    read_worker,
    scaler_key,
    update_pk,
    worker_key,
)
from functions.adapters.spec_codec import decode_autogroup, decode_group, decode_state, json_text, state_attribute
from functions.core.jsonable import encode
from functions.core.lifecycle import WorkerState
from functions.core.model import Rental, Worker, fleet_shards
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.ports import GroupRecords, Lease, LeaseLost, UnreadableItem

RECORD_PLAIN_BYTES_MAX: Final = 100_000
RECORD_BYTES_MAX: Final = 380_000  # DynamoDB's items end at 400 KB
# A record of 10,000 workers is 17 MB of text and 2.8 MB packed, so eight parts.
PARTS_MAX: Final = 32
TOO_LARGE: Final = "The snapshot of this decision was too large to be kept."

_EPOCH_IS_OURS: Final = "epoch = :epoch AND lease_owner = :owner"


class DynamoScaleStore:
    """Implements `ports.ScaleStore`."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def acquire_lease(self, endpoint: str, *, owner: str, now_s: float, duration_s: float) -> Lease | None:
        """Take the lease in one conditional write; the owner may take it again, as its lost answer would have told it."""
        free = "attribute_not_exists(lease_until_s) OR lease_until_s < :now_s OR lease_owner = :owner"
        try:
            return self._take(endpoint, owner, now_s + duration_s, {":now_s": number(now_s)}, ConditionExpression=free)
        except ConditionFailed:
            return None

    def overtake_lease(self, endpoint: str, *, owner: str, now_s: float, duration_s: float) -> Lease:
        """Take the lease in one write without a condition."""
        return self._take(endpoint, owner, now_s + duration_s, {})

    def renew_lease(self, lease: Lease, *, now_s: float, duration_s: float) -> Lease:
        """Move the lease's end, if it is still ours."""
        until_s = now_s + duration_s
        self._update_scaler(lease, "SET lease_until_s = :until_s", {":until_s": number(until_s)})
        return Lease(endpoint=lease.endpoint, owner=lease.owner, epoch=lease.epoch, until_s=until_s)

    def release_lease(self, lease: Lease) -> None:
        """End the lease now; the epoch stays."""
        try:
            self._update_scaler(lease, "SET lease_until_s = :until_s", {":until_s": number(0)})
        except LeaseLost:
            return

    def load(self, endpoint: str) -> GroupRecords | None:
        """Query the group's items, its shards and its waiting requests, strongly consistent."""
        items = {item["sk"]["S"]: item for item in self._table.query(f"ENDPOINT#{endpoint}", consistent=True)}
        if "SPEC" not in items:
            return None
        group = decode_group(items["SPEC"])
        scaler = items.get("SCALER", {})
        return GroupRecords(
            group=group,
            autogroups=tuple(decode_autogroup(item) for sk, item in items.items() if sk.startswith(AUTOGROUP_SK)),
            workers=self._workers(endpoint, self._shards(endpoint, scaler, fleet_shards(group.max_workers))),
            waiting=tuple(read_waiting(item) for item in self._table.query(f"WAITING#{endpoint}", consistent=True)),
            state=decode_state(scaler),
            updates=self._updates(endpoint),
        )

    def put_rental(self, lease: Lease, worker_id: str, rental: Rental) -> None:
        """Set every field of the rental and remove those that are None; other writers' attributes stay."""
        held = attributes_of(rental)
        absent = [name for name in field_names(Rental) if name not in held]
        sets = ", ".join(f"#{name} = :{name}" for name in held)
        removes = f" REMOVE {', '.join(f'#{name}' for name in absent)}" if absent else ""
        self._fenced(
            lease,
            Update={
                "Key": worker_key(lease.endpoint, worker_id),
                "UpdateExpression": f"SET {sets}, epoch = :epoch{removes}",
                "ExpressionAttributeNames": {f"#{name}": name for name in (*held, *absent)},
                "ExpressionAttributeValues": {
                    **{f":{name}": value for name, value in held.items()},
                    ":epoch": number(lease.epoch),
                },
            },
        )

    def forget_worker(self, lease: Lease, worker_id: str) -> None:
        """Delete the worker's item if it is a tombstone."""
        self._fenced(
            lease,
            Delete={
                "Key": worker_key(lease.endpoint, worker_id),
                "ConditionExpression": "attribute_not_exists(#state) OR #state = :destroyed",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":destroyed": attribute(WorkerState.DESTROYED)},
            },
        )

    def put_state(self, lease: Lease, state: ScalerState) -> None:
        """Replace the memory beside the lease."""
        names = {"#state": "state"}  # a reserved word
        self._update_scaler(lease, "SET #state = :state", {":state": state_attribute(state)}, ExpressionAttributeNames=names)

    def put_decision(self, lease: Lease, record: DecisionRecord, *, expires_at_s: float) -> None:
        """Store the record under its time; the table's TTL removes it.

        Of one too large for an item the parts go first, without a fence, which nothing leads to until the item names them.
        """
        key = decision_key(lease.endpoint, decided_at_s=record.decided_at_s, epoch=record.epoch)
        ttl = {"ttl": number(int(expires_at_s))}
        held, parts = packed(record)
        for index, part in enumerate(parts):
            self._table.put({**decision_part_key(key, index), "part_gz": {"B": part}, **ttl})
        sentences = {"L": [attribute(sentence) for sentence in record.sentences]}
        self._fenced(lease, Put={"Item": {**key, **held, "sentences": sentences, **ttl}})

    def _take(self, endpoint: str, owner: str, until_s: float, values: Mapping[str, Any], **condition: str) -> Lease:
        held = self._table.update(
            scaler_key(endpoint),
            returned="UPDATED_NEW",
            UpdateExpression="SET lease_owner = :owner, lease_until_s = :until_s ADD epoch :one",
            ExpressionAttributeValues={
                ":owner": attribute(owner),
                ":until_s": number(until_s),
                ":one": number(1),
                **values,
            },
            **condition,
        )
        return Lease(endpoint=endpoint, owner=owner, epoch=int(held["epoch"]["N"]), until_s=until_s)

    def _updates(self, endpoint: str) -> dict[str, float]:
        items = self._table.query(update_pk(endpoint), consistent=True)
        return {item["sk"]["S"]: float(item["asked_at_s"]["N"]) for item in items if "asked_at_s" in item}

    def _workers(self, endpoint: str, shards: int) -> tuple[Worker, ...]:
        items = (item for shard in range(shards) for item in self._table.query(fleet_pk(endpoint, shard), consistent=True))
        # An item that no scaler has written (a late report of a worker forgotten long ago cannot make one) is no worker.
        return tuple(read_worker(item) for item in items)

    def _shards(self, endpoint: str, scaler: Item, shards: int) -> int:
        known = int(scaler.get("shards", number(0))["N"])
        if known >= shards:
            return known
        try:
            self._table.update(
                scaler_key(endpoint),
                UpdateExpression="SET shards = :shards",
                ConditionExpression="attribute_not_exists(shards) OR shards < :shards",
                ExpressionAttributeValues={":shards": number(shards)},
            )
        except ConditionFailed as raced:
            return int(raced.found["shards"]["N"])
        return shards

    def _update_scaler(self, lease: Lease, update: str, values: Mapping[str, Any], **more: Any) -> None:
        try:
            self._table.update(
                scaler_key(lease.endpoint),
                UpdateExpression=update,
                ConditionExpression=_EPOCH_IS_OURS,
                ExpressionAttributeValues={**values, **_ours(lease)},
                **more,
            )
        except ConditionFailed as exc:
            raise LeaseLost(lease.endpoint) from exc

    def _fenced(self, lease: Lease, **step: Mapping[str, Any]) -> None:
        check = {
            "Key": scaler_key(lease.endpoint),
            "ConditionExpression": _EPOCH_IS_OURS,
            "ExpressionAttributeValues": _ours(lease),
        }
        try:
            self._table.transact({"ConditionCheck": check}, step)
        except ConditionFailed as exc:
            if exc.step > 0:
                raise AssertionError(f"the step itself was refused: {step}") from exc
            raise LeaseLost(lease.endpoint) from exc


def recent_decisions(table: DynamoTable, endpoint: str, *, limit: int) -> list[Mapping[str, Any]]:
    """Return the newest decision records, newest first, as JSON objects of DecisionRecord."""
    items = table.query(f"DECISION#{endpoint}", limit=limit, ScanIndexForward=False)
    return [read_record(item, list(table.query(parts_pk(item))) if "parts" in item else ()) for item in items]


def read_record(item: Item, parts: Sequence[Item] = ()) -> Mapping[str, Any]:
    """Return the JSON object of a decision item, whose parts, if it has some, are given in order. Raises UnreadableItem."""
    if "parts" in item:
        if len(parts) != int(item["parts"]["N"]):
            raise UnreadableItem(f"{item['sk']['S']}: {item['parts']['N']} parts are needed: query pk = {parts_pk(item)}")
        text = gzip.decompress(b"".join(binary(part["part_gz"]["B"]) for part in parts)).decode()
    elif "record_gz" in item:
        text = gzip.decompress(binary(item["record_gz"]["B"])).decode()
    else:
        text = item["record"]["S"]
    record: Mapping[str, Any] = json.loads(text)
    return record


def packed(record: DecisionRecord) -> tuple[Item, Sequence[bytes]]:
    """Return the attributes that hold a record, and the parts beside them: none, but for more than a thousand workers."""
    text = json_text(encode(record))
    if len(text) <= RECORD_PLAIN_BYTES_MAX:
        return {"record": {"S": text}}, ()
    squeezed = gzip.compress(text.encode(), mtime=0)
    if len(squeezed) <= RECORD_BYTES_MAX:
        return {"record_gz": {"B": squeezed}}, ()
    parts = [squeezed[start : start + RECORD_BYTES_MAX] for start in range(0, len(squeezed), RECORD_BYTES_MAX)]
    if len(parts) > PARTS_MAX:
        return packed(replace(record, snapshot={}, sentences=(*record.sentences, TOO_LARGE)))
    return {"parts": number(len(parts))}, parts


def _ours(lease: Lease) -> dict[str, Any]:
    return {":epoch": number(lease.epoch), ":owner": attribute(lease.owner)}
