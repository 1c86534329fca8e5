"""`create instance`: what the CLI's flags say is what the world rents."""

from __future__ import annotations

import pytest

from sandbox.marketplace.lifecycle import Phase
from tests.contract.vast_cli.market import BOOTED_AFTER_S, Market


def test_the_flags_become_the_order(shop: Market) -> None:
    env = "-e COLOUR=blue -p 8000:8000 -p 8081:8081/udp -h billy"
    contract_id = shop.rent("--env", env, "--label", "a-label", "--onstart-cmd", "echo hi", "--ssh", "--direct")

    order = shop.contract(contract_id).order
    assert (order.image, order.label, order.onstart) == ("vendor/image:1", "a-label", "echo hi")
    assert order.runtype == "ssh_direc ssh_proxy"
    assert order.disk_mb == 20_000
    assert dict(order.flags.variables) == {"COLOUR": "blue"}
    assert {port.key for port in order.ports} == {"8000/tcp", "8081/udp", "22/tcp"}
    assert order.flags.hostname == "billy"


def test_without_raw_it_prints_the_contract(shop: Market) -> None:
    told = shop.run("create instance", shop.offer(), "--image", "vendor/image:1")

    (contract_id,) = shop.alive()
    assert f"'new_contract': {contract_id}" in told.out
    assert told.out.startswith("Started. {'success': True")


@pytest.mark.parametrize(
    ("flags", "runtype"),
    [
        ((), "ssh"),
        (("--ssh",), "ssh_proxy"),
        (("--jupyter",), "jupyter_proxy ssh_proxy"),
        (("--jupyter", "--direct"), "jupyter_direc ssh_direc ssh_proxy"),
        (("--args", "--port", "8000"), "args"),
    ],
)
def test_the_way_to_connect_is_taken_over(shop: Market, flags: tuple[str, ...], runtype: str) -> None:
    contract_id = shop.rent(*flags)

    assert shop.contract(contract_id).order.runtype == runtype


def test_arguments_reach_the_image(shop: Market) -> None:
    contract_id = shop.rent("--onstart-cmd", "serve", "--args", "--model", "a model")

    order = shop.contract(contract_id).order
    assert (order.args, order.onstart) == (("--model", "a model"), "serve")


def test_a_bid_rents_interruptible(shop: Market) -> None:
    contract_id = shop.rent("--bid_price", "5")

    contract = shop.contract(contract_id)
    assert (contract.is_bid, contract.tariff.gpu_micro_usd_per_hour) == (True, 5_000_000)


def test_a_bid_that_is_too_low_leaves_a_stopped_contract(shop: Market) -> None:
    created = shop.raw("create instance", shop.offer(), "--image", "vendor/image:1", "--bid_price", "0.001")

    assert created["success"] is False
    assert shop.contract(created["new_contract"]).phase is Phase.STOPPED


def test_with_cancel_unavail_a_bid_that_is_too_low_leaves_nothing(shop: Market) -> None:
    flags = ("--image", "vendor/image:1", "--bid_price", "0.001", "--cancel-unavail")
    told = shop.refused("create instance", shop.offer(), *flags)

    assert "error 410/3907: no_such_ask" in told
    assert shop.alive() == set()


def test_an_offer_can_be_accepted_once(shop: Market) -> None:
    ask_id = shop.offer()
    shop.said("create instance", ask_id, "--image", "vendor/image:1", "--raw")

    told = shop.refused("create instance", ask_id, "--image", "vendor/image:1", "--cancel-unavail")

    assert "no_such_ask" in told
    assert len(shop.alive()) == 1


def test_an_unknown_offer_is_refused_in_the_documented_words(shop: Market) -> None:
    told = shop.refused("create instance", 1, "--image", "vendor/image:1")

    assert told == "Failed with error 404: error 404/3603: no_such_ask Instance type by id 1 is not available."


def test_a_template_supplies_what_the_flags_leave_out(shop: Market) -> None:
    shop.said(
        "create template", "--name", "t", "--image", "vendor/other", "--image_tag", "2", "--env", "-e A=b -p 3000:3000", "--ssh"
    )
    template = shop.raw("search templates")[0]

    created = shop.raw("create instance", shop.offer(), "--template_hash", template["hash_id"], "--env", "-e C=d")

    order = shop.contract(created["new_contract"]).order
    assert order.image == "vendor/other:2"
    assert dict(order.flags.variables) == {"A": "b", "C": "d"}
    assert "3000/tcp" in {port.key for port in order.ports}


def test_several_are_created_at_once(shop: Market) -> None:
    offers = [row["id"] for row in shop.raw("search offers", "num_gpus=1 disk_space>=40", "-o", "dph_total")]
    machines = {row["id"]: row["machine_id"] for row in shop.raw("search offers", "num_gpus=1 disk_space>=40")}
    # Two offers of one machine overlap, so that accepting one takes the other away.
    apart = {machines[ask_id]: ask_id for ask_id in offers}.values()

    told = shop.said("create instances", *list(apart)[:3], "--image", "vendor/image:1", "--label", "three")

    assert "'created': [" in told
    assert {shop.contract(contract_id).label for contract_id in shop.alive()} == {"three"}
    assert len(shop.alive()) == 3


def test_launch_rents_the_first_hit_of_a_search(shop: Market) -> None:
    name, count = shop.raw("search offers", "num_gpus=1 disk_space>=40")[0]["gpu_name"].replace(" ", "_"), "1"

    told = shop.said("launch instance", "-g", name, "-n", count, "-i", "vendor/image:1", "-d", 20, "--label", "launched")

    (contract_id,) = shop.alive()
    contract = shop.contract(contract_id)
    assert f"Instance launched successfully: {contract_id}" in told
    assert (contract.machine.hardware.gpu.name.replace(" ", "_"), contract.label) == (name, "launched")


def test_launch_says_when_nothing_is_found(shop: Market) -> None:
    told = shop.said("launch instance", "-g", "RTX_3090", "-n", "14", "-i", "vendor/image:1")

    assert "Failed to launch instance: offer_not_found" in told
    assert shop.alive() == set()


def test_the_container_runs_with_what_was_asked(shop: Market) -> None:
    contract_id = shop.rent("--env", "-p 3000:3000")
    shop.wait(BOOTED_AFTER_S)

    row = shop.raw("show instance", contract_id)
    assert row["ports"]["3000/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": str(shop.contract(contract_id).ports["3000/tcp"])}]  # noqa: S104 - as docker says it
