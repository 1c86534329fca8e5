"""The installed `vastai` executable itself, and the package's classes: no fork, no import of ours around them."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from pathlib import Path

from tests.contract.vast_cli.market import KEY, Market
from tests.contract.vast_cli.official import EXECUTABLE, isolated_environment

CLASSES = """
import json, sys
from vastai import VastAI
from vastai.data.query import Query
from vastai.sync.client import SyncClient
url, key = sys.argv[1:]
sdk = VastAI(api_key=key, server_url=url)
offers = sdk.search_offers(query="num_gpus=1 disk_space>=40", order="dph_total", limit=2)
created = sdk.create_instance(id=offers[0]["id"], image="vendor/image:1", disk=20, label="from-the-sdk", env="-e A=b")
number = created["new_contract"]
sdk.label_instance(id=number, label="renamed")
endpoint = sdk.create_endpoint(endpoint_name="chat", cold_workers=0)["result"]
sync = SyncClient(api_key=key, vast_server=url)
found = sync.search(Query({"num_gpus": {"eq": 1}}), limit=3)
listed = sync.show_instances()
print(json.dumps({
    "id": number,
    "shown": sdk.show_instance(id=number)["label"],
    "listed": [each["id"] for each in sdk.show_instances()],
    "credit": sdk.show_user()["credit"],
    "endpoints": [each["endpoint_name"] for each in sdk.show_endpoints()],
    "workers": sdk.get_endpoint_workers(id=endpoint),
    "found": len(found),
    "typed": [(each.id, each.label, each.num_gpus) for each in listed],
}))
sync.destroy_instance(number)
"""


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


def test_the_packages_classes_work(shop: Market, tmp_path: Path) -> None:
    python = EXECUTABLE.with_name("python")

    ran = subprocess.run(
        [python, "-c", CLASSES, shop.server.url, KEY],
        env=_environment(tmp_path, shop),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    contract_id = told["id"]
    assert told == {
        "id": contract_id,
        "shown": "renamed",
        "listed": [contract_id],
        "credit": told["credit"],
        "endpoints": ["chat"],
        "workers": [],
        "found": 3,
        "typed": [[contract_id, "renamed", 1]],
    }
    assert shop.alive() == set()
