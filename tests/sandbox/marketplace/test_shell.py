"""The commands on a stopped instance's files: what they print, and that they stay inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.marketplace.errors import Refused
from sandbox.marketplace.processes import BootOptions
from sandbox.marketplace.shell import COMMAND_CHARS_MAX, read_command, run
from tests.sandbox.marketplace.serving import serving


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an instance's directory beside a secret that is not its own."""
    (tmp_path / "secret").write_text("s" * 3_000)
    root = tmp_path / "root"
    (root / "models").mkdir(parents=True)
    (root / "models" / "a.bin").write_text("a" * 2_000)
    (root / "notes.txt").write_text("n")
    (root / "way-out").symlink_to(tmp_path)
    return root


def _say(root: Path, text: str) -> str:
    return run(read_command(text), root)


def test_ls_lists_names(root: Path) -> None:
    assert _say(root, "ls") == "models\nnotes.txt\nway-out\n"
    assert _say(root, "ls /models") == "a.bin\n"
    assert _say(root, "ls -l models") == f"- {2_000:>12} a.bin\n"


def test_du_counts_what_is_below(root: Path) -> None:
    assert int(_say(root, "du models").split("\t")[0]) >= 2


def test_rm_removes_files_and_with_an_option_folders(root: Path) -> None:
    assert _say(root, "rm notes.txt") == ""
    assert _say(root, "rm models") == "rm: cannot remove 'models': Is a directory\n"
    assert _say(root, "rm -rf models") == ""

    assert _say(root, "ls") == "way-out\n"


@pytest.mark.parametrize("path", ["../secret", "/../secret", "way-out/secret", "models/../../secret", "nothing"])
def test_nothing_outside_is_seen_or_removed(root: Path, path: str) -> None:
    assert "No such file" in _say(root, f"ls {path}")
    assert "No such file" in _say(root, f"du {path}")
    assert "No such file" in _say(root, f"rm -r {path}")

    assert (root.parent / "secret").exists()


def test_the_whole_instance_is_not_removed(root: Path) -> None:
    assert "No such file" in _say(root, "rm -rf .")
    assert "No such file" in _say(root, "rm -rf /")

    assert (root / "notes.txt").exists()


@pytest.mark.parametrize("text", ["", "cat x", "echo; rm x", "rm", "ls 'open", None, 5, "ls " + "x" * COMMAND_CHARS_MAX])
def test_another_command_is_refused(text: object) -> None:
    with pytest.raises(Refused) as refused:
        read_command(text)

    assert refused.value.status == 400


async def test_a_stopped_instance_lists_the_files_of_its_process(tmp_path: Path) -> None:
    boot = BootOptions(command=("/bin/sh", "-c", "echo hi > made-by-it; sleep 60"), directory=tmp_path, stop_grace_s=0.1)
    async with serving(boot=boot) as caller:
        contract_id = await caller.rent()
        await caller.until_status(contract_id, "running")
        await caller.json("PUT", f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
        await caller.until_status(contract_id, "exited")

        answer = await caller.json("PUT", f"/api/v0/instances/command/{contract_id}/", {"command": "ls"})
        async with caller.session.get(answer["result_url"]) as response:
            assert await response.text() == "made-by-it\n"
