"""The table as the report function uses it: what `ports.ReportStore` promises, in DynamoDB's operations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from functions.adapters.dynamodb import ConditionFailed, DynamoTable
from functions.adapters.dynamodb_items import attribute, attributes_of, field_names, read_worker, routed_key, worker_key
from functions.adapters.public_key_item import read_public_keys
from functions.core.lifecycle import WorkerState
from functions.core.model import Condition, Worker
from functions.key_ports import PublicKeys
from functions.ports import StaleReport, WorkerGone
from protocol.vast_report import VastReport

_CONDITION_FIELDS: Final = field_names(Condition)
# Every name behind a placeholder: `error`, `phase`, `url` and others may be reserved words of DynamoDB.
_NAMES: Final = {f"#{name}": name for name in (*_CONDITION_FIELDS, "state")}
_PLACEHOLDER: Final = re.compile(r"#(\w+)")
_EXISTS: Final = "attribute_exists(#state) AND #state <> :destroyed"
_IS_NEWER: Final = f"{_EXISTS} AND (attribute_not_exists(#run_id) OR #run_id <> :run_id OR #seq < :seq)"
# Every operand is the item as it was before the write.
_SHIFTS: Final = (
    "#assigned_before_load = if_not_exists(#assigned_seen_load, :none)",
    "#assigned_seen_load = if_not_exists(#assigned_load, :none)",
)


class DynamoReportStore:
    """Implements `ports.ReportStore`."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def public_keys(self) -> PublicKeys:
        """Read the item that shows them."""
        return read_public_keys(self._table)

    def put_condition(self, endpoint: str, worker_id: str, condition: Condition) -> Worker:
        """Replace the worker's condition if this one is newer: the one write of a report."""
        values = {f":{name}": held for name, held in attributes_of(condition).items()}
        key = worker_key(endpoint, worker_id)
        try:
            item = self._table.update(
                key,
                returned="ALL_NEW",
                UpdateExpression=_replacing(values),
                ConditionExpression=_IS_NEWER,
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={**values, ":destroyed": attribute(WorkerState.DESTROYED)},
            )
        except ConditionFailed as exc:
            if exc.found.get("state", attribute(WorkerState.DESTROYED)) == attribute(WorkerState.DESTROYED):
                raise WorkerGone(worker_id) from exc
            raise StaleReport(read_worker({**key, **exc.found})) from exc
        return read_worker(item)

    def merge_condition(self, endpoint: str, worker_id: str, said: VastReport, *, now_s: float) -> Worker:
        """Set what was said: the one write of a report."""
        values = {f":{name}": held for name, held in attributes_of(said).items()}
        values[":reported_at_s"] = attribute(now_s)
        sets = [f"#{name.removeprefix(':')} = {name}" for name in values]
        if said.in_flight is not None:
            sets += _SHIFTS
            values[":none"] = attribute(0.0)
        key = worker_key(endpoint, worker_id)
        try:
            item = self._table.update(
                key,
                returned="ALL_NEW",
                UpdateExpression="SET " + ", ".join(sets),
                ConditionExpression=_EXISTS,
                ExpressionAttributeNames=_mentioned(sets),
                ExpressionAttributeValues={**values, ":destroyed": attribute(WorkerState.DESTROYED)},
            )
        except ConditionFailed as exc:
            raise WorkerGone(worker_id) from exc
        return read_worker(item)

    def delete_requests(self, endpoint: str, request_idxs: Sequence[int], *, worker_id: str) -> int:
        """Delete one by one: a batch cannot ask whether the request has moved on to another worker."""
        return sum(self._delete_request(endpoint, idx, worker_id) for idx in request_idxs)

    def _delete_request(self, endpoint: str, request_idx: int, worker_id: str) -> bool:
        try:
            self._table.delete(
                routed_key(endpoint, request_idx),
                ConditionExpression="worker_id = :worker_id",
                ExpressionAttributeValues={":worker_id": attribute(worker_id)},
            )
        except ConditionFailed:
            return False
        return True


def _replacing(values: Mapping[str, Any]) -> str:
    """Return the expression that sets what is known, and removes what an earlier report knew and this one does not."""
    known = [name for name in _CONDITION_FIELDS if f":{name}" in values]
    unknown = [name for name in _CONDITION_FIELDS if f":{name}" not in values]
    removed = " REMOVE " + ", ".join(f"#{name}" for name in unknown) if unknown else ""
    return "SET " + ", ".join(f"#{name} = :{name}" for name in known) + removed


def _mentioned(sets: Sequence[str]) -> dict[str, str]:
    """Return the placeholders that these expressions and the condition use: DynamoDB refuses any other."""
    names = {name for each in sets for name in _PLACEHOLDER.findall(each)}
    return {f"#{name}": name for name in (*names, "state")}
