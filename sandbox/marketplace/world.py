"""The marketplace itself: one account, its contracts, and the market around it. Pure and deterministic.

Time is given to every call and never runs backwards: a call with an older time happens at the latest time seen. Before a call
does anything, everything that was due by then happens, each event at its own time, so two worlds that are asked the same things
at the same times are equal however often they are asked in between. All randomness comes from the one generator given, split at
the start by purpose: the market, the hosts and the faults do not disturb each other's draws.

Two knobs change speed and are deliberately apart. `boot_speed` divides what a host takes to boot, stop or reboot. The clock that
is passed in decides how fast money accrues and fates strike: feed it real seconds and a second costs a second.

Invariants (property-tested): a GPU is in at most one pair of hands; a bill is the integral of its contract's states; every
offer's GPUs are free; a destroyed contract never comes back.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from sandbox.marketplace import errors
from sandbox.marketplace.agenda import Agenda, FateStrikes, HostSays, TermEnds
from sandbox.marketplace.contracts import Contracts
from sandbox.marketplace.course import Course
from sandbox.marketplace.drafts import Drafts
from sandbox.marketplace.durations import Durations
from sandbox.marketplace.effects import Effect
from sandbox.marketplace.fault_plan import FaultPlan
from sandbox.marketplace.faults import Fate, FaultOptions
from sandbox.marketplace.increases import PriceIncreases
from sandbox.marketplace.instance import Contract, to_s, to_us
from sandbox.marketplace.ledger import Bill, Ledger, micro_usd
from sandbox.marketplace.lifecycle import HOLDS_GPUS, Event, Phase
from sandbox.marketplace.market import MarketOptions, make_machines
from sandbox.marketplace.offers import Offer, OfferBook
from sandbox.marketplace.order import Order
from sandbox.marketplace.query import Query, compile_query
from sandbox.marketplace.rivals import Rivals
from sandbox.marketplace.spot import Spot

FIRST_SIMULATED_PORT: Final = 40_000
MB_PER_GB: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """What kind of marketplace. `image_gb` is the size of every image; `search_limit_max` caps every reply (real: 64 at times)."""

    market: MarketOptions = field(default_factory=MarketOptions)
    faults: FaultOptions = field(default_factory=FaultOptions)
    durations: Durations = field(default_factory=Durations)
    boot_speed: float = 1.0
    credit_usd: float = 100.0
    image_gb: float = 8.0
    search_limit_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that came into the account."""

    at_us: int
    micro_usd: int


class World:
    """One marketplace with one account. Methods that act raise Refused, as the API answers it."""

    def __init__(
        self,
        options: WorldOptions,
        *,
        rng: random.Random,
        now_s: float,
        take_port: Callable[[], int] | None = None,
    ) -> None:
        """Open the market at `now_s`. Without `take_port` host ports are numbered, which is right where no process listens."""
        market_rng, host_rng, fault_rng, names_rng, spot_rng = (random.Random(rng.getrandbits(64)) for _ in range(5))
        self.options = options
        self.plan = FaultPlan(options.faults, fault_rng)
        self.payments = [Payment(at_us=to_us(now_s), micro_usd=micro_usd(options.credit_usd))]
        self._drafts = Drafts(names=names_rng, plan=self.plan)
        self._agenda, self.book, self.ledger = Agenda(), OfferBook(), Ledger()
        self.machines = {each.hardware.machine_id: each for each in make_machines(options.market, market_rng, now_s=now_s)}
        self.contracts = Contracts(
            agenda=self._agenda,
            book=self.book,
            ledger=self.ledger,
            plan=self.plan,
            durations=replace(options.durations, boot_speed=options.boot_speed),
            rng=host_rng,
            take_port=take_port or count(FIRST_SIMULATED_PORT).__next__,
            image_gb=options.image_gb,
        )
        self.increases = PriceIncreases(agenda=self._agenda, contracts=self.contracts)
        self._rivals = Rivals(
            options=options.market,
            agenda=self._agenda,
            book=self.book,
            machines=self.machines,
            rng=market_rng,
            freed=self.contracts.freed,
        )
        self._spot = Spot(options=options.market, agenda=self._agenda, contracts=self.contracts, rivals=self._rivals, rng=spot_rng)
        self.contracts.on_granted = self._spot.watch
        self._course = Course(
            agenda=self._agenda,
            contracts=self.contracts,
            rivals=self._rivals,
            increases=self.increases,
            spot=self._spot,
            machines=self.machines,
            ledger=self.ledger,
            plan=self.plan,
            credit_micro_usd=micro_usd(options.credit_usd),
            now_us=to_us(now_s),
        )
        self._rivals.settle(to_us(now_s))

    # --- time ---

    @property
    def now_us(self) -> int:
        """The latest time seen, in microseconds."""
        return self._course.now_us

    def advance(self, now_s: float) -> int:
        """Let everything happen that is due by `now_s`; returns the present in microseconds."""
        return self._course.run_until(to_us(now_s))

    def next_event_s(self) -> float | None:
        """Return when something happens next if nobody acts, None if never."""
        at_us = self._agenda.next_us()
        return None if at_us is None else to_s(at_us)

    def take_effects(self) -> list[Effect]:
        """Return what should happen to processes since the last call, in order."""
        taken, self.contracts.effects = self.contracts.effects, []
        return taken

    # --- reading ---

    def search(self, asked: object, now_s: float) -> tuple[Query, list[Offer]]:
        """Return the compiled query and the offers that match, best first. Raises Refused for what is no query."""
        now_us = self.advance(now_s)
        mine = frozenset(contract.machine.hardware.machine_id for contract in self.contracts.live.values())
        query = compile_query(asked, now_s=to_s(now_us), own_machines=mine)
        if self.options.search_limit_max is not None:
            query = replace(query, limit=min(query.limit, self.options.search_limit_max))
        return query, query.ranked(self.book)

    def listed(self, now_s: float) -> list[Contract]:
        """Return the instances as a list shows them, by id; a list may lag behind (see `FaultOptions.list_lag`)."""
        now_us = self.advance(now_s)
        lingering = self.contracts.lingering
        for contract in tuple(lingering.values()):
            if not contract.listed(now_us):
                del lingering[contract.contract_id]
        shown = [contract for contract in self.contracts.live.values() if contract.listed(now_us)]
        return sorted((*shown, *lingering.values()), key=lambda contract: contract.contract_id) if lingering else shown

    def show(self, contract_id: int, now_s: float) -> Contract | None:
        """Return one instance, None if it does not exist (any more). This read never lags."""
        self.advance(now_s)
        return self.contracts.live.get(contract_id)

    def balance_micro_usd(self, now_s: float) -> int:
        """Return the credit that is left; storage can take it below zero."""
        return self._course.credit_micro_usd - self.ledger.total_micro_usd(self.advance(now_s))

    def bill(self, now_s: float) -> Bill:
        """Return what everything has cost so far."""
        return self.ledger.bill(self.advance(now_s))

    # --- acting, as the account ---

    def create(self, ask_id: int, order: Order, now_s: float, *, fate: Fate | None = None, granted: bool = True) -> Contract:
        """Accept an offer. NOT idempotent. What could not start is stopped or queued, and its disk costs all the same.

        `fate` overrides what is drawn; `granted=False` makes the contract without its GPUs. Raises Refused.
        """
        now_us = self.advance(now_s)
        self._require_credit(now_us)
        offer = self.book.get(ask_id)
        if offer is None:
            return self._create_queued(ask_id, order, now_us)
        if order.disk_mb > offer.disk_gb * MB_PER_GB:
            raise errors.bad_request(
                f"error 400/3474: Invalid args: disk {order.disk_mb / MB_PER_GB:g} GB exceeds what the offer has"
            )
        outbid = order.bid_micro_usd_per_hour is not None and order.bid_micro_usd_per_hour < offer.min_bid_micro_usd_per_hour
        if outbid and order.cancel_unavail:
            raise errors.ask_unavailable(ask_id)
        contract = self._drafts.draw_up(offer, order, now_us, fate=fate)
        if granted and order.running and not outbid:
            contract.gpu_ids = offer.gpu_ids
            self.book.accept(ask_id)
            offer.machine.take(offer.gpu_ids)
            self._spot.watch(contract, now_us)
        contract.outbid = outbid and order.running
        self._add(contract, now_us)
        return contract

    def start(self, contract_id: int, now_s: float) -> None:
        """Ask to start. Raises Refused, also (status 200) when the start is queued because the GPUs are taken."""
        now_us = self.advance(now_s)
        contract = self._live(contract_id)
        self._require_credit(now_us)
        contract.outbid = not contract.bid_is_enough
        if contract.phase in HOLDS_GPUS:
            self._apply(contract, Event.START_GRANTED, now_us)
            return
        if contract.term_ends_s <= to_s(now_us) or contract.outbid:
            raise errors.resources_unavailable()
        if contract.phase is Phase.QUEUED or not self.contracts.grant(contract, now_us):
            self._course.queue(contract, now_us)
            raise errors.resources_unavailable()
        self._course.watch_credit()

    def stop(self, contract_id: int, now_s: float) -> None:
        """Ask to stop, asynchronously. Raises Refused when there is no such instance."""
        now_us = self.advance(now_s)
        contract = self._live(contract_id)
        contract.outbid = False
        self._apply(contract, Event.STOP_ASKED, now_us)

    def reboot(self, contract_id: int, now_s: float) -> None:
        """Stop and start the container; it keeps its GPUs. Raises Refused when it is not started."""
        self._restart(contract_id, Event.REBOOT_ASKED, now_s)

    def recycle(self, contract_id: int, now_s: float) -> None:
        """Make the container anew; it keeps its GPUs and loses its files. Raises Refused when it is not started."""
        self._restart(contract_id, Event.RECYCLE_ASKED, now_s)

    def destroy(self, contract_id: int, now_s: float) -> None:
        """Destroy; from now on it costs nothing. Raises Refused when it is gone already."""
        now_us = self.advance(now_s)
        contract = self._live(contract_id)
        self._apply(contract, Event.DESTROY_ASKED, now_us)
        contract.destroyed_us = now_us
        contract.listed_until_us = now_us + to_us(self.plan.draw_list_lag_s())
        self.contracts.bury(contract)

    def label(self, contract_id: int, label: str | None, now_s: float) -> None:
        """Change the label. Raises Refused."""
        self.advance(now_s)
        self._live(contract_id).label = label

    def change_bid(self, contract_id: int, bid_micro_usd_per_hour: int, now_s: float) -> None:
        """Change an interruptible contract's bid, per machine and hour. Raises Refused."""
        now_us = self.advance(now_s)
        contract = self._live(contract_id)
        if not contract.is_bid:
            raise errors.Refused(400, "invalid_args", "Can't change price of on-demand contract.")
        self.reprice(contract_id, bid_micro_usd_per_hour, now_s)
        if not contract.bid_is_enough:
            self._spot.pause(contract, now_us)
        self.contracts.freed(contract.machine, now_us)
        self._course.watch_credit()

    def reprice(self, contract_id: int, gpu_micro_usd_per_hour: int, now_s: float) -> None:
        """Change what a contract's GPUs cost from now on. Raises Refused."""
        now_us = self.advance(now_s)
        contract = self._live(contract_id)
        contract.tariff = replace(contract.tariff, gpu_micro_usd_per_hour=gpu_micro_usd_per_hour)
        self.ledger.reprice(contract_id, contract.tariff, now_us)
        self._course.watch_credit()

    # --- acting, as the world ---

    def process_started(self, contract_id: int) -> None:
        """Note that a real process stands behind the contract: its exit, not a timer, ends a stop."""
        self.contracts.all[contract_id].has_process = True

    def process_exited(self, contract_id: int, now_s: float) -> None:
        """Note that the contract's process has ended, asked or not.

        Advance and carry out the effects first: what is due by now may already want a new process.
        """
        now_us = self.advance(now_s)
        contract = self.contracts.all[contract_id]
        contract.has_process = False
        event = {Phase.STOPPING: Event.CONTAINER_HALTED, Phase.RUNNING: Event.CONTAINER_ENDED}.get(contract.phase)
        if event is not None:
            self.contracts.hear(HostSays(contract_id, contract.epoch, event), now_us)
        self._course.watch_credit()

    def transfer(self, contract_id: int, now_s: float, *, up_bytes: int, down_bytes: int) -> None:
        """Charge traffic to a contract. Raises Refused when there is no such instance."""
        self.advance(now_s)
        self.contracts.transfer(self._live(contract_id), up_bytes=up_bytes, down_bytes=down_bytes)
        self._course.watch_credit()

    def exhaust_credit(self, now_s: float) -> None:
        """Let the account have spent exactly what was paid in: everything that runs is stopped."""
        now_us = self.advance(now_s)
        self._course.credit_micro_usd = self.ledger.total_micro_usd(now_us)
        self._course.watch_credit()
        self.advance(now_s)

    def set_busy(self, contract_id: int, busy: float | None, now_s: float) -> None:
        """Say how much of its GPUs an instance uses, 0 to 1; None: unknown. Raises Refused when there is no such instance."""
        self.advance(now_s)
        self._live(contract_id).busy = busy

    def add_credit(self, usd: float, now_s: float) -> None:
        """Pay in."""
        self.payments.append(Payment(at_us=self.advance(now_s), micro_usd=micro_usd(usd)))
        self._course.credit_micro_usd += micro_usd(usd)
        self._course.watch_credit()

    def spare(self) -> None:
        """Let no fate come true that was drawn already."""
        self._agenda.drop(FateStrikes)

    def strike(self, contract_id: int, fate: Fate, now_s: float) -> None:
        """Let a fate come true at once, whatever was drawn. Raises Refused when there is no such instance."""
        now_us = self.advance(now_s)
        self._course.strike(self._live(contract_id), fate, now_us)
        self._course.watch_credit()

    def snatch(self, ask_id: int, now_s: float) -> None:
        """Let a rival take this offer now; an unknown offer is no error."""
        now_us = self.advance(now_s)
        offer = self.book.get(ask_id)
        if offer is not None:
            self._rivals.take(offer.machine, offer.gpu_ids, now_us)

    def mistake(self, ask_id: int, order: Order, now_s: float) -> int:
        """Return the offer that is rented by mistake for another: as many GPUs, of another machine. The same if there is none."""
        self.advance(now_s)
        asked = self.book.get(ask_id)
        if asked is None:
            return ask_id
        others = [
            offer.ask_id
            for offer in self.book
            if offer.machine is not asked.machine
            and len(offer.gpu_ids) == len(asked.gpu_ids)
            and offer.disk_gb * MB_PER_GB >= order.disk_mb
        ]
        return self.plan.rng.choice(others) if others else ask_id

    def crowd_out(self, contract_id: int, now_s: float) -> None:
        """Let a rival take all free GPUs of the contract's machine, so that a start has to wait."""
        now_us = self.advance(now_s)
        contract = self.contracts.live.get(contract_id)
        if contract is not None and contract.phase is Phase.STOPPED and contract.machine.free:
            self._rivals.take(contract.machine, tuple(contract.machine.free), now_us)

    # --- how it is done ---

    def _live(self, contract_id: int) -> Contract:
        contract = self.contracts.live.get(contract_id)
        if contract is None:
            raise errors.no_such_instance(contract_id)
        return contract

    def _apply(self, contract: Contract, event: Event, now_us: int) -> bool:
        changed = self.contracts.apply(contract, event, now_us)
        self._course.watch_credit()
        return changed

    def _restart(self, contract_id: int, event: Event, now_s: float) -> None:
        now_us = self.advance(now_s)
        if not self._apply(self._live(contract_id), event, now_us):
            raise errors.not_started()

    def _require_credit(self, now_us: int) -> None:
        if self.ledger.total_micro_usd(now_us) >= self._course.credit_micro_usd:
            raise errors.missing_billing()

    def _create_queued(self, ask_id: int, order: Order, now_us: int) -> Contract:
        """Accept an offer whose GPUs somebody else took meanwhile: refused, or kept as a queued contract if the caller so wants."""
        retired = self.book.retired(ask_id)
        if retired is None:
            raise errors.no_such_ask(ask_id)
        if order.cancel_unavail:
            raise errors.ask_unavailable(ask_id)
        contract = self._drafts.draw_up(retired, order, now_us)
        self._add(contract, now_us)
        if not self.contracts.grant(contract, now_us):
            self._course.queue(contract, now_us)
        return contract

    def _add(self, contract: Contract, now_us: int) -> None:
        self.contracts.add(contract, now_us)
        self.book.relist(contract.machine)
        self._agenda.put(to_us(contract.term_ends_s), TermEnds(contract.contract_id))
        self._course.watch_credit()
