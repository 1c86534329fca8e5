"""What a worker must survive: clients that stall, bodies and crowds of any size, servers that die, a control plane that is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import aiohttp
import psutil
import pytest

from protocol.report import Phase, ReportAnswer, WorkerReport
from pyworker import upstream
from pyworker.clock import RouterClock
from pyworker.controlplane import Completion, ControlPlane, ControlPlaneBusy
from pyworker.ledger import Ledger, Outcome
from pyworker.perfcache import Kept
from pyworker.reporter import BACKOFF_S, COMPLETIONS_GAP_S, Reporter
from pyworker.settings import Identity
from pyworker.standing import Standing
from tests.worker_image.control_plane import ENDPOINT, TOKEN, WORKER_ID, FakeControlPlane
from tests.worker_image.process import environment, free_port, running_worker
from tests.worker_image.stand import Stand, stand
from tests.worker_image.test_worker import INFERENCE, asking, phase_of
from tests.worker_image.virtual_time import in_virtual_time
from tests.worker_image.waiting import until_async

TEN_MB = 10 * 2**20
STREAMS = 500
AWAY_S = 600.0
IDENTITY = Identity(worker_id=WORKER_ID, endpoint=ENDPOINT, instance_id=4711, report_url="http://c", token=TOKEN, url="http://w:1")


async def test_a_client_that_stops_reading_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "CLIENT_STALL_S", 0.2)
    async with stand(slots=1) as it, it.post("stream:400000", "/generate_stream"):
        await until_async(lambda: it.outcomes, what="the request has ended")

        assert (it.outcomes, it.slots.running, it.ledger.in_flight) == ([Outcome.CANCELLED], 0, 0)


async def test_a_slow_but_steady_reader_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes several times as long as a stall is allowed to last, and is never stalled that long."""
    monkeypatch.setattr(upstream, "CLIENT_STALL_S", 0.3)
    async with stand() as it, it.post("stream:30000", "/generate_stream") as reply:
        received = b""
        async for chunk in reply.content.iter_chunked(100_000):
            received += chunk
            await asyncio.sleep(0.03)

        assert received.count(b'"token":') == 30_000


async def test_a_body_of_ten_megabytes_is_served_and_a_larger_one_refused() -> None:
    async with stand(body_bytes_max=TEN_MB + 10_000) as it:
        async with it.post("answer", image="x" * TEN_MB) as reply:
            served = reply.status
        async with it.post("answer", image="x" * (TEN_MB + 10_000)) as reply:
            refused = reply.status

        assert (served, refused, len(it.model.payloads[0]["image"])) == (200, 413, TEN_MB)


async def test_a_reply_of_ten_megabytes_comes_whole() -> None:
    async with stand() as it, it.post(f"bytes:{TEN_MB}") as reply:
        assert len(await reply.read()) == TEN_MB


async def _read_all(it: Stand, session: aiohttp.ClientSession) -> int:
    async with session.post(it.url + "/generate_stream", json=it.control_plane.body({"do": "hold:3"})) as reply:
        return (await reply.read()).count(b'"token":')


async def test_five_hundred_streams_at_a_time_are_all_served_and_counted() -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with stand(slots=STREAMS) as it, aiohttp.ClientSession(connector=connector) as session:
        streams = [asyncio.create_task(_read_all(it, session)) for _ in range(STREAMS)]
        await until_async(lambda: it.model.running == STREAMS, what="all of them run")
        it.model.go.set()
        counts = await asyncio.gather(*streams)
        totals = it.ledger.totals()

    assert set(counts) == {3}
    assert (totals.finished_requests, totals.received_load, totals.finished_load) == (STREAMS, 10 * STREAMS, 10 * STREAMS)


async def test_the_books_are_exact_when_clients_leave_fail_and_repeat_in_a_crowd() -> None:
    rng = random.Random(11)
    async with stand(slots=8) as it:

        async def one(do: str, path: str) -> None:
            try:
                async with asyncio.timeout(rng.uniform(0.01, 0.5)), it.post(do, path) as reply:
                    await reply.read()
            except (TimeoutError, aiohttp.ClientError):
                pass

        kinds = [("answer", "/generate"), ("stream:50", "/generate_stream"), ("cut:2", "/generate_stream"), ("wait", "/generate")]
        await asyncio.gather(*(one(*rng.choice(kinds)) for _ in range(200)))
        await until_async(lambda: not it.ledger.in_flight, what="everything has ended")
        totals = it.ledger.totals()

        assert totals.received_load == totals.finished_load == 10 * totals.finished_requests
        assert (it.slots.running, it.slots.waiting, len(it.outcomes)) == (0, 0, totals.finished_requests)


async def test_a_server_killed_while_it_is_measured_is_reported(tmp_path: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference=INFERENCE, HEADGATE_PERF_SECONDS_MAX="20")
        async with running_worker(tmp_path, given) as worker:
            await phase_of(plane, Phase.MEASURING)
            (child,) = psutil.Process(worker.pid).children()
            child.kill()
            await phase_of(plane, Phase.ERROR)

            assert "was killed by SIGKILL" in plane.last.error


async def test_a_server_killed_mid_stream_cuts_the_stream_and_is_reported(tmp_path: Path) -> None:
    async with FakeControlPlane().serving() as plane, aiohttp.ClientSession() as session:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(tmp_path, given) as worker:
            await phase_of(plane, Phase.READY)
            async with session.post(worker.url + "/generate_stream", json=plane.body(asking(500))) as reply:
                await reply.content.readuntil(b"\n\n")
                (child,) = psutil.Process(worker.pid).children()
                child.kill()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await reply.content.read()
            await phase_of(plane, Phase.ERROR)

            assert (plane.last.failed_requests, plane.last.finished_load) == (1, 10)


class Away(ControlPlane):
    """A control plane that answers nobody between two times; what it was told is kept."""

    def __init__(self, *, from_s: float, to_s: float) -> None:
        self._away_s = (from_s, to_s)
        self.heard: list[tuple[float, WorkerReport]] = []
        self.in_vain = 0
        self.deleted: list[int] = []

    def _answer(self) -> float:
        now_s = asyncio.get_running_loop().time()
        if self._away_s[0] <= now_s < self._away_s[1]:
            self.in_vain += 1
            raise ControlPlaneBusy("away")
        return now_s

    async def report(self, report: WorkerReport) -> ReportAnswer:
        """Take a report."""
        now_s = self._answer()
        self.heard.append((now_s, report))
        return ReportAnswer(now_s=1.7e9 + now_s)

    async def delete_requests(self, completions: Sequence[Completion]) -> None:
        """Take completions."""
        self._answer()
        self.deleted += [row.request_idx for row in completions]


async def _serve_through(away: Away, *, until_s: float) -> tuple[Ledger, list[int]]:
    """Serve a request a second until then; return the books and the numbers of all requests."""
    loop = asyncio.get_running_loop()
    ledger, standing, signer, numbers = Ledger(), Standing(), FakeControlPlane(), list[int]()
    clock = RouterClock(monotonic=loop.time, wall=lambda: 1.7e9 + loop.time())
    reporter = Reporter(IDENTITY, control_plane=away, standing=standing, ledger=ledger, clock=clock)
    tasks = [asyncio.create_task(reporter.run()), asyncio.create_task(reporter.run_completions())]
    standing.measuring()
    standing.measured(Kept(perf=100, half_width=5, slots=8, prompt_weight=0.3))
    standing.ready(loadtime_s=1)
    while loop.time() < until_s:
        ticket = signer.ticket(issued_at=int(clock.now_s()), expires_at=int(clock.now_s()) + 60)
        ledger.admit(ticket, now_s=clock.now_s())
        reporter.busy()
        await asyncio.sleep(1.0)
        ledger.finish(ticket.reqnum, Outcome.SUCCESS)
        reporter.finished(ticket, Outcome.SUCCESS)
        numbers.append(ticket.request_idx)
    await asyncio.sleep(BACKOFF_S[-1] + COMPLETIONS_GAP_S + 5)
    for task in tasks:
        task.cancel()
    return ledger, numbers


def _away_for_ten_minutes() -> tuple[Away, Ledger, list[int]]:
    away = Away(from_s=1060.0, to_s=1060.0 + AWAY_S)
    ledger, numbers = in_virtual_time(_serve_through(away, until_s=1060.0 + AWAY_S + 30))
    return away, ledger, numbers


def test_a_control_plane_that_is_away_for_ten_minutes_loses_nothing() -> None:
    away, ledger, numbers = _away_for_ten_minutes()
    last, totals = away.heard[-1][1], ledger.totals()

    assert (last.received_load, last.finished_load, last.finished_requests) == (
        totals.received_load,
        totals.finished_load,
        len(numbers),
    )


def test_every_completion_is_told_once_it_is_back() -> None:
    away, _, numbers = _away_for_ten_minutes()

    assert sorted(away.deleted) == sorted(numbers)


def test_it_is_asked_rarely_while_away_and_heard_soon_after() -> None:
    away, _, _ = _away_for_ten_minutes()
    times = [at_s for at_s, _ in away.heard]
    back_s = min(at_s for at_s in times if at_s >= 1060 + AWAY_S)

    # Reports and completions, each once a longest pause, and the shorter ones that come first.
    assert away.in_vain < 2 * (AWAY_S / (0.8 * BACKOFF_S[-1]) + len(BACKOFF_S))
    assert back_s - (1060 + AWAY_S) <= 1.2 * BACKOFF_S[-1]


def _jumping(jumps_s: Iterable[float]) -> RouterClock:
    """A clock on a machine whose wall clock jumps each time that it is read."""
    walls = iter(jumps_s)
    return RouterClock(monotonic=lambda: 50.0, wall=lambda: next(walls))


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, 1e9])
def test_jumps_of_the_machines_clock_change_nothing_once_the_control_plane_was_heard(jump_s: float) -> None:
    clock = _jumping([1.7e9, 1.7e9 + jump_s, 1.7e9 - jump_s])
    clock.learn(1.7e9, sent_s=50.0, received_s=50.0)

    assert (clock.now_s(), clock.now_s()) == (1.7e9, 1.7e9)
