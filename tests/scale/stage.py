"""A quiet world for one group: no faults but those a test asks for, and every worker ready a while after it boots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from functions.core.labels import label_prefix, worker_of_label
from functions.core.model import Autogroup, Condition, EndpointGroup, WaitingRequest, Worker
from functions.ports import Marketplace, ScaleStore
from functions.scale.service import keep_scaled
from functions.scale.tick import Tick
from functions.scale.turn import ScalePorts, ScaleSettings
from protocol.report import Phase
from sandbox.marketplace.faults import AnswerFault, Fate, Operation
from sandbox.marketplace.instance import Contract
from sandbox.marketplace.world import World, WorldOptions
from tests.fakes.marketplace import QUIET_MARKET, make_world
from tests.fakes.store import MemoryStore
from tests.fakes.world_marketplace import WorldMarketplace
from tests.simulation.clock import SimulatedClock

START_S: Final = 1_900_000_000.0
ENDPOINT: Final = "chat"
STACK: Final = "test"
SECRET: Final = b"worker-token-secret-of-32-bytes!"
TICK_S: Final = 5.0


@dataclass(slots=True)
class Stage:
    """The world and its table. `settings` may be replaced before the first tick."""

    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(START_S))
    store: MemoryStore = field(default_factory=MemoryStore)
    settings: ScaleSettings = field(
        default_factory=lambda: ScaleSettings(
            stack=STACK,
            report_url="https://report.test",
            worker_token_secret=SECRET,
            secret_env={"chat/a": {"HF_TOKEN": "hf-very-secret"}},
            tick_interval_s=TICK_S,
        )
    )
    world: World = field(init=False)
    marketplace: Marketplace = field(init=False)

    def __post_init__(self) -> None:
        """Open the market and write the stack's items."""
        quick = WorldOptions(market=QUIET_MARKET, boot_speed=10.0, credit_usd=1_000.0)
        self.world = make_world(now_s=START_S, options=quick)
        self.marketplace = WorldMarketplace(self.world, self.clock)
        self.configure()
        self.store.put_autogroup(ENDPOINT, Autogroup(name="a", search_params="num_gpus=1 verified=any", image="tgi", disk_gb=20.0))

    def configure(self, **changes: Any) -> None:
        """Write the group's parameters."""
        defaults: dict[str, Any] = {
            "endpoint": ENDPOINT,
            "max_workers": 3,
            "max_hourly_cost_micro_usd": 20_000_000,
            "cold_mult": 0.0,
            "shortage_cost": 0.0,
        }
        self.store.put_group(EndpointGroup(**defaults | changes))

    def meets(self, operation: Operation, fault: AnswerFault | Fate, *, after: int = 0) -> None:
        """Let the next call of an operation (or a later one) go wrong."""
        self.world.plan.script_next(operation, fault, after=after)

    def somebody_waits(self, *, cost: float = 10.0) -> None:
        """Let one request wait, polled just now."""
        now_s = self.clock.now_s()
        request = WaitingRequest(request_idx=1, cost=cost, arrived_at_s=now_s, polled_at_s=now_s)
        self.store.put_request(ENDPOINT, request, expires_at_s=now_s + 3_600)

    def nobody_waits(self) -> None:
        """Let the request be served elsewhere."""
        self.store.forget_requests(ENDPOINT, [1])

    def ticks(self, count: int = 1, *, owner: str = "me", wrap: Callable[[Any], Any] = lambda port: port) -> list[Tick]:
        """Make ticks, one invocation each, TICK_S apart; `wrap` may stand between the scaler and its ports."""
        made: list[Tick] = []
        for _ in range(count):
            ports = ScalePorts(
                store=cast("ScaleStore", wrap(self.store)),
                marketplace=cast("Marketplace", wrap(self.marketplace)),
                clock=self.clock,
            )
            deadline_s = self.clock.now_s() + TICK_S - 1
            made += keep_scaled(ENDPOINT, owner=owner, ports=ports, settings=self.settings, deadline_s=deadline_s)
            self.clock.wait_s(TICK_S)
        return made

    def contracts(self) -> list[Contract]:
        """Return every contract of ours that exists now."""
        self.world.advance(self.clock.now_s())
        prefix = label_prefix(STACK, ENDPOINT)
        return [one for one in self.world.contracts.live.values() if (one.label or "").startswith(prefix)]

    def workers(self) -> list[Worker]:
        """Return every worker on record, tombstones included."""
        records = self.store.load(ENDPOINT)
        assert records is not None
        return list(records.workers)

    def everyone_reports(self, **changes: Any) -> None:
        """Let every running contract's worker report that it is ready, measured at 100 load/s."""
        for contract in self.contracts():
            worker_id = worker_of_label(contract.label or "")
            known = {worker.worker_id: worker for worker in self.workers()}
            if contract.actual_status == "running" and worker_id in known:
                self.report(known[worker_id], **changes)

    def report(self, worker: Worker, **changes: Any) -> None:
        """Let one worker report now."""
        said: dict[str, Any] = {
            "phase": Phase.READY,
            "run_id": f"run-{worker.rental.boot_started_at_s}",
            "seq": int(self.clock.now_s() - START_S) + 1,
            "reported_at_s": self.clock.now_s(),
            "url": "http://203.0.113.7:40001",
            "perf": 100.0,
        }
        self.store.put_condition(ENDPOINT, worker.worker_id, Condition(**said | changes))

    def run(self, duration_s: float) -> list[Tick]:
        """Tick for so long, everybody reporting all the while."""
        made: list[Tick] = []
        for _ in range(int(duration_s / TICK_S)):
            self.everyone_reports()
            made += self.ticks()
        return made
