"""When the worker reports, what it says, and what it does with the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from protocol.report import Phase
from protocol.ticket import Ticket
from pyworker.controlplane import ControlPlane
from pyworker.ledger import Ledger, Outcome
from pyworker.perfcache import Kept
from pyworker.reporter import Reporter
from pyworker.settings import Identity
from pyworker.standing import Standing
from tests.worker_image.clocks import aged_clock
from tests.worker_image.control_plane import ENDPOINT, TOKEN, WORKER_ID, FakeControlPlane
from tests.worker_image.waiting import until_async


@dataclass(kw_only=True)
class Speaker:
    """A reporter with everything that it speaks of."""

    control_plane: FakeControlPlane
    reporter: Reporter
    standing: Standing
    ledger: Ledger

    def admit(self, ticket: Ticket) -> Ticket:
        """A request comes in."""
        self.ledger.admit(ticket, now_s=ticket.issued_at)
        self.reporter.busy()
        return ticket

    def finish(self, ticket: Ticket, outcome: Outcome = Outcome.SUCCESS) -> None:
        """A request ends."""
        self.ledger.finish(ticket.reqnum, outcome)
        self.reporter.finished(ticket, outcome)

    def become_ready(self) -> None:
        """Go through the phases."""
        self.standing.measuring()
        self.standing.measured(Kept(perf=100, half_width=5, slots=8, prompt_weight=0.3, flags=("imprecise",)))
        self.standing.ready(loadtime_s=12.5)

    async def heard(self, count: int) -> None:
        """Wait until so many reports were taken."""
        await until_async(lambda: len(self.control_plane.reports) >= count, what=f"{count} reports are heard")


@asynccontextmanager
async def speaker(*, running: bool = True) -> AsyncIterator[Speaker]:
    async with FakeControlPlane().serving() as control_plane:
        identity = Identity(
            worker_id=WORKER_ID, endpoint=ENDPOINT, instance_id=4711, report_url=control_plane.url, token=TOKEN, url="http://w:1"
        )
        calls, standing, ledger = ControlPlane(identity), Standing(), Ledger()
        reporter = Reporter(identity, control_plane=calls, standing=standing, ledger=ledger, clock=aged_clock())
        standing.on_change = reporter.urge
        tasks = [asyncio.create_task(reporter.run()), asyncio.create_task(reporter.run_completions())] if running else []
        try:
            yield Speaker(control_plane=control_plane, reporter=reporter, standing=standing, ledger=ledger)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await calls.close()


async def test_the_first_report_comes_at_once_and_says_who_speaks() -> None:
    async with speaker() as it:
        await it.heard(1)

        report = it.control_plane.last
        assert (report.worker_id, report.instance_id, report.url, report.phase) == (WORKER_ID, 4711, "http://w:1", Phase.STARTING)


async def test_the_token_travels_in_the_header() -> None:
    async with speaker() as it:
        await it.heard(1)

        assert it.control_plane.headers == [f"Bearer {TOKEN}"]


async def test_reports_of_a_run_are_numbered() -> None:
    async with speaker(running=False) as it:
        for _ in range(3):
            await it.reporter.report_now()

        assert [report.seq for report in it.control_plane.reports] == [1, 2, 3]
        assert len({report.run_id for report in it.control_plane.reports}) == 1


async def test_becoming_ready_is_told_at_once() -> None:
    """And not seconds later, with the next turn."""
    async with speaker() as it:
        await it.heard(1)
        it.become_ready()
        await until_async(lambda: it.control_plane.last.phase is Phase.READY, deadline_s=2)

        report = it.control_plane.last
        assert (report.perf, report.slots, report.loadtime_s, report.perf_flags) == (100, 8, 12.5, ("imprecise",))


async def test_an_error_is_told_at_once_with_its_reason() -> None:
    async with speaker() as it:
        await it.heard(1)
        it.standing.fail("CUDA out of memory")
        await until_async(lambda: it.control_plane.last.error, deadline_s=2)

        assert (it.control_plane.last.phase, it.control_plane.last.error) == (Phase.ERROR, "CUDA out of memory")


async def test_a_change_while_a_report_is_under_way_is_told_at_once_too() -> None:
    async with speaker(running=False) as it:
        reporting = asyncio.create_task(it.reporter.report_now())
        await asyncio.sleep(0)
        it.become_ready()
        await reporting
        run = asyncio.create_task(it.reporter.run())
        await until_async(lambda: it.control_plane.last.phase is Phase.READY, deadline_s=2)
        run.cancel()

        assert len(it.control_plane.reports) == 2


async def test_a_busy_worker_reports_as_often_as_it_is_asked_to() -> None:
    async with speaker() as it:
        it.become_ready()
        await it.heard(1)
        it.admit(it.control_plane.ticket())

        await it.heard(6)
        assert it.control_plane.last.in_flight == 1


async def test_becoming_idle_is_told_soon() -> None:
    """An idle worker's own turn would be ten seconds away."""
    async with speaker() as it:
        it.become_ready()
        ticket = it.admit(it.control_plane.ticket(cost=7))
        await until_async(lambda: it.control_plane.reports and it.control_plane.last.in_flight == 1)
        it.finish(ticket)

        await until_async(lambda: it.control_plane.last.finished_load == 7, deadline_s=3)


async def test_an_answer_drains_the_worker_and_takes_it_back() -> None:
    async with speaker(running=False) as it:
        it.become_ready()
        it.control_plane.drain = True
        await it.reporter.report_now()
        drained = it.standing.phase
        it.control_plane.drain = False
        await it.reporter.report_now()

        assert (drained, it.standing.phase) == (Phase.DRAINING, Phase.READY)


async def test_a_worker_that_is_gone_for_the_control_plane_stops_serving() -> None:
    async with speaker(running=False) as it:
        it.become_ready()
        it.control_plane.status = 410
        await it.reporter.report_now()

        assert not it.standing.serving


async def test_a_worker_that_is_known_again_serves_again() -> None:
    async with speaker(running=False) as it:
        it.become_ready()
        it.control_plane.status = 410
        await it.reporter.report_now()
        it.control_plane.status = 200
        await it.reporter.report_now()

        assert it.standing.serving


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_busy_control_plane_does_not_stop_a_worker(status: int) -> None:
    async with speaker(running=False) as it:
        it.become_ready()
        it.control_plane.status = status

        assert (await it.reporter.report_now(), it.standing.serving) == (False, True)


async def test_after_a_failure_the_next_report_says_everything() -> None:
    async with speaker(running=False) as it:
        it.control_plane.status = 500
        it.admit(it.control_plane.ticket(cost=7))
        await it.reporter.report_now()
        it.control_plane.status = 200
        await it.reporter.report_now()

        assert (it.control_plane.last.seq, it.control_plane.last.received_load) == (2, 7)


async def test_a_refused_token_is_not_sent_again_and_again() -> None:
    async with speaker() as it:
        it.control_plane.status = 401
        await it.heard(1)
        it.become_ready()
        for _ in range(20):
            await asyncio.sleep(0.005)

        assert len(it.control_plane.reports) == 1


async def test_a_served_request_that_waited_is_told_as_done() -> None:
    async with speaker() as it:
        ticket = it.admit(it.control_plane.ticket())
        it.finish(ticket)
        await until_async(lambda: it.control_plane.deleted)

        assert it.control_plane.deleted == [ticket.request_idx]


@pytest.mark.parametrize(
    ("outcome", "told"), [(Outcome.SUCCESS, True), (Outcome.CANCELLED, True), (Outcome.ERROR, False), (Outcome.REJECTED, False)]
)
async def test_only_a_request_that_its_client_will_not_ask_for_again_is_told(outcome: Outcome, *, told: bool) -> None:
    async with speaker(running=False) as it:
        it.finish(it.admit(it.control_plane.ticket()), outcome)
        await it.reporter.tell_completions()

        assert bool(it.control_plane.deleted) is told


async def test_a_request_that_never_waited_has_no_record_to_delete() -> None:
    async with speaker(running=False) as it:
        it.finish(it.admit(it.control_plane.ticket(request_idx=1 << 52 | 5)))
        await it.reporter.tell_completions()

        assert it.control_plane.deleted == []


async def test_completions_are_kept_until_they_are_taken() -> None:
    async with speaker(running=False) as it:
        it.control_plane.status = 503
        for _ in range(250):
            it.finish(it.admit(it.control_plane.ticket()))
        refused = await it.reporter.tell_completions()
        it.control_plane.status = 200

        assert (refused, await it.reporter.tell_completions(), len(it.control_plane.deleted)) == (False, True, 250)


async def test_no_error_repeats_the_token(caplog: pytest.LogCaptureFixture) -> None:
    async with speaker(running=False) as it:
        for status in (400, 401, 410, 500):
            it.control_plane.status = status
            await it.reporter.report_now()

        assert len(caplog.records) == 4
        assert TOKEN not in caplog.text
