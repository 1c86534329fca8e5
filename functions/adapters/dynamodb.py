"""The table: DynamoDB's operations in our terms, its errors as ours.

Errors, at this edge alone:

* a condition that did not hold -> `ConditionFailed`, with the item as it was; the stores say what that means
* throttled, 5xx, timed out, unreachable -> `StoreUnavailable`
* the item is inside a scaler's transaction (some milliseconds) -> tried again up to CONFLICT_TRIES_MAX times, then `Conflict`
* anything else (access denied, no such table, a malformed request) is a bug or a misconfiguration: it passes through, and the
  handler's last line reports it

It speaks through an `aws_api.Api`: the functions' own for routes and reports, botocore for the scaler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from functions.adapters.aws_api import Api, AwsRefused, AwsUnavailable
from functions.adapters.dynamodb_items import Item, Key
from functions.ports import StoreUnavailable

CONFLICT_TRIES_MAX: Final = 4
PAGES_MAX: Final = 1_000  # of 1 MB each; beyond it a query is a bug

_CONFLICTS: Final = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_BUSY: Final = frozenset({"ItemCollectionSizeLimitExceededException", "LimitExceededException"})


class ConditionFailed(Exception):
    """A condition did not hold; nothing was written. `found` is the item as it is (empty: none), `step` whose condition it was."""

    def __init__(self, found: Item, *, step: int = 0) -> None:
        super().__init__("condition failed")
        self.found = found
        self.step = step


class Conflict(StoreUnavailable):
    """The item is inside a transaction right now; nothing was written."""


class DynamoTable:
    """One table. Every method raises StoreUnavailable; those that write raise ConditionFailed."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name

    def get(self, key: Key, *, consistent: bool = False) -> Item | None:
        """Return one item, None if there is none."""
        answer = self._call("GetItem", Key=key, ConsistentRead=consistent)
        item: Item | None = answer.get("Item")
        return item

    def query(self, pk: str, *, consistent: bool = False, limit: int | None = None, **narrowed: Any) -> Iterator[Item]:
        """Yield the items of a partition in key order, page by page.

        `limit` bounds how many are looked at, before a filter. `narrowed` holds further parameters, such as FilterExpression.
        """
        values = {":pk": {"S": pk}, **narrowed.pop("ExpressionAttributeValues", {})}
        query = {
            "KeyConditionExpression": "pk = :pk",
            **narrowed,
            "ExpressionAttributeValues": values,
            "ConsistentRead": consistent,
        }
        if limit is not None:
            yield from self._call("Query", Limit=limit, **query)["Items"]
            return
        for _ in range(PAGES_MAX):
            answer = self._call("Query", **query)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        raise AssertionError(f"{pk} holds more than {PAGES_MAX} pages")

    def put(self, item: Item, **condition: Any) -> None:
        """Write a whole item, whatever was there; with a condition, only if it holds."""
        self._call("PutItem", Item=item, **condition)

    def update(self, key: Key, *, returned: str = "NONE", **update: Any) -> Item:
        """Change one item in one write, returning the attributes that `returned` asks for."""
        answer = self._write("UpdateItem", Key=key, ReturnValues=returned, ReturnValuesOnConditionCheckFailure="ALL_OLD", **update)
        attributes: Item = answer.get("Attributes", {})
        return attributes

    def delete(self, key: Key, **condition: Any) -> None:
        """Delete one item if the condition holds."""
        self._write("DeleteItem", Key=key, **condition)

    def delete_batch(self, keys: Sequence[Key]) -> None:
        """Delete up to 25 items in one call; what the table had no time for is left."""
        requests = [{"DeleteRequest": {"Key": key}} for key in keys]
        self._call("BatchWriteItem", table=False, RequestItems={self._name: requests})

    def transact(self, *steps: Mapping[str, Mapping[str, Any]]) -> None:
        """Write all steps or none, such as `{"Update": {"Key": …}}`. Raises ConditionFailed with the first that failed."""
        named = [{kind: {"TableName": self._name, **step} for kind, step in each.items()} for each in steps]
        self._write("TransactWriteItems", table=False, TransactItems=named)

    def _write(self, operation: str, *, table: bool = True, **parameters: Any) -> Any:
        for _ in range(CONFLICT_TRIES_MAX - 1):
            with suppress(Conflict):
                return self._call(operation, table=table, **parameters)
        return self._call(operation, table=table, **parameters)

    def _call(self, operation: str, *, table: bool = True, **parameters: Any) -> Any:
        if table:
            parameters["TableName"] = self._name
        try:
            return self._api.call(operation, parameters)
        except AwsRefused as exc:
            raise _translated(exc) from exc
        except AwsUnavailable as exc:
            raise StoreUnavailable(str(exc)) from exc


def _translated(refused: AwsRefused) -> Exception:
    if refused.code == "ConditionalCheckFailedException":
        return ConditionFailed(refused.answer.get("Item", {}))
    if refused.code == "TransactionCanceledException":
        return _cancelled(refused)
    if refused.code in _CONFLICTS:
        return Conflict(refused.code)
    return StoreUnavailable(str(refused)) if refused.passes or refused.code in _BUSY else refused


def _cancelled(refused: AwsRefused) -> Exception:
    reasons = refused.answer.get("CancellationReasons", [])
    for step, reason in enumerate(reasons):
        if reason.get("Code") == "ConditionalCheckFailed":
            return ConditionFailed(reason.get("Item", {}), step=step)
    if any(reason.get("Code") == "TransactionConflict" for reason in reasons):
        return Conflict("TransactionConflict")
    busy = any(reason.get("Code") in {"ThrottlingError", "ProvisionedThroughputExceeded"} for reason in reasons)
    return StoreUnavailable("throttled") if busy else refused
