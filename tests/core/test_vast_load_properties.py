"""Whatever happens to a Vast worker's reports, its backlog is never read too low for long, and never too high for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.core.model import Worker
from functions.core.routing import backlog
from protocol.report import Phase
from protocol.vast_report import VastReport
from tests.core.builders import NOW_S, a_group, a_worker, worker_id
from tests.fakes.store import MemoryStore

COSTS = st.sampled_from([1.0, 10.0, 100.0])


@dataclass
class TheirWorker:
    """What is really so: tickets on their way, and load in flight."""

    on_its_way: list[tuple[float, int]] = field(default_factory=list)  # cost, and the number of the report before which it arrives
    in_flight: list[float] = field(default_factory=list)
    reports: int = 0

    def said(self) -> VastReport:
        """Return what it reports now."""
        load = sum(self.in_flight)
        return VastReport(
            version="1.1.0", phase=Phase.READY, url="http://a:1", perf=50.0, in_flight=len(self.in_flight), in_flight_load=load
        )


class Reports(RuleBasedStateMachine):
    """Routers assign, tickets arrive within one interval or never, requests end, reports are lost and repeated."""

    @initialize()
    def begin(self) -> None:
        """Have a worker that has reported once."""
        self.store = MemoryStore()
        self.store.put_group(a_group())
        lease = self.store.acquire_lease("chat", owner="scaler", now_s=NOW_S, duration_s=1e9)
        assert lease is not None
        self.store.put_rental(lease, worker_id(1), a_worker(1).rental)
        self.theirs = TheirWorker()
        self.report(lost=False, copies=1)

    @rule(cost=COSTS, used=st.booleans())
    def assign(self, cost: float, *, used: bool) -> None:
        """Give out a ticket, which its client may never use."""
        self.store.assign(self.worker(), cost=cost, assigned_load_max=1e12, expires_at_s=NOW_S + 1e6)
        if used:
            self.theirs.on_its_way.append((cost, self.theirs.reports))

    @precondition(lambda self: self.theirs.on_its_way)
    @rule(data=st.data())
    def arrive(self, data: Any) -> None:
        """Let a ticket reach the worker."""
        index = data.draw(st.integers(0, len(self.theirs.on_its_way) - 1))
        self.theirs.in_flight.append(self.theirs.on_its_way.pop(index)[0])

    @precondition(lambda self: self.theirs.in_flight)
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        """Let a request end."""
        self.theirs.in_flight.pop(data.draw(st.integers(0, len(self.theirs.in_flight) - 1)))

    @rule(lost=st.booleans(), copies=st.integers(1, 1))
    def report(self, *, lost: bool, copies: int) -> None:
        """Let an interval end: what was given out in the one before has arrived."""
        late = [cost for cost, given in self.theirs.on_its_way if given < self.theirs.reports]
        self.theirs.on_its_way = [each for each in self.theirs.on_its_way if each[1] >= self.theirs.reports]
        self.theirs.in_flight += late
        self.theirs.reports += 1
        if not lost:
            for _ in range(copies):
                self.store.merge_condition("chat", worker_id(1), self.theirs.said(), now_s=NOW_S)

    @rule(copies=st.integers(2, 3))
    def quieten(self, copies: int) -> None:
        """Let everything end, and two reports get through, however often each: nothing is left of the past."""
        for _ in range(2):
            self.report(lost=False, copies=copies)
        self.theirs.in_flight.clear()
        self.theirs.on_its_way.clear()
        for _ in range(2):
            self.report(lost=False, copies=copies)
        assert backlog(self.worker()) == 0.0

    @invariant()
    def the_backlog_is_never_read_too_low_by_what_is_in_flight_or_on_its_way(self) -> None:
        """What ended since the last report is not known yet, so it may be read higher."""
        if hasattr(self, "theirs"):
            held = sum(self.theirs.in_flight) + sum(cost for cost, _ in self.theirs.on_its_way)
            assert backlog(self.worker()) >= held - 1e-6

    def worker(self) -> Worker:
        """Return what is stored."""
        return self.store.worker("chat", worker_id(1))


TestReports = Reports.TestCase
TestReports.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
