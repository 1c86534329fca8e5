"""The account: credit, bills, keys."""

from __future__ import annotations

import json
import time

import pytest

from tests.contract.vast_cli.market import KEY, Market

# The reports' window ends a week from now, since the world's clock is ahead of the CLI's.
LATER = str(int(time.time()) + 7 * 86_400)


def test_show_user_tells_the_credit(shop: Market) -> None:
    shop.rent_running()

    left = shop.act(lambda: shop.world.balance_micro_usd(shop.world.now_us / 1e6))
    user, table = shop.raw("show user"), shop.said("show user")

    assert user["credit"] == pytest.approx(left / 1e6, abs=1e-3)
    assert user["credit"] < 100.0
    assert f" {user['credit']:.2f} " in table


def test_charges_are_the_ledgers(shop: Market) -> None:
    contract_id = shop.rent_running("--label", "a-label")
    shop.said("destroy instance", contract_id, "-y")
    bill = shop.act(lambda: shop.world.ledger.contract_bill(contract_id, shop.world.now_us))

    (charge,) = shop.raw("show invoices-v1", "--charges", "-e", LATER, "-s", "1")["results"]

    assert (charge["source"], charge["amount"]) == (f"instance-{contract_id}", bill.total_micro_usd / 1e6)
    assert [item["amount"] for item in charge["items"]] == [
        cost / 1e6 for cost in (bill.gpu_micro_usd, bill.storage_micro_usd, bill.bandwidth_micro_usd)
    ]


@pytest.mark.parametrize("form", ["table", "tree"])
def test_charges_are_shown(shop: Market, form: str) -> None:
    contract_id = shop.rent_running()

    told = shop.said("show invoices-v1", "-c", "-f", form, "-v", "-e", LATER, "-s", "1")

    assert "Instance" in told
    assert str(contract_id) in told
    assert "Showing 1 of 1 results" in told


def test_charges_come_in_pages(shop: Market) -> None:
    ids = [shop.rent_running() for _ in range(3)]
    window = ("--charges", "-e", LATER, "-s", "1", "-l", 2)

    first = shop.raw("show invoices-v1", *window)
    second = shop.raw("show invoices-v1", *window, "-t", first["next_token"])

    assert {row["id"] for row in (*first["results"], *second["results"])} == set(ids)
    assert (first["count"], first["total"], second["next_token"]) == (2, 3, None)


def test_charges_of_other_kinds_are_none(shop: Market) -> None:
    shop.rent_running()

    assert shop.raw("show invoices-v1", "-c", "-ct", "serverless", "-e", LATER, "-s", "1")["results"] == []


def test_invoices_are_the_payments(shop: Market) -> None:
    shop.act(lambda: shop.world.add_credit(25, shop.world.now_us / 1e6))

    told = shop.said("show invoices-v1", "--invoices", "-e", LATER, "-s", "1")
    rows = shop.raw("show invoices-v1", "--invoices", "--latest-first", "-e", LATER, "-s", "1")["results"]

    assert [row["amount"] for row in rows] == [-25.0, -100.0]
    assert "$25.00" in told
    assert "$100.00" in told


def test_the_former_report_lists_payments_and_charges(shop: Market) -> None:
    contract_id = shop.rent_running()
    window = ("-s", "2020-01-01", "-e", "2100-01-01")

    rows = json.loads(shop.said("show invoices", "--raw", *window))
    table = shop.said("show invoices", *window)

    assert [row["amount"] for row in rows if row["type"] == "payment"] == ["100.000"]
    assert {row["instance_id"] for row in rows if row["type"] == "charge"} == {contract_id}
    assert f"Instance_{contract_id}_GPU_charge" in table
    assert "Current:  {'charges': " in table


def test_the_former_report_can_be_narrowed_to_a_label(shop: Market) -> None:
    labelled, other = shop.rent_running("--label", "mine"), shop.rent_running()

    table = shop.said("show invoices", "-s", "2020-01-01", "-e", "2100-01-01", "-c", "--instance_label", "mine")

    assert f"Instance_{labelled}_" in table
    assert f"Instance_{other}_" not in table


def test_payments_can_be_searched(shop: Market) -> None:
    shop.act(lambda: shop.world.add_credit(25, shop.world.now_us / 1e6))

    (row,) = shop.raw("search invoices", "amount_cents<3000")

    assert (row["amount_cents"], row["balance_before"], row["balance_after"]) == (2_500, 100.0, 125.0)


def test_an_account_without_machines_earns_nothing(shop: Market) -> None:
    assert shop.raw("show earnings")["per_machine"] == []


def test_a_wrong_key_is_told_as_such(shop: Market) -> None:
    ran = shop.cli.run("show", "user", "--url", shop.server.url, "--api-key", "wrong-key-0001")

    assert "Failed with error 401: Invalid user key" in ran.err
    assert "ends in ...0001" in ran.err


def test_an_instances_own_key_does_little(shop: Market) -> None:
    contract_id = shop.rent_running()
    key = shop.contract(contract_id).instance_key
    at = ("--url", shop.server.url, "--api-key", key)

    assert shop.cli.run("stop", "instance", str(contract_id), *at).out == f"stopping instance {contract_id}.\n"
    assert "401" in shop.cli.run("label", "instance", str(contract_id), "mine", *at).err
    assert "401" in shop.cli.run("show", "user", *at).err
    assert shop.contract(contract_id).label is None
    assert KEY not in shop.cli.run("show", "user", *at).err
