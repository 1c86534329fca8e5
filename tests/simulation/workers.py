"""Workers as processes of the simulated machines: they load, measure, report, serve and die as the world tells them.

A worker reads its identity from the environment that it was born with, reports through the real report service, and keeps the real
worker's books: tickets are verified, admitted and written off by `protocol.ticket` and `pyworker.ledger`. Its requests
are served one after another at its true performance; what it claims may differ (`lies`), so may its clock, and
the port that it reports may be closed (`deaf`).
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from functions.report.service import ReportPorts, authenticate, take_report
from protocol.problem import RequestRefused
from protocol.report import Phase, WorkerReport
from protocol.ticket import Ticket, TicketRejected, check_window, parse_ticket
from pyworker.ledger import Ledger, Outcome
from tests.simulation.clock import SimulatedClock
from tests.simulation.story import Fault, Kind, Story

REPORT_S: Final = 5.0
MEASURE_S: Final = 6.0
PERF_PER_DLPERF: Final = 2.0


class Image(enum.StrEnum):
    """What a worker may run."""

    FIRST = "worker"
    SECOND = "worker:2"
    THIRD = "worker:3"
    FAILS = "worker:fails"  # reports an error
    HANGS = "worker:hangs"  # loads for ever


@dataclass(slots=True)
class Air:
    """What reports go through: each may be lost, late or sent twice. And how slowly answers are read."""

    clock: SimulatedClock
    reports: ReportPorts
    rng: random.Random
    story: Story
    public_key: VerifyKey
    accepted: Callable[[SimulatedWorker, Ticket], None]  # told of each ticket that a worker takes
    loss: float = 0.0
    delay_s_max: float = 0.0
    repeats: float = 0.0
    lingering: float = 0.0  # share of clients that read so slowly that their request stays in flight for minutes
    down_until_s: float = 0.0  # no report arrives before

    def send(self, worker: SimulatedWorker, report: WorkerReport) -> None:
        """Let a report arrive, or not."""
        if self.clock.now_s() < self.down_until_s:
            return
        luck = self.rng.random()
        if luck < self.loss:
            self.story.suffers(worker.worker_id, Fault.REPORT_LOST)
            return
        repeated = luck > 1 - self.repeats
        if repeated:
            self.story.suffers(worker.worker_id, Fault.REPORT_REPEATED)
        for _ in range(2 if repeated else 1):
            delay_s = self.rng.uniform(0.0, self.delay_s_max)
            if delay_s > REPORT_S:
                self.story.suffers(worker.worker_id, Fault.REPORT_LATE)
            self.clock.after(delay_s, lambda: self._arrive(worker, report))

    def _arrive(self, worker: SimulatedWorker, report: WorkerReport) -> None:
        token = worker.env["MASTER_TOKEN"]
        identity = authenticate(token, ports=self.reports)
        try:
            taken = take_report(report.wire(token), sender=identity, ports=self.reports)
        except RequestRefused:
            return  # it is gone; the world will kill it
        worker.draining = taken.answer.drain


@dataclass(slots=True)
class SimulatedWorker:
    """One process on one contract. `alive` until killed; `frozen` while its machine is cut off."""

    contract_id: int
    env: Mapping[str, str] = field(repr=False)
    air: Air = field(repr=False)
    run_id: str
    load_s: float
    lies: float = 1.0
    deaf: bool = False
    clock_ahead_s: float = 0.0
    alive: bool = True
    frozen: bool = False
    draining: bool = False
    phase: Phase = Phase.STARTING
    seq: int = 0
    busy_until_s: float = 0.0
    began_s: float = 0.0
    books: Ledger = field(default_factory=Ledger, repr=False)

    @property
    def worker_id(self) -> str:
        """Whose process this is."""
        return self.env["HEADGATE_WORKER_ID"]

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://203.0.113.7:{self.contract_id % 60_000}"

    @property
    def true_perf(self) -> float:
        """Load per second that it really serves."""
        return float(self.env["SIM_DLPERF"]) * float(self.env["SIM_PERFORMANCE"]) * PERF_PER_DLPERF

    @property
    def reachable(self) -> bool:
        """Whether a request would be answered."""
        return self.alive and not self.frozen and not self.deaf and self.phase is Phase.READY

    @property
    def in_flight(self) -> int:
        """How many requests it serves."""
        return self.books.in_flight

    def begin(self) -> None:
        """Start up."""
        clock = self.air.clock
        self.began_s = clock.now_s()
        clock.after(self.load_s / 2, lambda: self._enter(Phase.LOADING))
        clock.after(1.0, self._report_for_ever)
        match self.env["SIM_IMAGE"]:
            case Image.FAILS:
                clock.after(self.load_s, lambda: self._enter(Phase.ERROR))
            case Image.HANGS:
                pass
            case _:
                clock.after(self.load_s, lambda: self._enter(Phase.MEASURING))
                clock.after(self.load_s + MEASURE_S, lambda: self._enter(Phase.READY))

    def take(self, wire: Mapping[str, Any]) -> bool:
        """Serve a request; False when it cannot be reached, or refuses the ticket."""
        if not self.reachable:
            return False
        try:
            ticket = self._admit(wire)
        except (TicketRejected, BadSignatureError) as refused:
            self.air.story.tell(self.worker_id, Kind.REQUEST, f"refuses a ticket: {refused}")
            return False
        self.air.accepted(self, ticket)
        clock = self.air.clock
        self.busy_until_s = max(self.busy_until_s, clock.now_s()) + ticket.cost / self.true_perf
        lingers_s = self.air.rng.uniform(100.0, 400.0) if self.air.rng.random() < self.air.lingering else 0.0
        clock.after(self.busy_until_s - clock.now_s() + lingers_s, lambda: self.books.finish(ticket.reqnum, Outcome.SUCCESS))
        return True

    def _admit(self, wire: Mapping[str, Any]) -> Ticket:
        """Do what the worker's gate does, in its order."""
        ticket, signature = parse_ticket(wire)
        self.air.public_key.verify(ticket.signed_bytes(), signature)
        if ticket.worker_id != self.worker_id:
            raise TicketRejected("wrong_worker")
        now_s = self.air.clock.now_s() + self.clock_ahead_s
        check_window(ticket, now_s=now_s)
        if ticket.issued_at < self.began_s:
            raise TicketRejected("issued_before_start")
        self.books.admit(ticket, now_s=now_s)
        return ticket

    def _enter(self, phase: Phase) -> None:
        if self.alive:
            self.phase = phase
            self.air.story.tell(self.worker_id, Kind.WORKER, f"is {phase.value}")

    def _report_for_ever(self) -> None:
        if not self.alive:
            return
        if not self.frozen:
            self.seq += 1
            self.air.send(self, self._report())
        self.air.clock.after(REPORT_S, self._report_for_ever)

    def _report(self) -> WorkerReport:
        ready = self.phase is Phase.READY
        self.books.settle(now_s=self.air.clock.now_s() + self.clock_ahead_s)
        totals = self.books.totals()
        return WorkerReport(
            worker_id=self.worker_id,
            instance_id=self.contract_id,
            run_id=self.run_id,
            seq=self.seq,
            phase=Phase.DRAINING if ready and self.draining else self.phase,
            url=self.url,
            perf=self.true_perf * self.lies if ready else 0.0,
            slots=1,
            loadtime_s=self.load_s if ready else 0.0,
            received_load=totals.received_load,
            finished_load=totals.finished_load,
            written_off_load=totals.written_off_load,
            in_flight=totals.in_flight,
            error="the engine cannot start" if self.phase is Phase.ERROR else "",
            finished_requests=totals.finished_requests,
            failed_requests=totals.failed_requests,
        )
