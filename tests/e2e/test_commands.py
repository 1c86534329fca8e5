"""`make demo` and `make sandbox` as a person meets them: they end cleanly, whatever ends them."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
import requests

from tests.e2e.running import Running
from tests.waiting import until

pytestmark = pytest.mark.e2e

AT_ZERO = "Both endpoint groups are at zero"


def nothing_left(processes: list[psutil.Process], folder: Path) -> None:
    """Fail unless every process has gone and the temporary folder is empty."""
    until(lambda: not any(process.is_running() for process in processes), deadline_s=10)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("victim", "message"),
    [("sandbox.marketplace", "the marketplace simulator ended"), ("emulator_main.py", "the AWS emulator ended")],
)
def test_a_part_that_dies_ends_the_demo_with_its_name_and_leaves_nothing(tmp_path: Path, victim: str, message: str) -> None:
    facts = tmp_path / "facts.json"
    folder = tmp_path / "temporary"
    folder.mkdir()
    with Running(folder, "demo", "--json", str(facts)) as demo:
        demo.await_line(AT_ZERO)
        processes = demo.descendants()
        demo.child(victim).kill()
        status = demo.await_end()

        assert status == 1
        assert message in demo.output
        assert message in json.loads(facts.read_text())["failure"]
        nothing_left(processes, folder)


def test_the_sandbox_serves_a_pasted_request_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with Running(tmp_path, "up") as sandbox:
        url = sandbox.await_line("route URL").split()[-1]
        key = sandbox.await_line("API key").split()[-1]
        answer = requests.post(url, json={"endpoint": "llm", "cost": 8}, headers={"Authorization": f"Bearer {key}"}, timeout=10)
        assert answer.status_code == 200
        assert answer.json()["status"]

        processes = sandbox.descendants()
        sandbox.interrupt()
        status = sandbox.await_end()

        assert status == 0
        assert "Instances left on the marketplace: 0." in sandbox.output
        nothing_left(processes, tmp_path)
