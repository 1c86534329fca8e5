"""Scripts of routers with stale views, a worker that reports late, tickets that nobody uses, and runs that end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.model import EndpointGroup, Worker
from functions.core.routing import assigned_load_max, backlog, candidates, fits, settlement
from tests.core.builders import NOW_S, a_condition, a_group, a_worker


@dataclass
class Table:
    """One worker as it really is, and the views that two routers took of it earlier."""

    group: EndpointGroup = field(default_factory=lambda: a_group(max_queue_time=1.0))  # a ceiling of 100
    now_s: float = NOW_S
    worker: Worker = field(default_factory=lambda: replace(a_worker(), condition=a_condition(seq=0)))
    tickets: list[float] = field(default_factory=list)  # costs of those that have not arrived
    arrived: float = 0.0
    finished: float = 0.0
    lost: float = 0.0
    views: dict[int, Worker] = field(default_factory=dict)

    def look(self, router: int) -> None:
        """A router takes a view."""
        self.views[router] = self.worker

    def assign(self, router: int, cost: float) -> None:
        """A router decides by its view; the table decides by what is there."""
        view = self.views.get(router, self.worker)
        [seen] = candidates([view], group=self.group, now_s=view.condition.reported_at_s)
        if fits(seen, cost) and self.worker.assignments.assigned_load <= assigned_load_max(seen, cost):
            noted, before = settlement(view), self.worker.assignments
            if noted is not None and view.assignments.reqnum != before.reqnum:
                return
            was_idle = self.truly_ahead() <= 1e-9
            total = replace(
                before,
                assigned_load=before.assigned_load + cost,
                reqnum=before.reqnum + 1,
                ticket_expires_at_s=self.now_s + 60,
                **(asdict(noted) if noted is not None else {}),
            )
            self.worker = replace(self.worker, assignments=total)
            self.tickets.append(cost)
            assert was_idle or self.truly_ahead() <= 100.0 + 1e-6

    def arrive(self) -> None:
        """The oldest ticket reaches the worker."""
        if self.tickets:
            self.arrived += self.tickets.pop(0)

    def finish(self) -> None:
        """The worker finishes half of what it has."""
        self.finished += (self.arrived - self.finished) / 2 if self.arrived - self.finished > 1 else self.arrived - self.finished

    def expire(self) -> None:
        """A minute and a half passes: no ticket can arrive any more, and the worker finds out."""
        self.now_s += 91.0
        self.lost += sum(self.tickets)
        self.tickets.clear()

    def start_again(self) -> None:
        """The worker is stopped and, much later, started: it counts from zero, and nobody's view is that old."""
        self.now_s += 1_000.0
        self.tickets.clear()
        self.views.clear()
        self.arrived = self.finished = self.lost = 0.0
        self.report()

    def report(self) -> None:
        """The worker says its totals."""
        said = a_condition(
            seq=self.worker.condition.seq + 1,
            reported_at_s=self.now_s,
            received_load=self.arrived,
            finished_load=self.finished,
            written_off_load=self.lost,
        )
        self.worker = replace(self.worker, condition=said)

    def truly_ahead(self) -> float:
        """Load that the worker has or may still get."""
        return self.arrived - self.finished + sum(self.tickets)


routers = st.integers(0, 1)
costs = st.sampled_from([0.0, 0.1, 30.0, 60.0, 250.0])
steps: st.SearchStrategy[Callable[[Table], None]] = st.one_of(
    st.builds(lambda router: lambda table: table.look(router), routers),
    st.builds(lambda router, cost: lambda table: table.assign(router, cost), routers, costs),
    st.sampled_from([Table.arrive, Table.finish, Table.expire, Table.report, Table.start_again]),
)


@given(st.lists(steps, max_size=60))
def test_no_script_of_stale_views_breaks_the_ceiling_or_loses_load(script: list[Callable[[Table], None]]) -> None:
    table = Table()
    for step in script:
        step(table)  # asserts the ceiling at every assignment

        assert backlog(table.worker) >= table.truly_ahead() - 1e-6


@given(st.lists(steps, max_size=60))
def test_once_the_tickets_have_expired_the_books_are_right_again(script: list[Callable[[Table], None]]) -> None:
    table = Table()
    for step in (*script, Table.expire, Table.report):
        step(table)

    assert backlog(table.worker) == pytest.approx(table.truly_ahead(), abs=1e-6)
