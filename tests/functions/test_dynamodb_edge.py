"""The edge to DynamoDB: its errors become ours, and items that are not what they should be are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from functions.adapters.aws_api import AwsRefused, AwsUnavailable
from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.dynamodb import CONFLICT_TRIES_MAX, ConditionFailed, Conflict, DynamoTable
from functions.adapters.dynamodb_items import attributes_of, decision_key, number, read_worker, waiting_key
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.core.model import Condition
from functions.ports import AssignmentRefused, StoreUnavailable, UnreadableItem
from tests.core.builders import NOW_S, a_worker

KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}


def refusal(code: str, *, status: int = 400, **more: Any) -> AwsRefused:
    """Return an error as AWS answers it."""
    return AwsRefused(code, status=status, answer=more)


class FailingApi:
    """An API that raises the errors given, one a call, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raise the next error, or answer."""
        assert operation, parameters
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return {"Attributes": {"reqnum": {"N": "7"}}}


@pytest.mark.parametrize(
    "error",
    [
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        refusal("RequestLimitExceeded"),
        refusal("InternalServerError", status=500),
        refusal("SomethingNew", status=503),
        AwsUnavailable("TimeoutError"),
    ],
)
def test_what_passes_by_itself_is_unavailability(error: Exception) -> None:
    with pytest.raises(StoreUnavailable):
        DynamoTable(FailingApi(error), "t").get(KEY)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_what_a_person_must_mend_passes_through(code: str) -> None:
    with pytest.raises(AwsRefused, match=code):
        DynamoTable(FailingApi(refusal(code)), "t").get(KEY)


def test_a_condition_that_fails_tells_what_was_found() -> None:
    found = {"state": {"S": "ready"}}

    with pytest.raises(ConditionFailed) as raised:
        DynamoTable(FailingApi(refusal("ConditionalCheckFailedException", Item=found)), "t").update(KEY)
    assert raised.value.found == found


def cancelled(*codes: str) -> AwsRefused:
    """Return a transaction that was cancelled for these reasons, one a step."""
    return refusal("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def test_a_cancelled_transaction_tells_whose_condition_failed() -> None:
    with pytest.raises(ConditionFailed) as raised:
        DynamoTable(FailingApi(cancelled("None", "ConditionalCheckFailed")), "t").transact({"Put": {}}, {"Put": {}})

    assert raised.value.step == 1


def test_a_throttled_transaction_is_unavailability() -> None:
    with pytest.raises(StoreUnavailable):
        DynamoTable(FailingApi(cancelled("None", "ThrottlingError")), "t").transact({"Put": {}}, {"Put": {}})


def test_a_transaction_that_can_never_succeed_passes_through() -> None:
    with pytest.raises(AwsRefused):
        DynamoTable(FailingApi(cancelled("ValidationError")), "t").transact({"Put": {}})


@pytest.mark.parametrize("conflict", [refusal("TransactionConflictException"), cancelled("None", "TransactionConflict")])
def test_a_write_waits_out_another_transaction(conflict: AwsRefused) -> None:
    api = FailingApi(conflict, conflict)

    assert DynamoTable(api, "t").update(KEY) == {"reqnum": {"N": "7"}}
    assert api.calls == 3


def test_a_write_does_not_wait_for_ever() -> None:
    api = FailingApi(*[refusal("TransactionConflictException")] * 99)

    with pytest.raises(Conflict):
        DynamoTable(api, "t").update(KEY)
    assert api.calls == CONFLICT_TRIES_MAX


def test_a_worker_inside_a_transaction_is_passed_over_by_the_router() -> None:
    store = DynamoRouteStore(DynamoTable(FailingApi(*[refusal("TransactionConflictException")] * 99), "t"))

    with pytest.raises(AssignmentRefused):
        store.assign(a_worker(1), cost=1.0, assigned_load_max=9.0, expires_at_s=NOW_S)


# botocore's errors, behind the same interface


class RaisingClient:
    """A client of botocore whose one operation fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_item(self, **_: Any) -> None:
        """Fail."""
        raise self.error


UNANSWERED = [ReadTimeoutError(endpoint_url="u"), ConnectTimeoutError(endpoint_url="u"), EndpointConnectionError(endpoint_url="u")]


@pytest.mark.parametrize("error", UNANSWERED)
def test_what_botocore_gets_no_answer_to_is_unavailable(error: Exception) -> None:
    with pytest.raises(AwsUnavailable, match=type(error).__name__):
        BotocoreApi(RaisingClient(error)).call("GetItem", {})


def test_what_botocore_is_refused_keeps_code_status_and_details() -> None:
    error = ClientError(
        {"Error": {"Code": "Sad"}, "ResponseMetadata": {"HTTPStatusCode": 418}, "Item": {"a": {"N": "1"}}},
        "GetItem",
    )

    with pytest.raises(AwsRefused) as raised:
        BotocoreApi(RaisingClient(error)).call("GetItem", {})
    assert (raised.value.code, raised.value.status, raised.value.answer["Item"]) == ("Sad", 418, {"a": {"N": "1"}})


# Items


def an_item(**attributes: Any) -> dict[str, Any]:
    """Return the item of a worker, some attributes as given; None removes one."""
    worker = a_worker(1)
    keys = {"pk": {"S": "FLEET#chat#0"}, "sk": {"S": f"WORKER#{worker.worker_id}"}}
    item = {**keys, **attributes_of(worker.rental), **attributes_of(worker.condition), **attributes}
    return {name: held for name, held in item.items() if held is not None}


def test_a_worker_that_was_never_assigned_anything_has_no_totals() -> None:
    assert read_worker(an_item()) == a_worker(1)


@pytest.mark.parametrize("name", ["state", "state_since_s", "autogroup", "created_at_s"])
def test_an_attribute_that_must_be_there_is_named(name: str) -> None:
    with pytest.raises(UnreadableItem, match=f"FLEET#chat#0 WORKER#.*: {name} is missing"):
        read_worker(an_item(**{name: None}))


@pytest.mark.parametrize(
    ("name", "held"), [("state", {"S": "asleep"}), ("perf", {"S": "fast"}), ("reqnum", {"N": "1.5"}), ("perf_flags", {"S": "slow"})]
)
def test_an_attribute_that_is_not_what_it_should_be_is_named(name: str, held: dict[str, Any]) -> None:
    with pytest.raises(UnreadableItem, match=f": {name} is not"):
        read_worker(an_item(**{name: held}))


NUMBERS = [(0, "0"), (0.1, "0.1"), (-0.0, "0"), (1e-200, "0"), (5e-324, "0"), (1e22, "1e+22"), (2**53, "9007199254740992")]


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_a_number_is_the_shortest_text_that_the_table_can_hold(value: float, text: str) -> None:
    assert number(value) == {"N": text}


def test_what_is_none_is_not_written() -> None:
    assert "instance_id" not in attributes_of(a_worker(1, instance_id=None).rental)


def test_every_field_of_a_condition_is_written() -> None:
    assert len(attributes_of(Condition(queue_depth=0, cache_use=0.0, in_flight_load=0.0))) == len(Condition.__slots__)


def test_requests_sort_by_number_and_decisions_by_time() -> None:
    numbers = [waiting_key("chat", idx)["sk"]["S"] for idx in (1, 99, 2**52, 2**53 - 1)]
    times = [decision_key("chat", decided_at_s=at_s, epoch=1)["sk"]["S"] for at_s in (9.5, 10.25, 1_900_000_000.0)]

    assert (numbers, times) == (sorted(numbers), sorted(times))
