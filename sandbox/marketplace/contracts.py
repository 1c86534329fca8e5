"""Move contracts through their lives, and everything that hangs on a move: GPUs, meters, timers, effects, history.

There is one way to change a phase (`apply`), so that no path can forget one of them. A move that frees GPUs serves those who wait
for them on that machine, first come first served, before anybody else sees them listed.

What a host reports (`HostSays`) reaches the marketplace only while its machine is heard; what was said meanwhile is delivered when
it returns. An `epoch` per contract makes late reports about an earlier phase void.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sandbox.marketplace.agenda import Agenda, FateStrikes, HostSays
from sandbox.marketplace.durations import Durations
from sandbox.marketplace.effects import Boot, Effect, Freeze, Halt, Kill, Thaw, Wipe
from sandbox.marketplace.environment import public_ipaddr
from sandbox.marketplace.fault_plan import FaultPlan
from sandbox.marketplace.faults import Fate
from sandbox.marketplace.instance import BOOTING, OCI_ERROR, STUCK_FATES, Contract, to_us
from sandbox.marketplace.ledger import Ledger
from sandbox.marketplace.lifecycle import BILLED_LINKS, GPU_BILLED, HOLDS_GPUS, STORAGE_BILLED, Event, Link, Phase, following_phase
from sandbox.marketplace.machine import Machine
from sandbox.marketplace.offers import OfferBook

_BYTES_PER_GB: Final = 1_000_000_000
_STRIKES_LATER: Final = frozenset(
    {Fate.EXITS, Fate.GOES_SILENT, Fate.GOES_OFFLINE, Fate.VANISHES, Fate.OUTBID, Fate.PRICE_RAISED, Fate.ADDRESS_CHANGES}
)
_NEVER_UP: Final = STUCK_FATES | {Fate.LOADING_FOR_EVER}


@dataclass(slots=True, kw_only=True)
class Contracts:
    """All contracts ever, and the machinery that a move needs.

    `lingering` are destroyed ones that lists may still show. `take_port` returns a host port that nobody has. `on_granted` is told
    of every contract that gets GPUs.
    """

    agenda: Agenda
    book: OfferBook
    ledger: Ledger
    plan: FaultPlan
    durations: Durations
    rng: random.Random
    take_port: Callable[[], int]
    image_gb: float
    all: dict[int, Contract] = field(default_factory=dict)
    live: dict[int, Contract] = field(default_factory=dict)
    lingering: dict[int, Contract] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    on_granted: Callable[[Contract, int], None] = lambda _contract, _now_us: None

    def add(self, contract: Contract, now_us: int) -> None:
        """Begin a contract in PROVISIONING if it holds GPUs, else STOPPED; its storage costs from now on."""
        self.all[contract.contract_id] = self.live[contract.contract_id] = contract
        contract.machine.contracts.add(contract.contract_id)
        self.ledger.open(contract.contract_id, contract.tariff, now_us)
        contract.phase = Phase.PROVISIONING if contract.gpu_ids else Phase.STOPPED
        self._settle_in(contract, now_us)

    def bury(self, contract: Contract) -> None:
        """Take a destroyed contract out of everything but the books."""
        contract.machine.contracts.discard(contract.contract_id)
        self.lingering[contract.contract_id] = self.live.pop(contract.contract_id)

    def apply(self, contract: Contract, event: Event, now_us: int) -> bool:
        """Let `event` happen to the contract; returns whether it meant anything."""
        old, new = contract.phase, following_phase(contract.phase, event)
        if new is old:
            return False
        contract.phase = new
        if old is Phase.QUEUED and contract.contract_id in contract.machine.waiting:
            contract.machine.waiting.remove(contract.contract_id)
        self._process_effects(contract, old, event)
        self._remember_container(contract, old)
        self._settle_in(contract, now_us)
        if old in HOLDS_GPUS and new not in HOLDS_GPUS:
            contract.machine.give_back(contract.gpu_ids)
            contract.gpu_ids = ()
            if event is not Event.PREEMPTED:
                # Who preempted it takes the GPUs before anybody else sees them.
                self.freed(contract.machine, now_us)
        return True

    def grant(self, contract: Contract, now_us: int) -> bool:
        """Start a contract that holds no GPUs if its machine has enough, free or held by lower bids; returns whether it did."""
        machine = contract.machine
        if machine.link is not Link.ONLINE or to_us(contract.term_ends_s) <= now_us or not contract.bid_is_enough:
            return False
        beaten = machine.beaten(contract.bid_micro_usd_per_gpu_hour if contract.is_bid else None, gpus=contract.num_gpus)
        if beaten is None:
            return False
        for hold in beaten:
            machine.end_hold(hold)
        if contract.contract_id in machine.waiting:
            machine.waiting.remove(contract.contract_id)
        contract.gpu_ids = tuple(machine.free[: contract.num_gpus])
        machine.take(contract.gpu_ids)
        contract.outbid = False
        self.apply(contract, Event.START_GRANTED, now_us)
        self.on_granted(contract, now_us)
        self.book.relist(machine)
        return True

    def freed(self, machine: Machine, now_us: int) -> None:
        """Serve who waits for this machine's GPUs, then list what is left: the full price in its order, then the highest bid."""
        queued = [self.live[contract_id] for contract_id in machine.waiting]
        for contract in queued:
            if not contract.is_bid and not self.grant(contract, now_us):
                break
        bidders = [each for each in self.on(machine) if each.is_bid and (each.phase is Phase.QUEUED or self._is_paused(each))]
        for contract in sorted(bidders, key=lambda each: -each.bid_micro_usd_per_gpu_hour):
            self.grant(contract, now_us)
        self.book.relist(machine)

    def _is_paused(self, contract: Contract) -> bool:
        return contract.outbid and contract.phase is Phase.STOPPED

    def hear(self, said: HostSays, now_us: int) -> None:
        """Take a host's report, or keep it until the machine is heard again."""
        contract = self.live.get(said.contract_id)
        if contract is None or contract.epoch != said.epoch:
            return
        if contract.machine.link is not Link.ONLINE:
            contract.machine.unheard.append(said)
            return
        self.apply(contract, said.event, now_us)

    def set_link(self, machine: Machine, link: Link, now_us: int) -> None:
        """Lose or regain a machine, with all its contracts and offers."""
        if machine.link in {link, Link.GONE}:
            return
        old, machine.link = machine.link, link
        machine.outage += 1
        for contract in self.on(machine):
            self._link_effects(contract, old)
            self._meter(contract, now_us)
            contract.note(now_us)
        if link is Link.ONLINE:
            unheard, machine.unheard = machine.unheard, []
            for said in unheard:
                self.hear(said, now_us)
        self.freed(machine, now_us)

    def transfer(self, contract: Contract, *, up_bytes: int, down_bytes: int) -> None:
        """Bill traffic, and let the contract's meters show it."""
        contract.up_bytes += up_bytes
        contract.down_bytes += down_bytes
        self.ledger.transfer(contract.contract_id, up_bytes=up_bytes, down_bytes=down_bytes)

    def on(self, machine: Machine) -> list[Contract]:
        """Return the machine's contracts, oldest first."""
        return [self.live[contract_id] for contract_id in sorted(machine.contracts)]

    def _settle_in(self, contract: Contract, now_us: int) -> None:
        """Do what being in the new phase means."""
        contract.epoch += 1
        contract.entered_us = now_us
        if contract.phase is Phase.RUNNING:
            self._run(contract, now_us)
        else:
            contract.running_since_us = None
        if contract.phase is Phase.RECYCLING:
            # A container keeps the address that its host had when it was made.
            contract.announced_ipaddr = public_ipaddr(contract.machine)
        if contract.phase is Phase.CREATED:
            contract.status_msg = OCI_ERROR
        self._meter(contract, now_us)
        self._expect(contract, now_us)
        contract.note(now_us)

    def _run(self, contract: Contract, now_us: int) -> None:
        contract.running_since_us = now_us
        contract.status_msg = f"success, running {contract.order.image}/{contract.order.runtype.split()[0]}\n"
        contract.machine.images.add(contract.order.image)
        for port in contract.order.ports:
            if port.key not in contract.ports:
                contract.ports[port.key] = self.take_port()
        if contract.fate is not Fate.DEAF:
            self.effects.append(Boot(contract.contract_id))
        if contract.fate in _STRIKES_LATER and contract.fate_pending:
            contract.fate_pending = False
            after_us = to_us(self.plan.options.strikes_after.draw_s(self.rng))
            self.agenda.put(now_us + after_us, FateStrikes(contract.contract_id, contract.fate))

    def _meter(self, contract: Contract, now_us: int) -> None:
        heard = contract.machine.link in BILLED_LINKS
        gpu, storage = heard and contract.phase in GPU_BILLED, heard and contract.phase in STORAGE_BILLED
        self.ledger.charge(contract.contract_id, now_us, gpu=gpu, storage=storage)

    def _remember_container(self, contract: Contract, old: Phase) -> None:
        """A container exists once it was up; the image that was pulled for it is traffic."""
        contract.pull_ends_us = None
        if contract.phase is not Phase.RUNNING or old not in BOOTING:
            return
        if not contract.container_made and contract.order.image not in contract.machine.images:
            self.transfer(contract, up_bytes=0, down_bytes=round(self.image_gb * _BYTES_PER_GB))
        contract.container_made = True

    def _expect(self, contract: Contract, now_us: int) -> None:
        """Put what the host will report next into the agenda, unless its fate is to report nothing."""
        expected = self._next_report(contract)
        if expected is None:
            return
        event, after_s = expected
        at_us = now_us + to_us(after_s)
        if contract.phase is Phase.LOADING:
            contract.pull_ends_us = at_us
        self.agenda.put(at_us, HostSays(contract.contract_id, contract.epoch, event))

    def _next_report(self, contract: Contract) -> tuple[Event, float] | None:
        match contract.phase:
            case Phase.PROVISIONING if contract.fate is not Fate.NEVER_SCHEDULED:
                return Event.HOST_CONTACTED, self.durations.contact_s(self.rng)
            case Phase.LOADING | Phase.STARTING | Phase.RECYCLING if contract.fate is Fate.DOCKER_ERROR_EXITED:
                return Event.IMAGE_FAILED, self.durations.refusal_s(self.rng)
            case Phase.LOADING | Phase.STARTING | Phase.RECYCLING if contract.fate not in _NEVER_UP:
                failed = contract.phase is Phase.LOADING and contract.fate is Fate.OCI_ERROR
                return Event.RUNTIME_FAILED if failed else Event.CONTAINER_UP, self._boot_s(contract)
            case Phase.REBOOTING:
                return Event.CONTAINER_UP, self.durations.reboot_s(self.rng)
            case Phase.STOPPING | Phase.CANCELLING if not (contract.has_process and contract.phase is Phase.STOPPING):
                return Event.CONTAINER_HALTED, self.durations.stop_s(self.rng)
            case _:
                return None

    def _boot_s(self, contract: Contract) -> float:
        """A container that exists starts quickly; any other is made from its image first."""
        if contract.container_made and contract.phase is not Phase.RECYCLING:
            return self.durations.start_s(self.rng)
        machine = contract.machine
        return self.durations.pull_s(
            self.rng,
            image_gb=self.image_gb,
            inet_down_mbit_s=machine.hardware.network.down_mbit_s,
            cached=contract.order.image in machine.images,
        )

    def _process_effects(self, contract: Contract, old: Phase, event: Event) -> None:
        contract_id = contract.contract_id
        match contract.phase:
            case Phase.DESTROYED:
                self.effects += [Kill(contract_id), Wipe(contract_id)]
            case Phase.RECYCLING:
                self.effects += [Kill(contract_id), Wipe(contract_id)]
            case Phase.EXITED if event is Event.CONTAINER_ENDED:
                self.effects.append(Kill(contract_id))
            case Phase.EXITED if event is Event.IMAGE_FAILED:
                contract.status_msg = contract.pull_error()
            case Phase.STOPPED if event is Event.PREEMPTED and old is Phase.RUNNING:
                self.effects.append(Halt(contract_id))
            case Phase.STOPPING | Phase.REBOOTING if old is Phase.RUNNING:
                self.effects.append(Halt(contract_id))
            case _:
                return

    def _link_effects(self, contract: Contract, old: Link) -> None:
        match contract.machine.link:
            case Link.GONE:
                self.effects.append(Kill(contract.contract_id))
            case Link.OFFLINE:
                self.effects.append(Freeze(contract.contract_id))
            case Link.ONLINE if old is Link.OFFLINE:
                self.effects.append(Thaw(contract.contract_id))
            case _:
                return
