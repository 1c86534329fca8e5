"""What else a create is refused for, what a template fills in, and the create that searches first."""

from __future__ import annotations

import pytest

from sandbox.marketplace.faults import AnswerFault, Operation
from tests.sandbox.marketplace.shop import CREATE, Json, Shop, told


@pytest.fixture
def shop() -> Shop:
    """A quiet market."""
    return Shop()


def _template(shop: Shop, **fields: object) -> str:
    """Create a template; return its hash."""
    made = shop.post("/api/v0/template/", {"name": "t", "image": "vendor/image", **fields})["template"]
    return str(made["hash_id"])


@pytest.mark.parametrize(
    ("fields", "runtype"),
    [
        ({"runtype": "ssh"}, "ssh_proxy"),
        ({"runtype": "ssh", "ssh_direct": True}, "ssh_direc ssh_proxy"),
        ({"runtype": "jupyter"}, "jupyter_proxy ssh_proxy"),
        ({"runtype": "jupyter", "jup_direct": True}, "jupyter_direc ssh_direc ssh_proxy"),
        ({"runtype": "args", "args_str": "--port 80"}, "args"),
    ],
)
def test_a_template_says_how_to_connect(shop: Shop, fields: Json, runtype: str) -> None:
    ask_id = shop.offers()[0]["id"]
    created = shop.put(f"/api/v0/asks/{ask_id}/", {"template_hash_id": _template(shop, **fields)})

    order = shop.world.contracts.live[created["new_contract"]].order
    assert order.runtype == runtype
    assert order.args == tuple(str(fields.get("args_str", "")).split())


def test_a_templates_disk_may_be_text(shop: Shop) -> None:
    ask_id = shop.offers()[0]["id"]
    created = shop.put(f"/api/v0/asks/{ask_id}/", {"template_hash_id": _template(shop, recommended_disk_space="12.5")})

    assert shop.row(created["new_contract"])["disk_space"] == 12.5


def test_a_refused_create_names_its_offer(shop: Shop) -> None:
    ask_id = shop.offers()[0]["id"]

    for number, body in ((1, CREATE), (ask_id, {**CREATE, "image": None})):
        assert told(shop.ask("PUT", f"/api/v0/asks/{number}/", body))["ask_id"] == number


def test_a_virtual_machine_needs_a_key_that_the_account_has_not(shop: Shop) -> None:
    reply = shop.ask("PUT", f"/api/v0/asks/{shop.offers()[0]['id']}/", {**CREATE, "vm": True})

    assert (reply.status, told(reply)["error"]) == (400, "no_ssh_key_for_vm")


def test_commands_have_a_limit_together(shop: Shop) -> None:
    path = f"/api/v0/asks/{shop.offers()[0]['id']}/"
    half = "x" * 2_100

    reply = shop.ask("PUT", path, {**CREATE, "onstart": half, "args": [half]})

    assert (reply.status, told(reply)["error"]) == (400, "invalid_args")
    assert shop.get("/api/v1/instances/")["total_instances"] == 0


def test_a_launch_meets_the_faults_of_a_create(shop: Shop) -> None:
    shop.world.plan.script_next(Operation.CREATE, AnswerFault.OFFER_GONE_410)

    reply = shop.ask("PUT", "/api/v0/launch_instance/", {**CREATE, "q": {"num_gpus": {"eq": 1}}})

    assert (reply.status, told(reply)["error"]) == (410, "no_such_ask")


def test_a_launch_of_nothing_is_told_with_success(shop: Shop) -> None:
    reply = shop.ask("PUT", "/api/v0/launch_instance/", {**CREATE, "q": {"num_gpus": {"eq": 99}}})

    assert (reply.status, told(reply)["success"], told(reply)["error"]) == (200, False, "offer_not_found")
