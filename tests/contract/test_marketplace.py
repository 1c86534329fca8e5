"""What `ports.Marketplace` promises, of the adapter that ships: over the simulated world in this process, and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from functions.ports import InstanceGone, MarketplaceBusy, MarketplaceRefused, MarketplaceThrottled, OfferGone
from sandbox.marketplace.faults import AnswerFault, Operation
from tests.contract.marketplaces import AUTOGROUP, PREFIX, Shop, in_process, over_http


@pytest.fixture(params=["in process", "http"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    yield from in_process() if request.param == "in process" else over_http()


def test_a_search_finds_offers_cheapest_first(shop: Shop) -> None:
    prices = [offer.running_micro_usd_per_hour for offer in shop.offers()]

    assert prices == sorted(prices)
    assert prices[0] > 0


def test_a_search_keeps_to_the_autogroup_s_conditions(shop: Shop) -> None:
    asked = replace(AUTOGROUP, search_params="num_gpus=2 verified=any", gpu_ram=20.0)
    found = shop.marketplace.search(asked)

    assert {offer.num_gpus for offer in found} == {2}
    assert all(shop.world.machines[offer.machine_id].hardware.gpu.ram_mb >= 20_000 for offer in found)


def test_a_larger_disk_costs_more(shop: Shop) -> None:
    small = {offer.offer_id: offer for offer in shop.offers()}
    large = shop.marketplace.search(replace(AUTOGROUP, disk_gb=40.0))

    assert all(offer.running_micro_usd_per_hour >= small[offer.offer_id].running_micro_usd_per_hour for offer in large)
    assert any(offer.stopped_micro_usd_per_hour > small[offer.offer_id].stopped_micro_usd_per_hour for offer in large)


def test_a_search_that_makes_no_sense_is_refused(shop: Shop) -> None:
    with pytest.raises(MarketplaceRefused, match="gpu_ram"):
        shop.marketplace.search(replace(AUTOGROUP, search_params="gpu_ram>much"))


def test_a_rented_instance_is_the_machine_and_the_price_that_were_offered(shop: Shop) -> None:
    offer = shop.offers()[0]
    instance = shop.shown(shop.rent(offer))

    assert instance.label == PREFIX + "w0-x"
    assert instance.machine_id == offer.machine_id
    assert abs(instance.running_micro_usd_per_hour - offer.running_micro_usd_per_hour) <= 2
    assert instance.wants_running


def test_a_rented_instance_comes_to_run(shop: Shop) -> None:
    instance_id = shop.rent()
    shop.wait_running(instance_id)

    assert not shop.shown(instance_id).failed


def test_an_offer_can_be_rented_once(shop: Shop) -> None:
    offer = shop.offers()[0]
    shop.rent(offer)

    with pytest.raises(OfferGone):
        shop.rent(offer)


@pytest.mark.parametrize("fault", [AnswerFault.OFFER_GONE_400, AnswerFault.OFFER_GONE_404, AnswerFault.OFFER_GONE_410])
def test_an_offer_that_is_gone_is_told_under_any_status(shop: Shop, fault: AnswerFault) -> None:
    shop.meets(Operation.CREATE, fault)

    with pytest.raises(OfferGone):
        shop.rent()


def test_a_rate_limit_on_a_create_has_rented_nothing(shop: Shop) -> None:
    shop.meets(Operation.CREATE, AnswerFault.RATE_LIMITED)

    with pytest.raises(MarketplaceThrottled):
        shop.rent()
    assert shop.marketplace.instances(PREFIX) == []


@pytest.mark.parametrize("fault", [AnswerFault.SERVER_ERROR_AFTER, AnswerFault.DROPPED_AFTER])
def test_a_create_whose_answer_is_lost_is_not_repeated_and_found_by_its_label(shop: Shop, fault: AnswerFault) -> None:
    shop.meets(Operation.CREATE, fault)

    with pytest.raises(MarketplaceBusy):
        shop.rent()
    assert [instance.label for instance in shop.marketplace.instances(PREFIX)] == [PREFIX + "w0-x"]


def test_a_contract_that_was_created_stopped_is_returned_and_wants_not_to_run(shop: Shop) -> None:
    shop.meets(Operation.CREATE, AnswerFault.CREATED_STOPPED)
    instance_id = shop.rent()

    assert not shop.shown(instance_id).running


def test_instances_are_told_apart_by_the_beginning_of_their_label(shop: Shop) -> None:
    offers = shop.offers()
    shop.rent(offers[0])
    shop.rent(offers[-1], label="headgate/test/other/w0-y")

    assert [instance.label for instance in shop.marketplace.instances(PREFIX)] == [PREFIX + "w0-x"]


def test_a_list_of_many_pages_is_read_to_its_end(shop: Shop) -> None:
    # Offers of one machine overlap, so one a machine.
    by_machine = {offer.machine_id: offer for offer in shop.offers()}
    rented = {shop.rent(offer, label=f"{PREFIX}w0-{number}") for number, offer in enumerate(list(by_machine.values())[:27])}

    assert len(rented) == 27
    assert {instance.instance_id for instance in shop.marketplace.instances(PREFIX)} == rented


def test_an_instance_that_does_not_exist_is_none(shop: Shop) -> None:
    assert shop.marketplace.instance(4_711) is None


def test_a_destroyed_instance_does_not_exist(shop: Shop) -> None:
    instance_id = shop.rent()
    shop.marketplace.destroy(instance_id)

    assert shop.marketplace.instance(instance_id) is None


@pytest.mark.parametrize("verb", ["destroy", "start", "stop"])
def test_asking_something_of_an_instance_that_is_gone_says_so(shop: Shop, verb: str) -> None:
    with pytest.raises(InstanceGone):
        getattr(shop.marketplace, verb)(4_711)


def test_a_stopped_instance_ends_and_can_be_started_again(shop: Shop) -> None:
    instance_id = shop.rent()
    shop.wait_running(instance_id)
    shop.marketplace.stop(instance_id)
    wants = shop.shown(instance_id).wants_running
    shop.wait_running(instance_id, running=False)
    started = shop.marketplace.start(instance_id)
    shop.wait_running(instance_id)

    assert not wants
    assert started


def test_a_start_whose_gpus_are_taken_is_queued(shop: Shop) -> None:
    instance_id = shop.rent()
    shop.wait_running(instance_id)
    shop.marketplace.stop(instance_id)
    shop.wait_running(instance_id, running=False)
    shop.meets(Operation.START, AnswerFault.RESOURCES_UNAVAILABLE)

    assert shop.marketplace.start(instance_id) is False


def test_without_credit_nothing_is_rented(shop: Shop) -> None:
    shop.act(lambda: shop.world.add_credit(-2_000.0, 0.0))

    with pytest.raises(MarketplaceRefused) as told:
        shop.rent()
    assert told.value.code == "missing_billing"


@pytest.mark.parametrize("operation", [Operation.LIST, Operation.SHOW, Operation.SEARCH])
def test_a_read_that_meets_a_rate_limit_is_repeated(shop: Shop, operation: Operation) -> None:
    instance_id = shop.rent()
    shop.meets(operation, AnswerFault.RATE_LIMITED)

    assert shop.offers()
    assert len(shop.marketplace.instances(PREFIX)) == 1
    assert shop.shown(instance_id).instance_id == instance_id


def test_a_list_that_fails_is_no_empty_list(shop: Shop) -> None:
    shop.meets(Operation.LIST, AnswerFault.SERVER_ERROR_BEFORE)

    with pytest.raises(MarketplaceBusy):
        shop.marketplace.instances(PREFIX)


def test_the_logs_of_an_instance_can_be_read(shop: Shop) -> None:
    assert isinstance(shop.marketplace.logs(shop.rent(), lines=10), str)
