"""The simulator as a program: one line when it is ready, nothing left when it is gone, however it goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from sandbox.marketplace.__main__ import main
from tests.sandbox.marketplace.shop import CHEAPEST_SINGLE, CREATE, Json
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[3]
# A process with a child in a session of its own: the hardest to end.
FORKING = "import os, signal; os.fork() or os.setsid(); print(os.getpid(), flush=True); signal.pause()"


class Program:
    """A running simulator."""

    def __init__(self, process: subprocess.Popen[str], told: Json) -> None:
        self.process = process
        self.told = told
        self.key = Path(told["api_key_file"]).read_text().strip()

    def ask(self, method: str, path: str, body: object = None) -> Json:
        """Send one request that must succeed."""
        headers = {"Authorization": f"Bearer {self.key}"}
        response = requests.request(method, self.told["url"] + path, json=body, headers=headers, timeout=10)
        response.raise_for_status()
        answer: Json = response.json()
        return answer

    def rent(self) -> int:
        """Rent the cheapest offer."""
        offers = self.ask("POST", "/api/v0/bundles/", CHEAPEST_SINGLE)["offers"]
        return int(self.ask("PUT", f"/api/v0/asks/{offers[0]['id']}/", CREATE)["new_contract"])

    def pids(self, contract_id: int) -> list[int]:
        """Return the two processes of a FORKING instance, once both have said so."""
        log = Path(self.told["state_dir"]) / "logs" / f"C.{contract_id}.log"
        return until(lambda: _two_pids(log), what="two processes")


def _two_pids(log: Path) -> list[int]:
    words = log.read_text().splitlines() if log.exists() else []
    return [int(word) for word in words] if len(words) == 2 else []


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


@contextmanager
def _running(*flags: str) -> Iterator[Program]:
    command = [sys.executable, "-m", "sandbox.marketplace", "--machines", "40", "--boot-speed", "1000", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield Program(process, json.loads(line))
        finally:
            process.terminate()


def _forking() -> list[str]:
    return ["--boot-command", f'{{python}} -c "{FORKING}"']


def test_it_says_where_it_is_and_stops_on_sigterm_without_a_trace() -> None:
    with _running() as program:
        folder = Path(program.told["state_dir"])
        assert program.ask("GET", "/_sim/health") == {"ok": True}
        assert (folder / "api-key").stat().st_mode & 0o777 == 0o600
        program.process.send_signal(signal.SIGTERM)

        assert program.process.wait(10) == 0
        assert not folder.exists()


def test_sigterm_ends_every_process_of_every_instance() -> None:
    with _running(*_forking()) as program:
        pids = program.pids(program.rent())
        program.process.send_signal(signal.SIGTERM)

        assert program.process.wait(15) == 0
        assert not any(_alive(pid) for pid in pids)


def test_nothing_outlives_a_simulator_that_is_killed() -> None:
    with _running(*_forking()) as program:
        folder = Path(program.told["state_dir"])
        pids = program.pids(program.rent())
        os.kill(program.process.pid, signal.SIGKILL)

        until(lambda: not any(_alive(pid) for pid in pids), what="the end of the processes")
        until(lambda: not folder.exists(), what="the removal of the directory")


def test_a_key_of_ones_own_and_a_directory_of_ones_own_are_kept(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("my-own-key\n")
    with _running("--api-key-file", str(key), "--state-dir", str(tmp_path / "state"), *_forking()) as program:
        program.pids(program.rent())
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(15)

    assert program.key == "my-own-key"
    assert list((tmp_path / "state" / "logs").iterdir())


def test_scripts_and_presets_are_read() -> None:
    with _running("--faults", "none", "--script", "search:rate_limited@1") as program:
        with pytest.raises(requests.HTTPError, match="429"):
            program.ask("POST", "/api/v0/bundles/", {})
        assert program.ask("POST", "/api/v0/bundles/", {"limit": 1})["offers"]


def test_the_command_of_the_readme_starts_a_market_whose_clock_runs_faster() -> None:
    with _running("--seed", "7", "--speed", "20000", "--faults", "typical") as program:
        first_s = program.ask("GET", "/_sim/bill")["now_s"]

        until(lambda: program.ask("GET", "/_sim/bill")["now_s"] > first_s + 600, what="ten minutes of the world")


def test_chances_images_and_latency_are_read() -> None:
    flags = ("--chance", "search:rate_limited=1", "--missing-image", CREATE["image"], "--latency", "0.01-0.02")
    with _running(*flags) as program, pytest.raises(requests.HTTPError, match="429"):
        program.ask("POST", "/api/v0/bundles/", {})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--script", "nonsense"], "--script"),
        (["--script", "search:nonsense@1"], "nonsense"),
        (["--script", "search:offer_gone_404@1"], "can only happen to"),
        (["--faults", "some"], "--faults"),
        (["--boot-speed", "0"], "--boot-speed"),
        (["--speed", "-1"], "--speed"),
        (["--year", "1999"], "--year"),
        (["--latency", "3-1"], "--latency"),
        (["--chance", "create:wrong_machine"], "--chance"),
        (["--chance", "search:wrong_machine=0.1"], "can only happen to"),
        (["--chance", "create:wrong_machine=1.5"], "between 0 and 1"),
        (["--boot-command", "x", "--boot-env", "A"], "--boot-env"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(flags)

    assert refused.value.code not in {0, None}
    assert said in f"{refused.value.code}{capsys.readouterr().err}"


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").touch()

    with pytest.raises(SystemExit, match="an account needs a key"):
        main(["--api-key-file", str(tmp_path / "key")])
