"""One tick of the real scaler over an emulated DynamoDB: calls to the marketplace, operations and units of the table.

The marketplace is a stand-in that answers at once and counts the calls that the real adapter would make: a list has pages of
PAGE_SIZE instances. `paced_s` is what the documented pauses between these calls come to.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from bench.cost import READ_UNIT, WRITE_UNIT
from bench.scaling.fleet import ENDPOINT, NOW_S, STACK
from bench.scaling.meter import Meter
from functions.adapters.botocore_api import BotocoreApi
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_items import AUTOGROUP_SK, attributes_of, scaler_key, spec_key, waiting_key, worker_key
from functions.adapters.dynamodb_scale import DynamoScaleStore
from functions.adapters.spec_codec import spec_attribute, state_attribute
from functions.adapters.vast import PAGE_SIZE
from functions.adapters.vast_pace import INTERVAL_S
from functions.core.model import Autogroup, Instance, Offer, fleet_shards
from functions.core.snapshot import Snapshot
from functions.ports import Marketplace
from functions.scale.tick import tick
from functions.scale.turn import LEASE_S, ScalePorts, ScaleSettings, Tenure, Turn

TICK_S: Final = 5.0
TICKS_BEFORE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TickCost:
    """What one tick took. `dollars_per_hour` is of the table, at a tick every TICK_S."""

    workers: int
    situation: str
    actions: int
    marketplace_calls: Mapping[str, int]
    paced_s: float
    operations: Mapping[str, int]
    read_units: float
    write_units: float
    recorded: bool

    @property
    def dollars_per_hour(self) -> float:
        """What the table costs."""
        return (self.read_units * READ_UNIT + self.write_units * WRITE_UNIT) * 3_600 / TICK_S


class StillClock:
    """Implements `ports.Clock`: no time passes but what is waited for."""

    def __init__(self) -> None:
        self._now_s = NOW_S

    def now_s(self) -> float:
        """Return the time."""
        return self._now_s

    def wait_s(self, duration_s: float) -> None:
        """Let time pass."""
        self._now_s += duration_s


@dataclass(slots=True)
class CountingMarketplace:
    """Answers at once what a group would see, and counts."""

    seen: Snapshot
    calls: Counter[str] = field(default_factory=Counter)

    def instances(self, label_prefix: str) -> list[Instance]:
        """List, page by page."""
        listing = self.seen.listing or ()
        self.calls["list"] += max(1, math.ceil(len(listing) / PAGE_SIZE))
        return [each for each in listing if each.label.startswith(label_prefix)]

    def search(self, autogroup: Autogroup) -> Sequence[Offer]:
        """Search."""
        self.calls["search"] += 1
        return self.seen.offers.get(autogroup.name, ())

    def create(self, _request: object) -> int:
        """Rent."""
        self.calls["create"] += 1
        return 99_000_000 + self.calls["create"]

    def credit_micro_usd(self) -> int:
        """Read the account."""
        self.calls["account"] += 1
        return 10_000_000_000

    def __getattr__(self, name: str) -> Any:
        """Return any other call, counted."""

        def call(*_args: object, **_options: object) -> None:
            self.calls[name] += 1

        return call


def one_tick(client: Any, table_name: str, seen: Snapshot, situation: str) -> TickCost:
    """Store the group in a new table, tick a few times, and return what the last took: the first ones have said what is new."""
    client.create_table(
        TableName=table_name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    )
    _fill(DynamoTable(BotocoreApi(client), table_name), seen)
    meter, clock, marketplace = Meter(BotocoreApi(client)), StillClock(), CountingMarketplace(seen)
    store = DynamoScaleStore(DynamoTable(meter, table_name))
    lease = store.acquire_lease(ENDPOINT, owner="bench", now_s=NOW_S, duration_s=LEASE_S)
    assert lease is not None
    turn = Turn(
        tenure=Tenure(lease, store=store, clock=clock),
        ports=ScalePorts(store=store, marketplace=cast("Marketplace", marketplace), clock=clock),
        settings=ScaleSettings(stack=STACK, report_url="https://report.test", worker_token_secret=b"x" * 32),
        deadline_s=NOW_S + 3_600.0,
    )
    for _ in range(TICKS_BEFORE):
        tick(turn)
        clock.wait_s(TICK_S)
    meter.read_units, meter.write_units, meter.operations = 0.0, 0.0, Counter()
    marketplace.calls = Counter()
    done = tick(turn)
    assert done is not None
    return TickCost(
        workers=len(seen.workers),
        situation=situation,
        actions=len(done.plan.actions),
        marketplace_calls=dict(marketplace.calls),
        paced_s=sum((count - 1) * INTERVAL_S.get(kind, 1.0) for kind, count in marketplace.calls.items()),
        operations=dict(meter.operations),
        read_units=meter.read_units,
        write_units=meter.write_units,
        recorded=done.recorded,
    )


def _fill(table: DynamoTable, seen: Snapshot) -> None:
    table.put({**spec_key(ENDPOINT), "spec": spec_attribute(seen.group)})
    for autogroup in seen.autogroups:
        key = {"pk": {"S": f"ENDPOINT#{ENDPOINT}"}, "sk": {"S": f"{AUTOGROUP_SK}{autogroup.name}"}}
        table.put({**key, "spec": spec_attribute(autogroup)})
    shards = {"N": str(fleet_shards(seen.group.max_workers))}
    table.put({**scaler_key(ENDPOINT), "state": state_attribute(seen.state), "shards": shards})
    for worker in seen.workers:
        records = (worker.rental, worker.condition, worker.assignments)
        fields = {name: value for record in records for name, value in attributes_of(record).items()}
        table.put({**worker_key(ENDPOINT, worker.worker_id), **fields})
    for request in seen.waiting:
        table.put({**waiting_key(ENDPOINT, request.request_idx), **attributes_of(request)})
