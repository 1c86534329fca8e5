"""Workers as processes of the simulated machines: they load, measure, report, serve and die as the world tells them.

A worker reads its identity from the environment that it was born with, and reports through the real report service. Its requests
are served one after another at its true performance; what it claims may differ (`lies`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from functions.report.service import ReportPorts, authenticate, take_report
from protocol.problem import RequestRefused
from protocol.report import Phase, WorkerReport
from protocol.ticket import CLOCK_SKEW_S, Ticket
from tests.simulation.clock import SimulatedClock

REPORT_S: Final = 5.0
MEASURE_S: Final = 6.0
PERF_PER_DLPERF: Final = 2.0


@dataclass(slots=True)
class Air:
    """What reports go through: each may be lost, late or sent twice. And how slowly answers are read."""

    clock: SimulatedClock
    reports: ReportPorts
    rng: random.Random
    loss: float = 0.0
    delay_s_max: float = 0.0
    repeats: float = 0.0
    lingering: float = 0.0  # share of clients that read so slowly that their request stays in flight for minutes

    def send(self, worker: SimulatedWorker, report: WorkerReport) -> None:
        """Let a report arrive, or not."""
        for _ in range(2 if self.rng.random() < self.repeats else 1):
            if self.rng.random() >= self.loss:
                self.clock.after(self.rng.uniform(0.0, self.delay_s_max), lambda: self._arrive(worker, report))

    def _arrive(self, worker: SimulatedWorker, report: WorkerReport) -> None:
        identity = authenticate(worker.env["MASTER_TOKEN"], ports=self.reports)
        try:
            taken = take_report(report.wire(worker.env["MASTER_TOKEN"]), sender=identity, ports=self.reports)
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
    alive: bool = True
    frozen: bool = False
    draining: bool = False
    phase: Phase = Phase.STARTING
    seq: int = 0
    received_load: float = 0.0
    finished_load: float = 0.0
    in_flight: int = 0
    busy_until_s: float = 0.0
    tickets: list[Ticket] = field(default_factory=list, repr=False)

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
        return self.alive and not self.frozen and self.phase is Phase.READY

    def begin(self) -> None:
        """Start up."""
        clock = self.air.clock
        clock.after(self.load_s / 2, lambda: self._enter(Phase.LOADING))
        clock.after(self.load_s, lambda: self._enter(Phase.MEASURING))
        clock.after(self.load_s + MEASURE_S, lambda: self._enter(Phase.READY))
        clock.after(1.0, self._report_for_ever)

    def take(self, ticket: Ticket) -> bool:
        """Serve a request; False when it cannot be reached or takes nothing new."""
        if not self.reachable or ticket.worker_id != self.worker_id:
            return False
        clock = self.air.clock
        self.received_load += ticket.cost
        self.tickets.append(ticket)
        self.in_flight += 1
        self.busy_until_s = max(self.busy_until_s, clock.now_s()) + ticket.cost / self.true_perf
        lingers_s = self.air.rng.uniform(100.0, 400.0) if self.air.rng.random() < self.air.lingering else 0.0
        clock.after(self.busy_until_s - clock.now_s() + lingers_s, lambda: self._finish(ticket.cost))
        return True

    def written_off_load(self) -> float:
        """Return the load of tickets that have expired without arriving, as far as those that did arrive tell."""
        now_s = self.air.clock.now_s()
        totals = [ticket.assigned_load for ticket in self.tickets if ticket.expires_at + CLOCK_SKEW_S < now_s]
        newest = max(totals, default=0.0)
        return newest - sum(ticket.cost for ticket in self.tickets if ticket.assigned_load <= newest)

    def _enter(self, phase: Phase) -> None:
        if self.alive:
            self.phase = phase

    def _finish(self, cost: float) -> None:
        self.finished_load += cost
        self.in_flight -= 1

    def _report_for_ever(self) -> None:
        if not self.alive:
            return
        if not self.frozen:
            self.seq += 1
            self.air.send(self, self._report())
        self.air.clock.after(REPORT_S, self._report_for_ever)

    def _report(self) -> WorkerReport:
        ready = self.phase is Phase.READY
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
            received_load=self.received_load,
            finished_load=self.finished_load,
            written_off_load=max(0.0, self.written_off_load()),
            in_flight=self.in_flight,
            finished_requests=0,
            failed_requests=0,
        )
