"""The table: DynamoDB's operations in our terms, its errors as ours.

Errors, at this edge alone:

* a condition that did not hold -> `ConditionFailed`, with the item as it was; the stores say what that means
* throttled, 5xx, timed out, unreachable -> `StoreUnavailable`
* the item is inside a scaler's transaction (some milliseconds) -> tried again up to CONFLICT_TRIES_MAX times, then `Conflict`
* anything else (access denied, no such table, a malformed request) is a bug or a misconfiguration: it passes through, and the
  handler's last line reports it

The client is botocore's low-level one, made by `aws_client`, or any with the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from botocore.exceptions import BotoCoreError, ClientError

from functions.adapters.dynamodb_items import Item, Key
from functions.ports import StoreUnavailable

CONFLICT_TRIES_MAX: Final = 4
PAGES_MAX: Final = 1_000  # of 1 MB each; beyond it a query is a bug

_CONFLICTS: Final = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_BUSY: Final = frozenset(
    {
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
    }
)
_HTTP_SERVER_ERROR: Final = 500


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

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: Key, *, consistent: bool = False) -> Item | None:
        """Return one item, None if there is none."""
        answer = self._call(self._client.get_item, Key=key, ConsistentRead=consistent)
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
            yield from self._call(self._client.query, Limit=limit, **query)["Items"]
            return
        for _ in range(PAGES_MAX):
            answer = self._call(self._client.query, **query)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        raise AssertionError(f"{pk} holds more than {PAGES_MAX} pages")

    def put(self, item: Item) -> None:
        """Write a whole item, whatever was there."""
        self._call(self._client.put_item, Item=item)

    def update(self, key: Key, *, returned: str = "NONE", **update: Any) -> Item:
        """Change one item in one write, returning the attributes that `returned` asks for."""
        answer = self._write(
            self._client.update_item, Key=key, ReturnValues=returned, ReturnValuesOnConditionCheckFailure="ALL_OLD", **update
        )
        attributes: Item = answer.get("Attributes", {})
        return attributes

    def delete(self, key: Key, **condition: Any) -> None:
        """Delete one item if the condition holds."""
        self._write(self._client.delete_item, Key=key, **condition)

    def delete_batch(self, keys: Sequence[Key]) -> None:
        """Delete up to 25 items in one call; what the table had no time for is left."""
        requests = [{"DeleteRequest": {"Key": key}} for key in keys]
        self._call(self._client.batch_write_item, table=False, RequestItems={self._name: requests})

    def transact(self, *steps: Mapping[str, Mapping[str, Any]]) -> None:
        """Write all steps or none, such as `{"Update": {"Key": …}}`. Raises ConditionFailed with the first that failed."""
        named = [{kind: {"TableName": self._name, **step} for kind, step in each.items()} for each in steps]
        self._write(self._client.transact_write_items, table=False, TransactItems=named)

    def _write(self, operation: Callable[..., Any], *, table: bool = True, **parameters: Any) -> Any:
        for _ in range(CONFLICT_TRIES_MAX - 1):
            with suppress(Conflict):
                return self._call(operation, table=table, **parameters)
        return self._call(operation, table=table, **parameters)

    def _call(self, operation: Callable[..., Any], *, table: bool = True, **parameters: Any) -> Any:
        if table:
            parameters["TableName"] = self._name
        try:
            return operation(**parameters)
        except ClientError as exc:
            raise _translated(exc) from exc
        except BotoCoreError as exc:  # timed out, refused, no route
            raise StoreUnavailable(type(exc).__name__) from exc


def _translated(error: ClientError) -> Exception:
    code: str = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(error.response.get("Item", {}))
    if code == "TransactionCanceledException":
        return _cancelled(error)
    if code in _CONFLICTS:
        return Conflict(code)
    if code in _BUSY or error.response["ResponseMetadata"]["HTTPStatusCode"] >= _HTTP_SERVER_ERROR:
        return StoreUnavailable(code)
    return cast("Exception", error)


def _cancelled(error: ClientError) -> Exception:
    reasons = error.response.get("CancellationReasons", [])
    for step, reason in enumerate(reasons):
        if reason.get("Code") == "ConditionalCheckFailed":
            return ConditionFailed(reason.get("Item", {}), step=step)
    if any(reason.get("Code") == "TransactionConflict" for reason in reasons):
        return Conflict("TransactionConflict")
    busy = any(reason.get("Code") in {"ThrottlingError", "ProvisionedThroughputExceeded"} for reason in reasons)
    return StoreUnavailable("throttled") if busy else cast("Exception", error)
