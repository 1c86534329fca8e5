"""`make demo` and `make sandbox` as a person meets them: they end cleanly, whatever ends them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.running import Running
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(250)]

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


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands to paste are curl's")
def test_the_sandbox_serves_what_it_offers_to_paste_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with Running(tmp_path, "up") as sandbox:
        sandbox.await_line("generate_stream")
        sandbox.await_line("max_new_tokens")
        commands = "\n".join(line for line in sandbox.lines if not line.startswith(("The ", "Step ", "  r", "  m", "  A")))

        pasted = subprocess.run(["/bin/bash", "-c", commands], capture_output=True, text=True, timeout=90, check=False)
        assert '"generated_text":"' in pasted.stdout
        assert "no worker ready yet" in pasted.stdout

        processes = sandbox.descendants()
        sandbox.interrupt()
        status = sandbox.await_end()

        assert status == 0
        assert "Instances left on the marketplace: 0." in sandbox.output
        nothing_left(processes, tmp_path)
