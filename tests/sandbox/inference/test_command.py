"""`python -m sandbox.inference` and `sandbox.instance`: options, ends, and the environment of an instance."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import Final

import pytest

from pyworker.backends.tgi.logwatch import LOG_RULES
from pyworker.logwatch import LineKind
from pyworker.settings import read_environment
from sandbox.inference.options import read_options
from sandbox.instance import instance_environment

ROOT: Final = Path(__file__).resolve().parents[3]
DEADLINE_S: Final = 20.0


async def ended(*options: str, cwd: Path) -> int | None:
    """Run the command until it ends by itself; return its exit status."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = (sys.executable, "-m", "sandbox.inference", *options)
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=given, stdin=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode


def kinds(log: Path) -> list[LineKind]:
    return [LOG_RULES.classify(line)[0] for line in log.read_text().splitlines()]


async def test_a_crash_at_load_ends_with_a_fatal_line_and_status_1(tmp_path: Path) -> None:
    status = await ended("--load-s", "0.01", "--crash-at-load", "at-load", "--log", "model.log", cwd=tmp_path)

    assert (status, LineKind.FATAL in kinds(tmp_path / "model.log"), LineKind.READY in kinds(tmp_path / "model.log")) == (
        1,
        True,
        False,
    )


async def test_a_crash_later_comes_after_the_ready_line(tmp_path: Path) -> None:
    await ended("--load-s", "0.01", "--crash-after-s", "0.01", "--log", "model.log", cwd=tmp_path)
    found = kinds(tmp_path / "model.log")

    assert found.index(LineKind.READY) < found.index(LineKind.FATAL)


async def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Standard input is a pipe that breaks when its writer goes; here it is closed from the start."""
    command = (sys.executable, "-m", "sandbox.inference", "--load-s", "inf", "--exit-with-parent")
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=given, stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(DEADLINE_S):
        assert await process.wait() == 0


def test_the_environment_of_an_instance_sets_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIM_TOKENS_PER_S": "400", "SIM_SLOTS": "4", "SIM_DLPERF": "90.36", "SIM_PERFORMANCE": "0.5"}.items():
        monkeypatch.setenv(name, value)
    speed = read_options([]).speed

    assert speed.slots == 4
    assert 4 / speed.iteration_s(4) == pytest.approx(400)


@pytest.mark.parametrize("arguments", [["--tokens-per-s", "0"], ["--stream-fault", "melt:3"], ["--stream-fault", "cut:soon"]])
def test_an_option_that_makes_no_sense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(arguments)


GIVEN: Final = {
    "HEADGATE_WORKER_ID": "w0-a",
    "HEADGATE_ENDPOINT": "words",
    "REPORT_ADDR": "http://127.0.0.1:1",
    "MASTER_TOKEN": "a secret token",
    "CONTAINER_ID": "4711",
    "PUBLIC_IPADDR": "127.0.0.1",
    "VAST_TCP_PORT_3000": "41234",
    "BACKEND": "tgi",
}


def test_an_instance_has_everything_that_a_worker_needs(tmp_path: Path) -> None:
    identity, settings = read_environment(instance_environment(GIVEN, model_port=5555), working_directory=tmp_path)

    assert (identity.url, settings.listen_port, settings.listen_host) == ("http://127.0.0.1:41234", 41234, "127.0.0.1")
    assert settings.model_url == "http://127.0.0.1:5555"


def test_an_instance_starts_the_sandboxs_inference_server() -> None:
    words = shlex.split(instance_environment(GIVEN, model_port=5555)["MODEL_LAUNCH_COMMAND"])

    assert words[1:5] == ["-m", "sandbox.inference", "--port", "5555"]


def test_a_backend_that_serves_itself_starts_no_server() -> None:
    assert instance_environment({**GIVEN, "BACKEND": "helloautoscaler"}, model_port=5555)["MODEL_LAUNCH_COMMAND"] == ""


def test_what_the_rent_gave_wins_over_what_an_image_would_fix() -> None:
    assert instance_environment({**GIVEN, "HEADGATE_PERF_SECONDS_MAX": "9"}, model_port=1)["HEADGATE_PERF_SECONDS_MAX"] == "9"
