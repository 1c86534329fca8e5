"""The package's own classes, as a program uses them: VastAI, SyncClient, Serverless."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.vast_cli.market import KEY, Market

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
SERVERLESS = """
import asyncio, json, ssl, sys
from vastai import Serverless
from vastai.data.endpoint import EndpointConfig
from vastai.data.workergroup import WorkergroupConfig
url, key = sys.argv[1:]

async def main():
    client = Serverless(api_key=key, webserver_url=url, autoscaler_url=url)
    # Else it fetches the service's root certificate from the Internet first.
    client._ssl_context = ssl.create_default_context()
    async with client:
        made = await client.create_endpoint(EndpointConfig(endpoint_name="chat", min_load=2.0, max_workers=5))
        data = await client.fetch_endpoint(made.id)
        config = WorkergroupConfig(endpoint_id=made.id, search_params="gpu_ram>=8", launch_args="--image x")
        group = await client.create_workergroup(config)
        endpoint = await client.get_endpoint("chat")
        told = {
            "min_load": data.config.min_load,
            "opened": endpoint.name,
            "found": await client.find_workergroup_for_endpoint(made.id) == group,
            "workers": await client.get_endpoint_workers(endpoint),
            "updated": await client.update_workers(group),
        }
        await client.delete_workergroup(group)
        await client.delete_endpoint(made.id)
        print(json.dumps({**told, "left": len(await client.get_endpoints())}))

asyncio.run(main())
"""


def _told(script: str, shop: Market) -> dict[str, Any]:
    """Run a script, given the simulator's address and key; return the JSON that it prints."""
    ran = shop.cli.script(script, shop.server.url, KEY)
    assert ran.status == 0, str(ran)
    told: dict[str, Any] = json.loads(ran.out)
    return told


def test_the_packages_classes_work(shop: Market) -> None:
    told = _told(CLASSES, shop)

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


def test_the_serverless_client_reads_and_writes_the_records(shop: Market) -> None:
    assert _told(SERVERLESS, shop) == {
        "min_load": 2.0,
        "opened": "chat",
        "found": True,
        "workers": [],
        "updated": {"success": True, "workers_to_update": 0, "cancelled": False},
        "left": 0,
    }
