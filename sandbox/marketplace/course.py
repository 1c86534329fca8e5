"""What happens by itself: the agenda's events carried out, fates that strike, and credit that ends.

The world acts when the account asks; the course acts when time passes. Both change contracts only through `Contracts.apply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from sandbox.marketplace.agenda import (
    Agenda,
    CreditEnds,
    Due,
    DueToContract,
    DueToMachine,
    FateStrikes,
    HostRenews,
    HostReprices,
    HostSays,
    MachineReturns,
    PriceRises,
    RivalArrives,
    RivalBids,
    RivalLeaves,
    TermEnds,
)
from sandbox.marketplace.contracts import Contracts
from sandbox.marketplace.fault_plan import FaultPlan
from sandbox.marketplace.faults import Fate, Span
from sandbox.marketplace.increases import PriceIncreases
from sandbox.marketplace.instance import Contract, to_s, to_us
from sandbox.marketplace.ledger import Ledger
from sandbox.marketplace.lifecycle import STOPPABLE, Event, Link
from sandbox.marketplace.machine import Machine
from sandbox.marketplace.rivals import Rivals
from sandbox.marketplace.spot import Spot


@dataclass(slots=True, kw_only=True)
class Course:
    """The passage of time over one world. `credit_micro_usd` is everything ever paid in."""

    agenda: Agenda
    contracts: Contracts
    rivals: Rivals
    increases: PriceIncreases
    spot: Spot
    machines: Mapping[int, Machine]
    ledger: Ledger
    plan: FaultPlan
    credit_micro_usd: int
    now_us: int
    credit_ends_us: int | None = None
    forecast: int = 0

    def run_until(self, now_us: int) -> int:
        """Let everything happen that is due; returns the present, which never runs backwards."""
        now_us = max(self.now_us, now_us)
        while (due := self.agenda.pop_due(now_us)) is not None:
            self.now_us = due[0]
            self._happen(due[1], due[0])
            self.watch_credit()
        self.now_us = now_us
        return now_us

    def watch_credit(self) -> None:
        """Keep one valid forecast of when the credit ends; it changes with every rate and every payment."""
        ends_us = self.ledger.spent_at_us(self.credit_micro_usd)
        if ends_us == self.credit_ends_us:
            return
        self.credit_ends_us = ends_us
        self.forecast += 1
        if ends_us is not None:
            self.agenda.put(max(ends_us, self.now_us), CreditEnds(self.forecast))

    def strike(self, contract: Contract, fate: Fate, now_us: int) -> None:
        """Let a fate come true."""
        machine = contract.machine
        match fate:
            case Fate.EXITS:
                self.contracts.apply(contract, Event.CONTAINER_ENDED, now_us)
            case Fate.GOES_SILENT:
                self._lose(machine, Link.SILENT, now_us, lasting=self.plan.options.silence)
            case Fate.GOES_OFFLINE:
                self._lose(machine, Link.OFFLINE, now_us, lasting=self.plan.options.outage)
            case Fate.VANISHES:
                self.contracts.set_link(machine, Link.GONE, now_us)
            case Fate.OUTBID if contract.is_bid:
                self.spot.outbid(contract, now_us, stay_us=self._outage_us())
            case Fate.TERM_ENDS:
                contract.term_ends_s = to_s(now_us)
                self.contracts.apply(contract, Event.STOP_ASKED, now_us)
            case Fate.PRICE_RAISED:
                self.rivals.raise_price(machine)
                self.increases.ask(machine, now_us)
            case Fate.ADDRESS_CHANGES:
                machine.moves += not machine.hardware.network.static_ip
            case _:
                # The others shape a boot; striking later they shape the next one.
                contract.fate = fate

    def queue(self, contract: Contract, now_us: int) -> None:
        """Let a contract wait for its machine's GPUs."""
        if self.contracts.apply(contract, Event.START_QUEUED, now_us):
            contract.machine.waiting.append(contract.contract_id)

    def _happen(self, due: Due, now_us: int) -> None:
        match due:
            case HostSays():
                self.contracts.hear(due, now_us)
            case FateStrikes() | RivalBids() | TermEnds() | PriceRises():
                self._happen_to_contract(due, now_us)
            case MachineReturns() | RivalArrives() | RivalLeaves() | HostReprices() | HostRenews():
                self._happen_to_machine(due, now_us)
            case CreditEnds():
                if due.forecast == self.forecast:
                    self._stop_all(now_us)
            case _:
                assert_never(due)

    def _happen_to_machine(self, due: DueToMachine, now_us: int) -> None:
        machine = self.machines[due.machine_id]
        match due:
            case MachineReturns():
                if machine.outage == due.outage:
                    self.contracts.set_link(machine, Link.ONLINE, now_us)
            case RivalArrives():
                if not self.rivals.arrive(machine, now_us):
                    self.spot.crowd(machine, now_us)
            case RivalLeaves():
                self.rivals.leave(machine, due.hold, now_us)
            case HostReprices():
                self.rivals.reprice(machine, now_us)
                self.increases.ask(machine, now_us)
            case HostRenews():
                self.rivals.renew(machine, now_us)

    def _happen_to_contract(self, due: DueToContract, now_us: int) -> None:
        contract = self.contracts.live.get(due.contract_id)
        if contract is None:
            return
        match due:
            case FateStrikes():
                self.strike(contract, due.fate, now_us)
            case TermEnds():
                if to_us(contract.term_ends_s) <= now_us:
                    self.contracts.apply(contract, Event.STOP_ASKED, now_us)
            case PriceRises():
                contract.tariff = due.tariff
                self.ledger.reprice(contract.contract_id, due.tariff, now_us)
            case RivalBids():
                self.spot.challenge(contract, due.stint, now_us)

    def _stop_all(self, now_us: int) -> None:
        """The credit is used up: stop everything, destroy nothing. Their storage goes on costing."""
        for contract in tuple(self.contracts.live.values()):
            contract.outbid = False
            if contract.phase in STOPPABLE:
                self.contracts.apply(contract, Event.STOP_ASKED, now_us)

    def _lose(self, machine: Machine, link: Link, now_us: int, *, lasting: Span) -> None:
        self.contracts.set_link(machine, link, now_us)
        returns_us = now_us + to_us(lasting.draw_s(self.plan.rng))
        self.agenda.put(returns_us, MachineReturns(machine.hardware.machine_id, machine.outage))

    def _outage_us(self) -> int:
        return to_us(self.plan.options.outage.draw_s(self.plan.rng))
