"""One hostile world: the real services over a table in memory and a simulated marketplace, with everything that may go wrong.

The real scaler, router and report function run; the marketplace adapter is the one that ships. What goes wrong: lost answers
before and after the effect, rate limits, 5xx, empty and lagging lists, table outages, a crash or a long pause before or after any
port call of a scaler, late, duplicate and missing invocations, two scalers at once, late, lost and repeated reports, unused
tickets, machines that never load, lie about their performance, fall silent, vanish and come back.

`torment` lets it all happen and checks safety at every effect; `recover` turns the faults off and lets a working world follow.
One seed gives one history.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from functions.adapters.nacl_signer import NaclSigner
from functions.core.labels import label_prefix
from functions.core.model import ApiKey, Autogroup, EndpointGroup, RentalType
from functions.ports import LeaseLost, ScaleStore, StoreUnavailable
from functions.report.service import ReportPorts
from functions.route.service import RoutePorts
from functions.scale.release import release_group
from functions.scale.service import keep_scaled
from functions.scale.turn import ScalePorts, ScaleSettings
from protocol.ticket import Ticket
from sandbox.marketplace.api import Reply, Request
from sandbox.marketplace.effects import Boot, Effect, Freeze, Halt, Kill, Thaw
from sandbox.marketplace.environment import container_environment
from sandbox.marketplace.faults import PRESETS, AnswerFault, Chance, Fate, FaultOptions, Operation, Span
from sandbox.marketplace.world import WorldOptions
from tests.fakes.marketplace import QUIET_MARKET, WorldSession, make_api, make_world, marketplace_over
from tests.fakes.store import MemoryStore
from tests.simulation.clients import Clients
from tests.simulation.clock import SimulatedClock
from tests.simulation.invariants import Watch
from tests.simulation.workers import Air, SimulatedWorker

ENDPOINT: Final = "chat"
STACK: Final = "sim"
START_S: Final = 1_900_000_000.0
SCHEDULE_S: Final = 60.0
INVOCATION_S: Final = 50.0
NESTED_MAX: Final = 3
# Enough machines for some to be left when many have failed and are avoided.
MARKET: Final = replace(QUIET_MARKET, machines=80)
TIMEOUT_S: Final = 12.0
OBSERVE_S: Final = 5.0
MOOD_S: Final = 150.0
CRASH_CHANCE: Final = 0.004
PAUSE_CHANCE: Final = 0.004
PAUSE_S: Final = 200.0
SPOT_SHARE: Final = 0.4
OUTBID_CHANCE: Final = 0.01
STORE_FAULT_CHANCE: Final = 0.004
_TOKEN_SECRET: Final = b"0" * 32


class Crash(BaseException):
    """The scaler's process dies here."""


@dataclass(slots=True)
class Life:
    """One invocation's process: once crashed, nothing it calls happens any more."""

    rng: random.Random
    clock: SimulatedClock
    hostile: bool
    dead: bool = False

    def step(self, *, may_pause: bool) -> None:
        """Live on, or crash, or be paused for long."""
        if self.dead:
            raise Crash
        if not self.hostile:
            return
        if self.rng.random() < CRASH_CHANCE:
            self.dead = True
            raise Crash
        if may_pause and self.rng.random() < PAUSE_CHANCE:
            self.clock.wait_s(PAUSE_S)


class Mortal:
    """A port whose calls may be the last ones of their caller. A table's calls may also fail, or be answered very late."""

    def __init__(self, port: Any, life: Life, *, table: bool) -> None:
        self._port = port
        self._life = life
        self._table = table

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the port's method, in mortal form."""
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._life.step(may_pause=self._table)
            self._fail_sometimes()
            answer = method(*args, **kwargs)
            self._fail_sometimes()
            self._life.step(may_pause=self._table)
            return answer

        return call

    def _fail_sometimes(self) -> None:
        if self._table and self._life.hostile and self._life.rng.random() < STORE_FAULT_CHANCE:
            raise StoreUnavailable("simulated")


@dataclass(slots=True)
class Wakes:
    """The router's wake-ups, some of them late."""

    clock: SimulatedClock
    rng: random.Random
    invoke: Callable[[], None]

    def wake(self, endpoint: str) -> None:
        """Invoke the scaler soon."""
        assert endpoint == ENDPOINT
        self.clock.after(self.rng.uniform(0.1, 3.0), self.invoke)


@dataclass(slots=True)
class HostileWorld:
    """Everything, for one seed."""

    seed: int
    hostile: bool = True
    nested: int = 0
    calling: bool = False  # a scaler waits for the marketplace
    invocations: int = 0
    processes: dict[int, SimulatedWorker] = field(default_factory=dict)

    rng: random.Random = field(init=False)
    clock: SimulatedClock = field(init=False)
    store: MemoryStore = field(init=False)
    watch: Watch = field(init=False)
    clients: Clients = field(init=False)
    air: Air = field(init=False)
    session: WorldSession = field(init=False)

    def __post_init__(self) -> None:
        """Build the world and begin its lives."""
        self.rng = random.Random(self.seed)
        self.clock = SimulatedClock(START_S)
        self.store = MemoryStore()
        self.store.put_group(random_group(self.rng))
        for autogroup in _autogroups(self.rng):
            self.store.put_autogroup(ENDPOINT, autogroup)
        options = WorldOptions(market=MARKET, faults=_faults(self.rng), boot_speed=3.0, credit_usd=10_000.0)
        world = make_world(now_s=START_S, seed=self.rng.getrandbits(32), options=options)
        self.watch = Watch(
            world=world, store=self.store, endpoint=ENDPOINT, prefix=label_prefix(STACK, ENDPOINT), on_the_way=self._tickets
        )
        self.session = WorldSession(make_api(world), self.clock, on_call=self._on_call)
        reports = ReportPorts(store=self.store, token_secret=lambda: _TOKEN_SECRET, clock=self.clock, stack=STACK)
        self.air = Air(clock=self.clock, reports=reports, rng=self.rng, loss=0.1, delay_s_max=8.0, repeats=0.1, lingering=0.03)
        self.clients = self._clients()
        self.clients.begin()
        self._schedule()
        self._observe()

    def torment(self, duration_s: float) -> None:
        """Let time pass with every fault on, and demand come and go."""
        end_s = self.clock.now_s() + duration_s
        while self.clock.now_s() < end_s:
            self.clients.rate_per_s = self.rng.choice((0.0, 0.0, 0.03, 0.15))
            self.clock.wait_s(MOOD_S)

    def recover(self, *, rate_per_s: float, duration_s: float) -> None:
        """Let time pass with every fault off."""
        self.hostile = False
        self.watch.world.plan.put(FaultOptions())
        self.air.loss, self.air.delay_s_max, self.air.repeats, self.air.lingering = 0.0, 0.2, 0.0, 0.0
        self.clients.rate_per_s, self.clients.abandoned = rate_per_s, 0.0
        for process in self.processes.values():
            process.lies = 1.0
        self.clock.wait_s(duration_s)

    def invoke(self) -> None:
        """Run one invocation of the scale function; it may be one of several at once."""
        if self.calling:
            # Nothing can fence a create that is on the wire: its client's timeout bounds it, far below RENT_CONFIRM_S.
            self.clock.after(1.0, self.invoke)
            return
        if self.nested >= NESTED_MAX:
            return
        self.nested += 1
        self.invocations += 1
        try:
            self._scale(f"invocation-{self.invocations}")
        except (Crash, StoreUnavailable):
            pass  # the next invocation resumes
        finally:
            self.nested -= 1

    def remove_group(self) -> None:
        """Do what `pulumi destroy` does, until it succeeds."""
        self.clients.rate_per_s = 0.0
        for attempt in range(5):
            try:
                release_group(
                    ENDPOINT,
                    owner=f"release-{attempt}",
                    ports=self._ports(),
                    settings=_settings(),
                    deadline_s=self.clock.now_s() + 280.0,
                )
            except (Crash, LeaseLost, StoreUnavailable):
                continue
            return

    def _scale(self, owner: str) -> None:
        deadline_s = self.clock.now_s() + INVOCATION_S
        for done in keep_scaled(ENDPOINT, owner=owner, ports=self._ports(), settings=_settings(), deadline_s=deadline_s):
            self.watch.after_tick(done, now_s=self.clock.now_s())

    def _ports(self) -> ScalePorts:
        life = Life(rng=self.rng, clock=self.clock, hostile=self.hostile)
        marketplace = marketplace_over(self.session, self.clock)
        store = cast("ScaleStore", Mortal(self.store, life, table=True))
        return ScalePorts(store=store, marketplace=cast("Any", Mortal(marketplace, life, table=False)), clock=self.clock)

    def _clients(self) -> Clients:
        signer = NaclSigner(key_id="k1", seed=b"1" * 32)
        wakes = Wakes(clock=self.clock, rng=self.rng, invoke=self.invoke)
        ports = RoutePorts(store=self.store, signing=lambda: signer, waker=wakes, clock=self.clock, rng=self.rng)
        key = ApiKey(key_sha256="0" * 64, endpoints=frozenset({ENDPOINT}))
        return Clients(
            endpoint=ENDPOINT, key=key, ports=ports, clock=self.clock, rng=self.rng, deliver=self._deliver, abandoned=0.05
        )

    def _schedule(self) -> None:
        self.clock.after(SCHEDULE_S, self._schedule)
        luck = self.rng.random() if self.hostile else 0.5
        if luck < 0.05:
            return  # never delivered
        self.clock.after(self.rng.uniform(0.0, 5.0), self.invoke)
        if luck > 0.95:
            self.clock.after(self.rng.uniform(0.0, 40.0), self.invoke)

    def _observe(self) -> None:
        self.clock.after(OBSERVE_S, self._observe)
        if self.hostile and self.rng.random() < OUTBID_CHANCE:
            self._outbid()
        self._settle()

    def _outbid(self) -> None:
        """Let somebody bid more for one of the machines that were rented by a bid."""
        bids = [contract.contract_id for contract in self.watch.ours() if contract.is_bid]
        if bids:
            self.watch.world.strike(self.rng.choice(bids), Fate.OUTBID, self.clock.now_s())

    def _on_call(self, asked: Request, reply: Reply | None) -> None:
        self.calling = True
        try:
            self._call(asked, reply)
        finally:
            self.calling = False

    def _call(self, asked: Request, reply: Reply | None) -> None:
        if reply is None:
            self.clock.wait_s(self.rng.uniform(0.05, 0.8))
            self._settle()
            self.watch.before_call(asked, self.processes, now_s=self.clock.now_s())
            return
        self._settle()
        self.watch.after_call(asked, now_s=self.clock.now_s())
        self.clock.wait_s(TIMEOUT_S if reply.dropped else self.rng.uniform(0.05, 0.8))

    def _settle(self) -> None:
        self.watch.world.advance(self.clock.now_s())
        for effect in self.watch.world.take_effects():
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        process = self.processes.get(effect.contract_id)
        match effect:
            case Boot(contract_id=contract_id):
                self._boot(contract_id)
            case Halt() | Kill() if process is not None:
                process.alive = False
            case Freeze() | Thaw() if process is not None:
                process.frozen = isinstance(effect, Freeze)
            case _:
                pass

    def _boot(self, contract_id: int) -> None:
        contract = self.watch.world.contracts.all[contract_id]
        again = contract_id in self.processes
        worker = SimulatedWorker(
            contract_id=contract_id,
            env=container_environment(contract),
            air=self.air,
            run_id=f"run-{self.rng.getrandbits(48)}",
            load_s=self.rng.uniform(2.0, 10.0) if again else self.rng.uniform(10.0, 60.0),
            lies=3.0 if self.hostile and self.rng.random() < 0.1 else 1.0,
        )
        self.processes[contract_id] = worker
        worker.begin()

    def _tickets(self, worker_id: str) -> int:
        """Return how many unexpired tickets may still arrive at a worker."""
        now_s = self.clock.now_s()
        return sum(ticket.worker_id == worker_id and ticket.expires_at >= now_s for ticket in self.clients.on_the_way)

    def _deliver(self, ticket: Ticket) -> bool:
        alive = (process for process in self.processes.values() if process.alive and process.url == ticket.url)
        return any(process.take(ticket) for process in alive)


def random_group(rng: random.Random) -> EndpointGroup:
    """Return a group's parameters, drawn from what people set."""
    return EndpointGroup(
        endpoint=ENDPOINT,
        max_workers=rng.choice((1, 1, 2, 3, 5)),
        max_hourly_cost_micro_usd=rng.choice((800_000, 2_000_000, 6_000_000)),
        cold_mult=rng.choice((0.0, 1.0, 2.0)),
        cold_workers=rng.choice((0, 0, 1, 2)),
        test_workers=rng.choice((0, 1, 2)),
        target_util=rng.choice((0.7, 0.9)),
        inactivity_timeout=rng.choice((0.0, 30.0, 200.0)),
        scale_down_window=rng.choice((0.0, 60.0, 300.0)),
        shortage_cost=rng.choice((0.0, 0.0, 20.0)),
    )


def _autogroups(rng: random.Random) -> tuple[Autogroup, ...]:
    small = Autogroup(
        name="small", search_params="num_gpus=1 verified=any dph_total<0.7 inet_down>=300 dlperf>=12", image="worker", disk_gb=20.0
    )
    large = Autogroup(
        name="large", search_params="num_gpus<=2 verified=any gpu_ram>=20 inet_down>=300 dlperf>=12", image="worker", disk_gb=20.0
    )
    if rng.random() < SPOT_SHARE:
        small = replace(small, rental_type=RentalType.INTERRUPTIBLE, bid_factor=1.2, max_bid_micro_usd=700_000)
    return (replace(small, boot_timeout_s=600.0), replace(large, boot_timeout_s=600.0))


def _faults(rng: random.Random) -> FaultOptions:
    """Return the market's own faults, and more of those that a scaler finds hardest: lost answers, and lists that lag."""
    preset = PRESETS[rng.choice(("typical", "hostile"))]
    lost = tuple(
        Chance(operation=operation, fault=fault, probability=rng.choice((0.0, 0.1, 0.3)))
        for operation in (Operation.CREATE, Operation.DESTROY, Operation.START, Operation.STOP)
        for fault in (AnswerFault.DROPPED_AFTER, AnswerFault.SERVER_ERROR_BEFORE)
    )
    mistaken = tuple(
        Chance(operation=Operation.CREATE, fault=fault, probability=0.05)
        for fault in (AnswerFault.WRONG_MACHINE, AnswerFault.BID_IGNORED)
    )
    return replace(preset, chances=(*mistaken, *lost, *preset.chances), list_lag_share=0.5, list_lag=Span(least_s=1.0, most_s=45.0))


def _settings() -> ScaleSettings:
    return ScaleSettings(stack=STACK, report_url="http://report.test", worker_token_secret=_TOKEN_SECRET, tick_interval_s=10.0)
