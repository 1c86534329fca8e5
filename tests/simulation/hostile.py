"""One hostile world: the real services over a table in memory and a simulated marketplace, with everything that may go wrong.

The real scaler, routers and report function run; the marketplace adapter is the one that ships, and workers keep the real worker's
books. What goes wrong is named in `story.Fault`: lost answers before and after the effect, rate limits, 5xx, late answers, empty
and lagging lists, table outages, a crash or a long pause before or after any port call of a scaler, a lost memory, late, duplicate
and missing invocations, two scalers at once, late, lost and repeated reports, minutes in which no report arrives, clocks that
differ, unused and repeated tickets, machines that never load, lie about their performance, cannot be reached, fall silent, vanish
and come back; people who change the image, to one that never serves or back, or ask for an update, while another is under way; and
schedules that change what the group may cost, what it has to hold, and whether it works at all.

`torment` lets it all happen, `calm_down` turns the faults off, and `live` lets a working world go on. Every step is watched by
`invariants`. One seed gives one history.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from nacl.signing import SigningKey

from functions.adapters.nacl_signer import NaclSigner
from functions.core.labels import label_prefix
from functions.core.lifecycle import WorkerState
from functions.core.model import ApiKey, Worker
from functions.core.reconcile import DRAIN_DEADLINE_S
from functions.ports import LeaseLost, StoreUnavailable
from functions.report.service import ReportPorts
from functions.route.service import RoutePorts
from functions.scale.release import ReleaseIncomplete, release_group
from functions.scale.service import keep_scaled
from functions.scale.turn import ScaleSettings
from protocol.ticket import Ticket
from sandbox.marketplace.faults import FaultOptions
from sandbox.marketplace.world import World
from tests.fakes.marketplace import make_world, marketplace_over
from tests.fakes.store import MemoryStore
from tests.simulation.clients import PATIENCE_S, Clients, Router
from tests.simulation.clock import SimulatedClock, SkewedClock
from tests.simulation.invariants.scene import Scene
from tests.simulation.invariants.watch import Watch
from tests.simulation.machines import Machines
from tests.simulation.market import BOOT_TIMEOUT_S, random_autogroups, random_group, random_market
from tests.simulation.mortal import Crash, Environment, Life
from tests.simulation.story import Fault, Kind, Story
from tests.simulation.timetables import Timetables
from tests.simulation.updates import Updates
from tests.simulation.wire import Wire
from tests.simulation.workers import Air, SimulatedWorker

ENDPOINT: Final = "chat"
STACK: Final = "sim"
START_S: Final = 1_900_000_000.0
SCHEDULE_S: Final = 60.0
INVOCATION_S: Final = 50.0
RELEASE_S: Final = 280.0
RELEASES_MAX: Final = 20
NESTED_MAX: Final = 3
ROUTERS: Final = 3
CLOCKS_APART_S: Final = 1.5  # of the control plane's machines
OBSERVE_S: Final = 5.0
MOOD_S: Final = 90.0
RATES_PER_S: Final = (0.0, 0.03, 0.1, 0.3)
OUTBID_CHANCE: Final = 0.01
REPORTS_DOWN_CHANCE: Final = 0.002
MEMORY_LOST_CHANCE: Final = 0.001
_TOKEN_SECRET: Final = b"0" * 32
_SEED: Final = b"1" * 32


@dataclass(slots=True)
class HostileWorld:
    """Everything, for one seed."""

    seed: int
    story: Story = field(init=False)
    hostile: bool = True
    nested: int = 0
    invocations: int = 0
    environments: list[Environment] = field(default_factory=list)

    rng: random.Random = field(init=False)
    clock: SimulatedClock = field(init=False)
    clocks: list[SkewedClock] = field(default_factory=list)
    store: MemoryStore = field(init=False)
    world: World = field(init=False)
    machines: Machines = field(init=False)
    watch: Watch = field(init=False)
    wire: Wire = field(init=False)
    clients: Clients = field(init=False)
    air: Air = field(init=False)
    updates: Updates = field(init=False)
    timetables: Timetables = field(init=False)

    def __post_init__(self) -> None:
        """Build the world and begin its lives."""
        self.rng = random.Random(self.seed)
        self.clock = SimulatedClock(START_S)
        self.story = Story(since_s=START_S, now_s=self.clock.now_s)
        self.store = MemoryStore()
        self.store.put_group(random_group(ENDPOINT, self.rng))
        for autogroup in random_autogroups(self.rng):
            self.store.put_autogroup(ENDPOINT, autogroup)
        self.world = make_world(now_s=START_S, seed=self.rng.getrandbits(32), options=random_market(self.rng))
        self.air = self._air()
        self.machines = Machines(world=self.world, clock=self.clock, rng=self.rng, air=self.air, story=self.story)
        self.watch = Watch(self._scene(), boot_s=BOOT_TIMEOUT_S, drain_s=DRAIN_DEADLINE_S)
        self.wire = Wire(
            world=self.world, clock=self.clock, rng=self.rng, story=self.story, machines=self.machines, watch=self.watch
        )
        self.clients = self._clients()
        self.updates = self._updates()
        self.timetables = self._timetables()
        self.clients.begin()
        self.updates.begin()
        self.timetables.begin()
        self._schedule()
        self._observe()

    def torment(self, duration_s: float) -> None:
        """Let time pass with every fault on, and demand come and go."""
        self.story.tell("world", Kind.PHASE, "Everything may go wrong from here on.")
        end_s = self.clock.now_s() + duration_s
        while self.clock.now_s() < end_s:
            self.clients.rate_per_s = self.rng.choice(RATES_PER_S)
            self.clock.wait_s(MOOD_S)

    def calm_down(self) -> None:
        """Turn every fault off."""
        self.story.tell("world", Kind.PHASE, "Nothing goes wrong any more.")
        self.hostile, self.machines.hostile = False, False
        self.world.plan.put(FaultOptions())
        self.world.spare()
        self.air.loss, self.air.delay_s_max, self.air.repeats, self.air.lingering, self.air.down_until_s = 0.0, 0.2, 0.0, 0.0, 0.0
        self.clients.abandoned, self.clients.replayed, self.clients.patience_s = 0.0, 0.0, self._patience_s()
        for clock in self.clocks:
            clock.ahead_s = 0.0
        for process in self.machines.processes.values():
            process.lies, process.clock_ahead_s, process.deaf = 1.0, 0.0, False
        self.updates.put_right()
        self.timetables.serve()

    def live(self, *, rate_per_s: float, duration_s: float) -> None:
        """Let time pass at this demand."""
        self.clients.rate_per_s = rate_per_s
        self.clock.wait_s(duration_s)

    @property
    def settled(self) -> bool:
        """Whether what the faults have left is over: somebody serves, nobody waits, and nothing keeps from renting."""
        state, now_s = self.store.scaler_state(ENDPOINT), self.clock.now_s()
        halts = (state.halted_until_s, *(halt.until_s for halt in state.halted_autogroups.values()))
        serves = any(self._serves(worker) for worker in self.store.fleet(ENDPOINT).values())
        return serves and not self.clients.waiting and max(halts) <= now_s

    def invoke(self) -> None:
        """Run one invocation of the scale function; it may be one of several at once."""
        if self.wire.calling:
            # Nothing can fence a create that is on the wire: its client's timeout bounds it, far below RENT_CONFIRM_S.
            self.clock.after(1.0, self.invoke)
            return
        if self.nested >= NESTED_MAX:
            return
        self.invocations += 1
        environment = self._environment()
        try:
            self._scale(environment, f"invocation-{self.invocations}")
        except (Crash, StoreUnavailable):
            pass  # the next invocation resumes
        finally:
            self._return(environment)

    def remove_group(self) -> bool:
        """Do what `pulumi destroy` does, under the hands of a scaler if one is soon at work; tells whether it succeeded."""
        succeeded: list[bool] = []
        wait_until_s = self.clock.now_s() + SCHEDULE_S

        def begin() -> None:
            quiet = not self.nested and self.clock.now_s() < wait_until_s
            if quiet or self.wire.calling:  # as in `invoke`
                self.clock.after(self.rng.uniform(0.0, 1.0), begin)
                return
            if self.nested:
                self.story.suffers("scaler", Fault.OVERTAKEN)
            succeeded.append(self._release())

        begin()
        while not succeeded:
            self.clock.wait_s(OBSERVE_S)
        return succeeded[0]

    def _release(self) -> bool:
        """Release the group, repeating what fails; tells whether it succeeded."""
        self.story.tell("world", Kind.PHASE, "The endpoint is removed.")
        self.clients.rate_per_s = 0.0
        self.watch.requests.releasing = True
        for attempt in range(RELEASES_MAX):
            environment = self._environment()
            deadline_s = environment.ports.clock.now_s() + RELEASE_S
            try:
                release_group(
                    ENDPOINT, owner=f"release-{attempt}", ports=environment.ports, settings=_SETTINGS, deadline_s=deadline_s
                )
            except (Crash, LeaseLost, StoreUnavailable, ReleaseIncomplete) as failed:
                self.story.tell(environment.life.name, Kind.PHASE, f"the removal has to be repeated: {failed!r}")
                continue
            finally:
                self._return(environment)
            return True
        return False

    def _scale(self, environment: Environment, owner: str) -> None:
        ports = environment.ports
        deadline_s = ports.clock.now_s() + INVOCATION_S
        for done in keep_scaled(ENDPOINT, owner=owner, ports=ports, settings=_SETTINGS, deadline_s=deadline_s):
            if self.nested > 1:
                self.story.suffers(
                    environment.life.name, Fault.TWO_SCALERS, "the other one has lost its lease and does not know it"
                )
            self.watch.after_tick(done)

    def _called(self, who: str, method: str, args: tuple[Any, ...]) -> None:
        """Watch one call of a scaler's ports, and tell what it decided."""
        if method == "put_decision":
            for sentence in args[1].sentences:
                self.story.tell(who, Kind.DECISION, sentence)
        self.watch.scaler_called(method, args)

    def _environment(self) -> Environment:
        """Return an environment that is free, a new one if none is."""
        self.nested += 1
        free = next((each for each in self.environments if not each.life.busy), None) or self._new_environment()
        free.life.busy = True
        return free

    def _return(self, environment: Environment) -> None:
        self.nested -= 1
        environment.life.busy = False
        if environment.life.dead:
            self.environments.remove(environment)

    def _new_environment(self) -> Environment:
        clock = self._clock()
        life = Life(name=f"scaler {self.invocations}", rng=self.rng, clock=clock, story=self.story, hostile=lambda: self.hostile)
        marketplace = marketplace_over(self.wire.session, clock)
        made = Environment.of(life, store=self.store, marketplace=marketplace, watched=partial(self._called, life.name))
        self.environments.append(made)
        return made

    def _clock(self) -> SkewedClock:
        """Return the clock of one of the control plane's machines."""
        clock = SkewedClock(self.clock, self.rng.uniform(-CLOCKS_APART_S, CLOCKS_APART_S) if self.hostile else 0.0)
        if self.hostile:
            self.story.suffers("control plane", Fault.CLOCK_SKEWED, f"by {clock.ahead_s:+.1f} s")
        self.clocks.append(clock)
        return clock

    def _scene(self) -> Scene:
        return Scene(
            world=self.world,
            store=self.store,
            clock=self.clock,
            endpoint=ENDPOINT,
            prefix=label_prefix(STACK, ENDPOINT),
            processes=self.machines.processes,
            on_the_way=self._tickets,
        )

    def _air(self) -> Air:
        return Air(
            clock=self.clock,
            reports=ReportPorts(store=self.store, token_secret=lambda: _TOKEN_SECRET, clock=self._clock(), stack=STACK),
            rng=self.rng,
            story=self.story,
            public_key=SigningKey(_SEED).verify_key,
            accepted=self._accepted,
            loss=0.1,
            delay_s_max=8.0,
            repeats=0.1,
            lingering=0.03,
        )

    def _clients(self) -> Clients:
        signer = NaclSigner(key_id="k1", seed=_SEED)
        ports = [
            RoutePorts(store=self.store, signing=lambda: signer, waker=self, clock=self._clock(), rng=self.rng)
            for _ in range(ROUTERS)
        ]
        return Clients(
            endpoint=ENDPOINT,
            key=ApiKey(key_sha256="0" * 64, endpoints=frozenset({ENDPOINT})),
            routers=[Router(each) for each in ports],
            clock=self.clock,
            rng=self.rng,
            story=self.story,
            judge=self.watch,
            deliver=self.machines.deliver,
            abandoned=0.05,
            replayed=0.05,
        )

    def _updates(self) -> Updates:
        return Updates(
            endpoint=ENDPOINT,
            store=self.store,
            clock=self.clock,
            rng=random.Random(f"{self.seed}/updates"),  # so that the other dice of every seed fall as before
            story=self.story,
            hostile=lambda: self.hostile,
        )

    def _timetables(self) -> Timetables:
        return Timetables(
            endpoint=ENDPOINT,
            store=self.store,
            clock=self.clock,
            rng=random.Random(f"{self.seed}/timetables"),  # as of updates
            story=self.story,
            look=self.invoke,
        )

    def wake(self, endpoint: str) -> None:
        """Invoke the scaler soon: what a router does for a request that waits."""
        assert endpoint == ENDPOINT
        self.clock.after(self.rng.uniform(0.1, 3.0), self.invoke)

    def _schedule(self) -> None:
        self.clock.after(SCHEDULE_S, self._schedule)
        luck = self.rng.random() if self.hostile else 0.5
        if luck < 0.05:
            self.story.suffers("schedule", Fault.SCHEDULE_MISSING)
            return
        late_s = self.rng.uniform(5.0, 45.0) if luck > 0.9 else self.rng.uniform(0.0, 5.0)
        self.clock.after(late_s, self.invoke)
        if luck > 0.9:
            self.story.suffers("schedule", Fault.SCHEDULE_LATE, f"by {late_s:.0f} s")
        if luck > 0.95:
            self.story.suffers("schedule", Fault.SCHEDULE_TWICE)
            self.clock.after(self.rng.uniform(0.0, 40.0), self.invoke)

    def _observe(self) -> None:
        self.clock.after(OBSERVE_S, self._observe)
        if self.hostile:
            self._misfortune(self.rng.random())
        self.machines.settle()
        self.watch.ceilings.check()

    def _misfortune(self, luck: float) -> None:
        """Let one of the rarer things go wrong, or nothing."""
        if luck < OUTBID_CHANCE:
            self.machines.outbid(self.watch.scene.ours())
        elif luck < OUTBID_CHANCE + REPORTS_DOWN_CHANCE:
            lasts_s = self.rng.uniform(60.0, 400.0)
            self.air.down_until_s = self.clock.now_s() + lasts_s
            self.story.suffers("report function", Fault.REPORTS_DOWN, f"for {lasts_s:.0f} s")
        elif luck < OUTBID_CHANCE + REPORTS_DOWN_CHANCE + MEMORY_LOST_CHANCE:
            self.store.lose_memory(ENDPOINT)
            self.story.suffers("table", Fault.MEMORY_LOST)

    def _patience_s(self) -> float:
        """Return for how long a client waits in a working world: where an update has the only place, until that has failed."""
        return PATIENCE_S if self.timetables.places_min() > 1 else PATIENCE_S + BOOT_TIMEOUT_S

    def _serves(self, worker: Worker) -> bool:
        process = self.machines.processes.get(worker.rental.instance_id or 0)
        return worker.rental.state is WorkerState.READY and process is not None and process.reachable

    def _accepted(self, worker: SimulatedWorker, ticket: Ticket) -> None:
        self.watch.requests.accepted(worker, ticket)

    def _tickets(self, worker_id: str) -> int:
        """Return how many unexpired tickets may still arrive at a worker."""
        now_s = self.clock.now_s()
        return sum(ticket.worker_id == worker_id and ticket.expires_at >= now_s for ticket in self.clients.on_the_way)


_SETTINGS: Final = ScaleSettings(
    stack=STACK, report_url="http://report.test", worker_token_secret=_TOKEN_SECRET, tick_interval_s=10.0
)
