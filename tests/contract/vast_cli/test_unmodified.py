"""The installed `vastai` executable itself: no fork, no import of ours around it."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from pathlib import Path

from tests.contract.vast_cli.market import KEY, Market
from tests.contract.vast_cli.official import EXECUTABLE, isolated_environment


def _environment(home: Path, shop: Market) -> dict[str, str]:
    return isolated_environment(home, shop.server.url.replace("127.0.0.1", "localhost"))


def test_the_package_is_the_pinned_one() -> None:
    assert importlib.metadata.version("vastai") == "1.9.1"


def test_the_executable_runs_as_installed(shop: Market, tmp_path: Path) -> None:
    contract_id = shop.rent_running("--label", "a-label")

    ran = subprocess.run(
        [EXECUTABLE, "show", "instances", "--url", shop.server.url, "--raw"],
        env={**_environment(tmp_path, shop), "VAST_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert [(row["id"], row["label"], row["actual_status"]) for row in json.loads(ran.stdout)] == [
        (contract_id, "a-label", "running"),
    ]
    # It asked for the names of GPUs at its import, of the simulator and without a key.
    assert "RTX 4090" in (tmp_path / "cache" / "vastai" / "gpu_names_cache.json").read_text()
