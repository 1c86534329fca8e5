"""The table's operations that each store performs are those that its function is granted: none is missing, none is too many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_items import attributes_of, worker_key
from functions.adapters.dynamodb_report import DynamoReportStore
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.dynamodb_scale import DynamoScaleStore
from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.public_keys import DynamoPublicKeyBoard
from functions.adapters.spec_codec import spec_attribute
from functions.core.key_rotation import SigningKeys, TicketKey
from functions.core.lifecycle import WorkerState
from functions.core.model import Condition, EndpointGroup, Rental, WaitingRequest, Worker
from functions.core.rate_limit import Budgets, Price
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.ports import Lease, UnreadableItem
from protocol.vast_report import VastReport
from tests.infra.recording import RecordedStack

Granted = set[tuple[str, str]]

WORKER_ID = "w0-" + "a" * 26
RENTAL = Rental(state=WorkerState.READY, state_since_s=1.0, autogroup="fast", created_at_s=1.0)
WORKER = Worker(worker_id=WORKER_ID, endpoint="llm", rental=RENTAL)
WAITS = WaitingRequest(request_idx=7, cost=1.0, arrived_at_s=1.0, polled_at_s=1.0)
ROUTED = WaitingRequest(request_idx=7, cost=1.0, arrived_at_s=1.0, polled_at_s=1.0, worker_id=WORKER_ID)
LEASE = Lease(endpoint="llm", owner="me", epoch=1, until_s=60.0)
GROUP_PK = {"S": "ENDPOINT#llm"}
GROUP_SPEC = spec_attribute(EndpointGroup(endpoint="llm", max_workers=4, max_hourly_cost_micro_usd=1))
GROUP_ITEMS = [{"pk": GROUP_PK, "sk": {"S": "SPEC"}, "spec": GROUP_SPEC}]

DECISION = DecisionRecord(endpoint="llm", decided_at_s=1.0, epoch=1, sentences=(), actions=(), facts={}, snapshot={})

_STEPS = {"ConditionCheck": "ConditionCheckItem", "Update": "UpdateItem", "Put": "PutItem", "Delete": "DeleteItem"}


class WatchedApi:
    """Answers like a table with little in it, and notes each operation with the kind of item that it touched."""

    def __init__(self) -> None:
        self.performed: Granted = set()

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Perform one operation."""
        match operation:
            case "Query":
                pk = parameters["ExpressionAttributeValues"][":pk"]
                whole_group = pk == GROUP_PK and parameters["KeyConditionExpression"] == "pk = :pk"
                return self._note("Query", {"pk": pk}, {"Items": GROUP_ITEMS if whole_group else []})
            case "GetItem" | "DeleteItem":
                return self._note(operation, parameters["Key"], {})
            case "UpdateItem":
                item = {**worker_key("llm", WORKER_ID), **attributes_of(RENTAL), "epoch": {"N": "1"}}
                return self._note("UpdateItem", parameters["Key"], {"Attributes": item})
            case "PutItem":
                return self._note("PutItem", parameters["Item"], {})
            case "BatchWriteItem":
                (request,) = parameters["RequestItems"]["table"]
                return self._note("BatchWriteItem", request["DeleteRequest"]["Key"], {})
            case "TransactWriteItems":
                for kind, step in (each for item in parameters["TransactItems"] for each in item.items()):
                    self._note(_STEPS[kind], step["Item"] if kind == "Put" else step["Key"], {})
                return {}
            case _:
                raise AssertionError(operation)

    def _note(self, action: str, key: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        self.performed.add((action, key["pk"]["S"].partition("#")[0]))
        return answer


class WatchedStore:
    """A store that notes which of its methods were called."""

    def __init__(self, store: object) -> None:
        self._store = store
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self._store, name)


def use_board(store: Any) -> None:
    key = TicketKey(key_id="k1", seed=bytes(32))
    store.publish(SigningKeys(keys=(key,), active="k1", rsa=LocalKeyMaker().rsa(), revision=1))


def use_route_store(store: Any) -> None:
    with suppress(UnreadableItem):
        store.public_keys()
    store.api_key("0" * 64)
    store.group("llm")
    store.workers("llm", [0])
    store.waiting("llm", limit=10)
    store.scaler_state("llm")
    store.autogroups("llm")
    store.recent_decisions("llm", limit=1)
    store.assign(WORKER, cost=1.0, assigned_load_max=1.0, expires_at_s=1.0)
    store.ask_update("llm", "fast", asked_at_s=1.0, settled_s=1.0)
    store.cancel_update("llm", "fast")
    store.spend("website", Price(requests_s=1.0), now_s=1.0, known=Budgets())
    store.request("llm", 7)
    store.add_request("llm", WAITS, expires_at_s=1.0)
    store.put_request("llm", WAITS, expires_at_s=1.0)
    store.put_request("llm", ROUTED, expires_at_s=1.0)
    store.forget_requests("llm", [7])


def use_report_store(store: Any) -> None:
    with suppress(UnreadableItem):
        store.public_keys()
    store.put_condition("llm", WORKER_ID, Condition())
    store.merge_condition("llm", WORKER_ID, VastReport(version="1.1.0"), now_s=1.0)
    store.delete_requests("llm", [7], worker_id=WORKER_ID)


def use_scale_store(store: Any) -> None:
    store.acquire_lease("llm", owner="me", now_s=1.0, duration_s=1.0)
    store.overtake_lease("llm", owner="me", now_s=1.0, duration_s=1.0)
    store.renew_lease(LEASE, now_s=1.0, duration_s=1.0)
    store.load("llm")
    store.put_rental(LEASE, WORKER_ID, RENTAL)
    store.forget_worker(LEASE, WORKER_ID)
    store.put_state(LEASE, ScalerState())
    store.put_decision(LEASE, DECISION, expires_at_s=1.0)
    store.release_lease(LEASE)


USES: list[tuple[str, type[Any], Callable[[Any], None]]] = [
    ("route", DynamoRouteStore, use_route_store),
    ("report", DynamoReportStore, use_report_store),
    ("scale", DynamoScaleStore, use_scale_store),
    ("rotate", DynamoPublicKeyBoard, use_board),
]


@pytest.mark.parametrize(("part", "kind", "use"), USES, ids=[part for part, _, _ in USES])
def test_a_function_is_granted_the_operations_that_its_store_performs(
    stack: RecordedStack, part: str, kind: type[Any], use: Callable[[Any], None]
) -> None:
    api = WatchedApi()

    use(kind(DynamoTable(api, "table")))

    assert granted(stack, part) == api.performed


@pytest.mark.parametrize(("part", "kind", "use"), USES, ids=[part for part, _, _ in USES])
def test_no_method_of_a_store_is_forgotten_here(part: str, kind: type[Any], use: Callable[[Any], None]) -> None:
    watched = WatchedStore(kind(DynamoTable(WatchedApi(), "table")))

    use(watched)

    assert watched.called == {name for name in vars(kind) if not name.startswith("_")}, part


def granted(stack: RecordedStack, part: str) -> Granted:
    """Return what a function may do on the table: operation and kind of item."""
    return {
        (action.removeprefix("dynamodb:"), prefix.removesuffix("#*"))
        for statement in stack.statements(f"{part}-policy")
        for action in statement["Action"]
        if action.startswith("dynamodb:")
        for prefix in statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    }
