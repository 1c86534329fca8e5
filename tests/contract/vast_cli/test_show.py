"""Looking at instances: pages, filters, tables, and the types that the CLI depends on."""

from __future__ import annotations

import json

import pytest

from tests.contract.vast_cli.market import Market


def _rent_three(shop: Market) -> list[int]:
    return [shop.rent("--label", label) for label in ("one", "two", "two")]


def test_raw_lists_every_instance_with_all_columns(shop: Market) -> None:
    ids = _rent_three(shop)

    rows = shop.raw("show instances")

    assert [row["id"] for row in rows] == ids
    assert {type(row["start_date"]) for row in rows} == {float}
    assert {type(row["extra_env"]) for row in rows} == {dict}
    assert {row["direct_port_start"] for row in rows} == {-1}


def test_the_table_shows_what_the_world_holds(shop: Market) -> None:
    contract_id = shop.rent_running("--label", "a-label")

    table = shop.said("show instances", "-v")

    hardware = shop.contract(contract_id).machine.hardware
    for shown in (
        f" {contract_id} ",
        " running ",
        " a-label ",
        f"1x {hardware.gpu.name}",
        "vendor/image:1",
        f" {hardware.machine_id} ",
    ):
        assert shown in table
    assert "Total: 1 instances" in table


def test_an_empty_account_says_so(shop: Market) -> None:
    assert "No instances found." in shop.said("show instances")


def test_pages_follow_each_other(shop: Market) -> None:
    ids = _rent_three(shop)

    first = shop.raw("show instances", "--limit", 2)
    second = shop.raw("show instances", "--limit", 2, "--next-token", first["next_token"])

    assert [row["id"] for row in first["instances"]] == ids[:2]
    assert [row["id"] for row in second["instances"]] == ids[2:]
    assert (first["total_instances"], second["next_token"]) == (3, None)


def test_more_than_a_page_is_fetched_to_the_end(shop: Market) -> None:
    offers = [row["id"] for row in shop.raw("search offers", "-n", "disk_space>=20", "--limit", 64)]
    shop.run("create instances", *offers, "--image", "vendor/image:1")

    listed = shop.said("show instances", "-q").split()

    assert len(listed) > 25
    assert {int(word) for word in listed} == shop.alive()


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (("--label", "two"), {1, 2}),
        (("--label", "one", "two"), {0, 1, 2}),
        (("--label", ""), set()),
        (("--status", "running"), set()),
        (("--gpu-name", "No Such"), set()),
        (("--order-by", "id desc"), {0, 1, 2}),
    ],
)
def test_a_filter_narrows_the_list(shop: Market, flags: tuple[str, ...], found: set[int]) -> None:
    ids = _rent_three(shop)

    listed = [int(word) for word in shop.said("show instances", "-q", *flags).split()]

    assert set(listed) == {ids[index] for index in found}
    assert listed == sorted(listed, reverse="id desc" in flags)


def test_the_former_name_of_the_list_still_works(shop: Market) -> None:
    contract_id = shop.rent()

    assert shop.said("show instances-v1", "-q").split() == [str(contract_id)]


def test_one_instance_as_a_table(shop: Market) -> None:
    contract_id = shop.rent_running()

    table = shop.said("show instance", contract_id)

    assert f" {contract_id} " in table
    assert " running " in table


def test_an_instance_that_is_gone_is_not_found(shop: Market) -> None:
    contract_id = shop.rent()
    shop.said("destroy instance", contract_id, "-y")

    shown = shop.run("show instance", contract_id)

    assert (shown.status, shown.err) == (1, f"Instance {contract_id} not found or no longer exists.\n")
    assert json.loads(shop.run("show instance", contract_id, "--raw").out) == {"instances": None}


def test_ssh_and_scp_addresses(shop: Market) -> None:
    contract_id = shop.rent_running("--ssh", "--direct")
    port = shop.contract(contract_id).ports["22/tcp"]

    assert shop.said("ssh-url", contract_id).strip() == f"ssh://root@127.0.0.1:{port}"
    assert shop.said("scp-url", contract_id).strip() == f"scp://root@127.0.0.1:{port}"


def test_ports_are_there_only_while_it_runs(shop: Market) -> None:
    contract_id = shop.stopped("--env", "-p 3000:3000")

    assert "ports" not in shop.raw("show instance", contract_id)


def test_addresses_come_stripped_out_of_the_list(shop: Market) -> None:
    shop.rent_running()

    (row,) = shop.raw("show instances")
    assert (row["public_ipaddr"], row["local_ipaddrs"]) == ("127.0.0.1", "172.17.0.1")
