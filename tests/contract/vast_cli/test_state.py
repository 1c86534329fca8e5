"""Starting, stopping, changing and destroying instances."""

from __future__ import annotations

from sandbox.marketplace.faults import AnswerFault, Operation
from sandbox.marketplace.lifecycle import Phase
from tests.contract.vast_cli.market import BOOTED_AFTER_S, Market


def test_stop_and_start(shop: Market) -> None:
    contract_id = shop.rent_running()

    assert shop.said("stop instance", contract_id) == f"stopping instance {contract_id}.\n"
    shop.wait(BOOTED_AFTER_S)
    assert shop.contract(contract_id).phase is Phase.STOPPED

    assert shop.said("start instance", contract_id) == f"starting instance {contract_id}.\n"
    shop.wait(BOOTED_AFTER_S)
    assert shop.contract(contract_id).phase is Phase.RUNNING


def test_a_start_without_free_gpus_is_queued_in_words(shop: Market) -> None:
    contract_id = shop.stopped()
    shop.act(lambda: shop.world.plan.script_next(Operation.START, AnswerFault.RESOURCES_UNAVAILABLE))

    told = shop.said("start instance", contract_id)

    assert told == "Required resources are currently unavailable, state change queued.\n"
    assert shop.contract(contract_id).phase is Phase.QUEUED


def test_several_are_stopped_started_and_destroyed_at_once(shop: Market) -> None:
    ids = [shop.rent_running(), shop.rent_running()]

    assert f"stopping instance {ids}." in shop.said("stop instances", *ids)
    shop.wait(BOOTED_AFTER_S)
    assert {shop.contract(contract_id).phase for contract_id in ids} == {Phase.STOPPED}

    assert f"starting instance {ids}." in shop.said("start instances", *ids)
    shop.wait(BOOTED_AFTER_S)
    assert {shop.contract(contract_id).phase for contract_id in ids} == {Phase.RUNNING}

    assert f"destroying instance {ids}." in shop.said("destroy instances", *ids, "-y")
    assert shop.alive() == set()


def test_destroy(shop: Market) -> None:
    contract_id = shop.rent()

    assert shop.said("destroy instance", contract_id, "-y") == f"destroying instance {contract_id}.\n"

    assert shop.alive() == set()
    assert shop.raw("show instances") == []


def test_destroying_twice_is_told_as_404(shop: Market) -> None:
    contract_id = shop.rent()
    shop.said("destroy instance", contract_id, "-y")

    told = shop.refused("destroy instance", contract_id, "-y")

    assert told == f"Failed with error 404: Instance {contract_id} not found."


def test_without_a_yes_nothing_is_destroyed(shop: Market) -> None:
    contract_id = shop.rent()

    assert "Aborted." in shop.said("destroy instance", contract_id)

    assert shop.alive() == {contract_id}


def test_reboot(shop: Market) -> None:
    contract_id = shop.rent_running()

    assert shop.said("reboot instance", contract_id) == f"Rebooting instance {contract_id}.\n"

    assert shop.contract(contract_id).phase is Phase.REBOOTING


def test_recycle(shop: Market) -> None:
    contract_id = shop.rent_running()

    assert shop.said("recycle instance", contract_id) == f"Recycling instance {contract_id}.\n"

    assert shop.contract(contract_id).phase is Phase.RECYCLING


def test_a_reboot_of_what_is_stopped_is_refused_with_success(shop: Market) -> None:
    contract_id = shop.stopped()

    assert shop.said("reboot instance", contract_id) == "Invalid instance id. Is the container started?\n"


def test_label(shop: Market) -> None:
    contract_id = shop.rent()

    assert shop.said("label instance", contract_id, "new name") == f"label for {contract_id} set to new name.\n"

    assert shop.contract(contract_id).label == "new name"


def test_change_bid(shop: Market) -> None:
    contract_id = shop.rent("--bid_price", "1")

    assert shop.said("change bid", contract_id, "--price", "2.5") == "Per gpu bid price changed\n"

    assert shop.contract(contract_id).tariff.gpu_micro_usd_per_hour == 2_500_000


def test_change_bid_without_a_price_takes_a_winning_one(shop: Market) -> None:
    contract_id = shop.rent("--bid_price", "0.001")

    shop.said("change bid", contract_id)

    contract = shop.contract(contract_id)
    assert contract.tariff.gpu_micro_usd_per_hour == contract.min_bid_micro_usd_per_hour
    assert contract.phase is not Phase.STOPPED


def test_an_on_demand_contract_has_no_bid(shop: Market) -> None:
    told = shop.refused("change bid", shop.rent(), "--price", "2")

    assert told == "Failed with error 400: Can't change price of on-demand contract."


def test_logs(shop: Market) -> None:
    contract_id = shop.rent_running()

    told = shop.said("logs", contract_id, "--daemon-logs", "--tail", 2)

    assert [line.split()[2] for line in told.split("\n") if line] == ["loading", "running"]
    assert "loading" not in shop.said("logs", contract_id, "--daemon-logs", "--filter", "running (running)")
