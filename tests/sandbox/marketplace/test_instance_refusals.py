"""What cannot be done to an instance, and how that is said."""

from __future__ import annotations

import pytest

from tests.sandbox.marketplace.shop import CREATE, Shop, told


@pytest.fixture
def shop() -> Shop:
    """A quiet market."""
    return Shop()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/v0/instances/abc/"),
        ("GET", "/api/v0/instances/12x/"),
        ("PUT", "/api/v0/instances/reboot/abc/"),
        ("PUT", "/api/v0/instances/recycle/99999999999999999999/"),
    ],
)
def test_a_word_for_an_id_is_refused_as_such(shop: Shop, method: str, path: str) -> None:
    reply = shop.ask(method, path, {})

    assert (reply.status, told(reply)["msg"]) == (400, "invalid instance_id")


def test_without_credit_several_are_not_started_and_a_code_of_its_own_says_so(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.world.exhaust_credit(shop.now_s)

    reply = shop.ask("PUT", "/api/v0/instances/", {"ids": [contract_id], "state": "running"})

    assert (reply.status, told(reply)["error"], told(reply)["msg"]) == (400, "insufficient_credit", "You lack credit.")


def test_a_bid_is_changed_to_at_most_32_dollars_a_gpu(shop: Shop) -> None:
    contract_id = shop.rent({"price": 1.0})
    path = f"/api/v0/instances/bid_price/{contract_id}/"

    assert shop.ask("PUT", path, {"price": 32.5}).status == 400
    assert shop.put(path, {"price": 32.0}) == {"success": True}


def test_a_container_that_is_being_made_cannot_be_made_anew(shop: Shop) -> None:
    contract_id = shop.rent()

    reply = shop.ask("PUT", f"/api/v0/instances/update_template/{contract_id}/", {"image": "vendor/other"})

    assert (reply.status, told(reply)["error"]) == (200, "invalid_id")
    assert shop.row(contract_id)["image_uuid"] == CREATE["image"]
