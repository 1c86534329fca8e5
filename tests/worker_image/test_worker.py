"""The real worker, a process of its own, between a control plane and an inference server: what a client and a scaler see."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from nacl.signing import SigningKey

from protocol.report import Phase
from tests.worker_image.control_plane import TOKEN, TTL_S, FakeControlPlane
from tests.worker_image.process import ROOT, WorkerProcess, environment, free_port, running_worker
from tests.worker_image.waiting import until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

INFERENCE = "--tokens-per-s 800 --slots 8 --load-s 0.2"


@dataclass(kw_only=True)
class Running:
    """A worker that is ready, and who it talks to."""

    worker: WorkerProcess
    control_plane: FakeControlPlane
    session: aiohttp.ClientSession

    def post(self, payload: dict[str, Any], path: str = "/generate", *, cost: float = 10, **changed: Any) -> Any:
        """Send an authentic request."""
        return self.session.post(self.worker.url + path, json=self.control_plane.body(payload, cost=cost, **changed))


def asking(tokens: int) -> dict[str, Any]:
    return {"inputs": "hello", "parameters": {"max_new_tokens": tokens}}


async def phase_of(control_plane: FakeControlPlane, *phases: Phase) -> Phase:
    return await until_async(
        lambda: control_plane.reports and control_plane.last.phase in phases and control_plane.last.phase,  # type: ignore[arg-type,return-value]
        what=f"the worker is {' or '.join(phases)}",
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One worker for the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("worker")
    async with FakeControlPlane().serving() as control_plane, aiohttp.ClientSession() as session:
        given = environment(control_plane, port=free_port(), inference=INFERENCE, HEADGATE_PERF_SECONDS_MAX="2")
        async with running_worker(folder, given) as worker:
            await phase_of(control_plane, Phase.READY)
            yield Running(worker=worker, control_plane=control_plane, session=session)


async def test_it_becomes_ready_through_every_phase(running: Running) -> None:
    phases = running.control_plane.phases()

    assert phases[-1] is Phase.READY
    assert [phase for phase in Phase if phase in phases] == phases


async def test_its_measured_speed_is_about_the_servers(running: Running) -> None:
    report = running.control_plane.last

    assert report.perf == pytest.approx(800, rel=0.35)
    assert (report.slots, report.loadtime_s > 0) == (8, True)


async def test_it_serves_a_request(running: Running) -> None:
    async with running.post(asking(5)) as reply:
        assert (reply.status, len((await reply.json())["generated_text"].split())) == (200, 5)


async def test_it_streams_tokens(running: Running) -> None:
    async with running.post(asking(20), "/generate_stream") as reply:
        assert (await reply.read()).count(b'"token":') == 20


async def test_it_tells_what_it_served(running: Running) -> None:
    before = running.control_plane.last.finished_load
    async with running.post(asking(5), cost=1000):
        pass

    await until_async(lambda: running.control_plane.last.finished_load >= before + 1000)


async def test_it_tells_that_a_request_which_waited_is_done(running: Running) -> None:
    body = running.control_plane.body(asking(5))
    async with running.session.post(running.worker.url + "/generate", json=body):
        pass

    await until_async(lambda: body["auth_data"]["request_idx"] in running.control_plane.deleted)


def _altered(plane: FakeControlPlane) -> dict[str, Any]:
    body = plane.body(asking(5))
    body["auth_data"]["cost"] = 1
    return body


def _forged(plane: FakeControlPlane) -> dict[str, Any]:
    ticket = plane.ticket()
    return {"auth_data": ticket.wire(SigningKey.generate().sign(ticket.signed_bytes()).signature), "payload": asking(5)}


def _expired(plane: FakeControlPlane) -> dict[str, Any]:
    return plane.body(asking(5), issued_at=int(time.time()) - 500, expires_at=int(time.time()) - 500 + TTL_S)


def _before_start(plane: FakeControlPlane) -> dict[str, Any]:
    return plane.body(asking(5), issued_at=int(time.time()) - 500)


REFUSED: dict[str, Callable[[FakeControlPlane], dict[str, Any]]] = {
    "bad_signature": _altered,
    "bad_signature ": _forged,
    "expired_ticket": _expired,
    "issued_before_start": _before_start,
    "wrong_worker": lambda plane: plane.body(asking(5), worker_id="w0-another"),
    "unknown_key": lambda plane: plane.body(asking(5), key_id="k9"),
    "missing_ticket": lambda _plane: asking(5),
}


@pytest.mark.parametrize("reason", REFUSED)
async def test_it_refuses_what_is_not_authentic(running: Running, reason: str) -> None:
    body = REFUSED[reason](running.control_plane)
    async with running.session.post(running.worker.url + "/generate", json=body) as reply:
        assert (reply.status, (await reply.json())["error"]) == (401, reason.strip())


async def test_it_refuses_a_ticket_that_was_used(running: Running) -> None:
    body = running.control_plane.body(asking(5))
    async with running.session.post(running.worker.url + "/generate", json=body):
        pass
    async with running.session.post(running.worker.url + "/generate", json=body) as reply:
        assert (reply.status, (await reply.json())["error"]) == (401, "replayed_ticket")


async def test_its_log_holds_no_token_and_no_prompt(running: Running) -> None:
    async with running.post({"inputs": "my private words", "parameters": {"max_new_tokens": 2}}):
        pass

    log = running.worker.log()
    assert TOKEN not in log
    assert "private" not in log


async def test_it_is_small(running: Running) -> None:
    """Resident memory of the worker and of the sandbox's inference server, in MB."""
    process = psutil.Process(running.worker.pid)
    sizes = [one.memory_info().rss / 2**20 for one in (process, *process.children())]

    assert max(sizes) < 60


def _ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def test_a_server_that_runs_out_of_memory_at_load_is_reported_with_the_reason(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference="--load-s 0.2 --crash-at-load out-of-memory")
        async with running_worker(folder, given):
            await phase_of(plane, Phase.ERROR)

            assert "CUDA out of memory" in plane.last.error


async def test_a_server_that_dies_later_is_reported(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            (child,) = psutil.Process(worker.pid).children()
            child.terminate()
            await phase_of(plane, Phase.ERROR)

            assert plane.last.error == "the inference server exited with code 0"


async def test_a_server_that_is_killed_without_a_word_is_reported(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.LOADING)
            (child,) = await until_async(lambda: psutil.Process(worker.pid).children())
            child.kill()
            await phase_of(plane, Phase.ERROR)

            assert "was killed by SIGKILL" in plane.last.error


async def test_a_server_that_cannot_be_started_is_reported(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), MODEL_LAUNCH_COMMAND="/no/such/program")
        async with running_worker(folder, given):
            await phase_of(plane, Phase.ERROR)

            assert "/no/such/program" in plane.last.error


async def test_a_server_that_never_loads_is_reported_in_time(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference="--load-s inf", HEADGATE_LOAD_TIMEOUT_S="1")
        async with running_worker(folder, given):
            await phase_of(plane, Phase.ERROR)

            assert "did not serve within 1 s: it was never healthy" in plane.last.error


async def test_a_bad_variable_is_reported_by_name(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), BACKEND="no-such", HEADGATE_SLOTS="many")
        async with running_worker(folder, given):
            await phase_of(plane, Phase.ERROR)

            assert ("BACKEND" in plane.last.error, "HEADGATE_SLOTS" in plane.last.error) == (True, True)


async def test_a_port_that_is_taken_is_reported(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        port = int(plane.url.rpartition(":")[2])
        async with running_worker(folder, environment(plane, port=port)):
            await phase_of(plane, Phase.ERROR)

            assert f"cannot listen on 127.0.0.1:{port}" in plane.last.error


async def test_a_library_that_cannot_be_imported_is_reported(folder: Path) -> None:
    (folder / "aiohttp.py").write_text("raise ImportError('broken')")
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port())
        async with running_worker(folder, {**given, "PYTHONPATH": f"{folder}:{given['PYTHONPATH']}"}):
            await phase_of(plane, Phase.ERROR)

            assert plane.last.error == "internal error: ImportError"


async def test_a_launch_script_that_cannot_write_is_reported(folder: Path) -> None:
    """The very script of the image, with an interpreter that finds our modules."""
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), HEADGATE_HOME=str(folder), WORKSPACE_DIR="/proc/nowhere")
        async with running_worker(folder, given, command=("/bin/sh", str(ROOT / "worker_image" / "start_server.sh"))):
            await phase_of(plane, Phase.ERROR)

            assert "WORKSPACE_DIR is /proc/nowhere" in plane.last.error


async def test_keys_that_are_never_served_are_reported(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        plane.keys = {}
        given = environment(plane, port=free_port(), inference=INFERENCE, HEADGATE_KEYS_TIMEOUT_S="1")
        async with running_worker(folder, given):
            await phase_of(plane, Phase.ERROR)

            assert "has served no keys for 1 s" in plane.last.error


async def test_an_error_report_holds_no_secret_of_the_environment(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        command = "sh -c 'echo \"OSError: 401 for hf-my-secret\"; exit 1'"
        given = environment(plane, port=free_port(), MODEL_LAUNCH_COMMAND=command, HF_TOKEN="hf-my-secret")
        async with running_worker(folder, given):
            await phase_of(plane, Phase.ERROR)

            assert plane.last.error == "the inference server exited with code 1 (OSError: 401 for ***)"


async def test_a_worker_that_knows_nobody_ends_naming_every_variable(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), HEADGATE_WORKER_ID="", MASTER_TOKEN="", BACKEND="")
        async with running_worker(folder, given) as worker:
            status = await worker.process.wait()

    assert status == 2
    assert all(name in worker.log() for name in ("HEADGATE_WORKER_ID", "MASTER_TOKEN", "BACKEND"))


async def test_an_answer_drains_it_and_takes_it_back(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane, aiohttp.ClientSession() as session:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            plane.drain = True
            async with session.post(worker.url + "/generate", json=plane.body(asking(1))):
                pass
            await phase_of(plane, Phase.DRAINING)
            async with session.post(worker.url + "/generate", json=plane.body(asking(1))) as reply:
                assert reply.status == 503
            plane.drain = False

            await phase_of(plane, Phase.READY)


async def test_told_to_end_it_finishes_what_it_has(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane, aiohttp.ClientSession() as session:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            async with session.post(worker.url + "/generate_stream", json=plane.body(asking(150))) as reply:
                await reply.content.readuntil(b"\n\n")
                worker.process.terminate()
                rest = await reply.content.read()
            await worker.process.wait()

    assert rest.count(b'"token":') == 149
    assert (plane.last.phase, plane.last.in_flight, plane.last.finished_requests) == (Phase.DRAINING, 0, 1)


async def test_told_to_end_it_takes_the_server_with_it(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            (child,) = psutil.Process(worker.pid).children()
            status = await worker.terminate()

            assert (status, _ended(child)) == (0, True)


async def test_killed_without_a_word_it_leaves_no_server_behind(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.LOADING)
            (child,) = await until_async(lambda: psutil.Process(worker.pid).children())
            worker.process.kill()

            await until_async(lambda: _ended(child), what="the inference server has ended")


async def test_started_again_it_does_not_measure_again(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given):
            await phase_of(plane, Phase.READY)
            perf = plane.last.perf
        plane.reports.clear()
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)

            assert (plane.last.perf, worker.log().count("measured Measurement")) == (perf, 1)


async def test_started_again_it_refuses_tickets_of_the_run_before(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane, aiohttp.ClientSession() as session:
        given = environment(plane, port=free_port(), inference=INFERENCE)
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            body = plane.body(asking(1))
            async with session.post(worker.url + "/generate", json=body):
                pass
        plane.reports.clear()
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            async with session.post(worker.url + "/generate", json=body) as reply:
                assert (reply.status, (await reply.json())["error"]) == (401, "issued_before_start")


async def test_the_backend_without_a_model_serves_from_the_same_process(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane, aiohttp.ClientSession() as session:
        given = environment(plane, port=free_port(), BACKEND="helloautoscaler", MODEL_LAUNCH_COMMAND="", HELLO_UNITS_PER_S="200")
        async with running_worker(folder, given) as worker:
            await phase_of(plane, Phase.READY)
            async with session.post(worker.url + "/generate", json=plane.body({"units": 2}, cost=2)) as reply:
                assert (reply.status, (await reply.json())["units"]) == (200, 2)
            assert plane.last.perf == pytest.approx(200, rel=0.3)
            assert psutil.Process(worker.pid).children() == []
