"""The stores under contract, made alike: the three ports, and what `pulumi up` writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from functions.adapters.aws_api import Aws, dynamodb
from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.clock import SystemClock
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_items import attributes_of
from functions.adapters.dynamodb_report import DynamoReportStore
from functions.adapters.dynamodb_route import DynamoRouteStore
from functions.adapters.dynamodb_scale import DynamoScaleStore, recent_decisions
from functions.adapters.sigv4 import Credentials
from functions.adapters.spec_codec import spec_attribute
from functions.core.jsonable import encode
from functions.core.model import ApiKey, Autogroup, EndpointGroup, Worker
from functions.ports import Lease, ReportStore, RouteStore, ScaleStore
from tests.core.builders import NOW_S
from tests.fakes.store import MemoryStore

OWNER = "scaler-1"
ENDPOINT = "chat"


class Pulumi(Protocol):
    """What the stack file becomes, and what a person reads of the decisions."""

    def put_group(self, group: EndpointGroup) -> None:
        """Write a group's parameters."""

    def put_autogroup(self, endpoint: str, autogroup: Autogroup) -> None:
        """Write an autogroup's parameters."""

    def put_key(self, key: ApiKey) -> None:
        """Write an API key."""

    def decisions(self, endpoint: str) -> list[Any]:
        """Return the decision records as JSON objects, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One table behind its ports."""

    route: RouteStore
    report: ReportStore
    scale: ScaleStore
    pulumi: Pulumi

    def lease(self, owner: str = OWNER, *, now_s: float = NOW_S) -> Lease:
        """Take the lease, which must be free."""
        lease = self.scale.acquire_lease(ENDPOINT, owner=owner, now_s=now_s, duration_s=30.0)
        assert lease is not None
        return lease

    def hold(self, worker: Worker) -> Worker:
        """Store a worker as its writers would: rental by the scaler, condition by the report function."""
        self.scale.put_rental(self.lease(), worker.worker_id, worker.rental)
        if worker.condition.reported_at_s:
            self.report.put_condition(ENDPOINT, worker.worker_id, worker.condition)
        return worker

    def stored(self, worker_id: str) -> Worker | None:
        """Return the worker as it is stored, None if it is not."""
        records = self.scale.load(ENDPOINT)
        assert records is not None
        return next((each for each in records.workers if each.worker_id == worker_id), None)


class MemoryPulumi:
    """Pulumi's part on the table in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.put_group = store.put_group
        self.put_autogroup = store.put_autogroup
        self.put_key = store.put_key

    def decisions(self, endpoint: str) -> list[Any]:
        """Return the decision records as JSON objects, oldest first."""
        return [encode(record) for record in self._store.decisions(endpoint)]


class DynamoPulumi:
    """Pulumi's part on a DynamoDB table: the items that the program declares."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def put_group(self, group: EndpointGroup) -> None:
        """Write a group's parameters."""
        self._put(f"ENDPOINT#{group.endpoint}", "SPEC", spec=spec_attribute(group))

    def put_autogroup(self, endpoint: str, autogroup: Autogroup) -> None:
        """Write an autogroup's parameters."""
        self._put(f"ENDPOINT#{endpoint}", f"AUTOGROUP#{autogroup.name}", spec=spec_attribute(autogroup))

    def put_key(self, key: ApiKey) -> None:
        """Write an API key."""
        self._put(f"KEY#{key.key_sha256}", "KEY", **attributes_of(key))

    def decisions(self, endpoint: str) -> list[Any]:
        """Return the decision records as JSON objects, oldest first."""
        return recent_decisions(self._table, endpoint, limit=100)[::-1]

    def _put(self, pk: str, sk: str, **attributes: Any) -> None:
        self._table.put({"pk": {"S": pk}, "sk": {"S": sk}, **attributes})


def memory_stores() -> Stores:
    """Return an empty table in memory."""
    store = MemoryStore()
    return Stores(route=store, report=store, scale=store, pulumi=MemoryPulumi(store))


def dynamo_stores(client: Any, table_name: str) -> Stores:
    """Return an empty table of DynamoDB, made new, behind the clients that the functions use.

    Routes and reports go through our own, the scaler through botocore.
    """
    client.create_table(
        TableName=table_name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    )
    slim = DynamoTable(dynamodb(aws_of(client)), table_name)
    table = DynamoTable(BotocoreApi(client), table_name)
    return Stores(
        route=DynamoRouteStore(slim),
        report=DynamoReportStore(slim),
        scale=DynamoScaleStore(table),
        pulumi=DynamoPulumi(table),
    )


def aws_of(client: Any) -> Aws:
    """Return the account, region and endpoint of a client of boto3."""
    held = client._request_signer._credentials  # noqa: SLF001 - botocore tells them nowhere else
    credentials = Credentials(access_key_id=held.access_key, secret_access_key=held.secret_key)
    endpoints = {"": client.meta.endpoint_url}
    return Aws(credentials=credentials, region=client.meta.region_name, clock=SystemClock(), endpoints=endpoints)


def a_key(*endpoints: str, **changes: Any) -> ApiKey:
    """Return a key for these groups."""
    return ApiKey(key_sha256="5e" * 32, endpoints=frozenset(endpoints), **changes)


def renamed(worker: Worker, worker_id: str) -> Worker:
    """Return the same worker under another id."""
    return replace(worker, worker_id=worker_id)
