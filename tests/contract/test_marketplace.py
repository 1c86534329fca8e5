"""What `ports.Marketplace` promises while all goes well: of the adapter that ships, twice, and of the fake in unit tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.model import RentalType
from functions.ports import InstanceGone, MarketplaceRefused, OfferGone
from tests.contract.marketplaces import AUTOGROUP, BIDDING, LABEL, PREFIX, Shop

UNKNOWN = 4_711


def test_a_search_finds_offers_cheapest_first(shop: Shop) -> None:
    prices = [offer.running_micro_usd_per_hour for offer in shop.offers()]

    assert prices == sorted(prices)
    assert prices[0] > 0


def test_a_search_keeps_to_the_autogroup_s_conditions(shop: Shop) -> None:
    found = shop.offers(replace(AUTOGROUP, search_params="num_gpus=2 verified=any", gpu_ram=20.0))

    assert {offer.num_gpus for offer in found} == {2}
    assert all(shop.world.machines[offer.machine_id].hardware.gpu.ram_mb >= 20_000 for offer in found)


def test_a_query_in_json_finds_what_the_same_query_in_words_finds(shop: Shop) -> None:
    words = shop.offers(replace(AUTOGROUP, search_params="num_gpus=2 verified=any gpu_ram>=20"))
    filters = '{"num_gpus": {"eq": 2}, "verified": {"eq": "any"}, "gpu_ram": {"gte": 20000}}'

    assert [offer.offer_id for offer in shop.offers(replace(AUTOGROUP, search_params=filters))] == [one.offer_id for one in words]


def test_a_larger_disk_costs_more(shop: Shop) -> None:
    small = {offer.offer_id: offer for offer in shop.offers()}
    large = shop.offers(replace(AUTOGROUP, disk_gb=40.0))

    assert all(offer.running_micro_usd_per_hour >= small[offer.offer_id].running_micro_usd_per_hour for offer in large)
    assert any(offer.stopped_micro_usd_per_hour > small[offer.offer_id].stopped_micro_usd_per_hour for offer in large)


def test_an_interruptible_offer_is_priced_at_our_bid(shop: Shop) -> None:
    least = {offer.offer_id: offer.bid_micro_usd_per_hour or 0 for offer in shop.offers(replace(BIDDING, bid_factor=1.0))}
    found = {offer.offer_id: offer for offer in shop.offers(BIDDING)}
    bids = {offer_id: offer.bid_micro_usd_per_hour or 0 for offer_id, offer in found.items()}

    assert found.keys() == {offer.offer_id for offer in shop.offers()}
    assert all(abs(bids[offer_id] - 1.2 * bid) <= 2 for offer_id, bid in least.items())
    assert all(one.running_micro_usd_per_hour == bids[key] + one.stopped_micro_usd_per_hour for key, one in found.items())


def test_an_offer_whose_least_bid_is_above_our_most_is_left_out(shop: Shop) -> None:
    middle = sorted(offer.bid_micro_usd_per_hour or 0 for offer in shop.offers(BIDDING))[10]
    found = shop.offers(replace(BIDDING, max_bid_micro_usd=middle))

    assert 10 <= len(found) < len(shop.offers(BIDDING))
    assert all((offer.bid_micro_usd_per_hour or 0) <= middle for offer in found)


def test_reserved_offers_can_be_searched_for(shop: Shop) -> None:
    assert shop.offers(replace(AUTOGROUP, rental_type=RentalType.RESERVED))[0].bid_micro_usd_per_hour is None


@pytest.mark.parametrize("changes", [{"search_params": "gpu_ram>much"}, {"search_order": "no column"}], ids=["query", "order"])
def test_a_search_that_makes_no_sense_is_refused(shop: Shop, changes: dict[str, str]) -> None:
    with pytest.raises(MarketplaceRefused):
        shop.offers(replace(AUTOGROUP, **changes))  # type: ignore[arg-type] # two of the fields that are texts


def test_a_rented_instance_is_the_machine_and_the_price_that_were_offered(shop: Shop) -> None:
    offer = shop.offers()[0]
    instance_id = shop.rent(offer)
    instance = shop.shown(instance_id)

    assert (instance.label, instance.machine_id, instance.num_gpus) == (LABEL, offer.machine_id, offer.num_gpus)
    assert (instance.gpu_name, instance.interruptible, instance.wants_running) == (offer.gpu_name, False, True)
    assert abs(instance.running_micro_usd_per_hour - offer.running_micro_usd_per_hour) <= 2
    assert shop.differs(instance_id, offer) is None


def test_an_instance_that_was_rented_by_a_bid_costs_the_bid(shop: Shop) -> None:
    offer = shop.offers(BIDDING)[0]
    instance_id = shop.rent(offer, autogroup=BIDDING)
    instance = shop.shown(instance_id)

    assert instance.interruptible is True
    assert abs(instance.running_micro_usd_per_hour - offer.running_micro_usd_per_hour) <= 2
    assert shop.differs(instance_id, offer) is None


def test_a_rented_instance_comes_to_run(shop: Shop) -> None:
    assert not shop.shown(shop.rent_running()).failed


def test_an_offer_can_be_rented_once(shop: Shop) -> None:
    offer = shop.offers()[0]
    shop.rent(offer)

    with pytest.raises(OfferGone):
        shop.rent(offer)


def test_a_create_that_can_never_succeed_is_refused(shop: Shop) -> None:
    with pytest.raises(MarketplaceRefused):
        shop.rent(autogroup=replace(AUTOGROUP, launch_args="--disk 5"))


def test_instances_are_told_apart_by_the_beginning_of_their_label(shop: Shop) -> None:
    offers = shop.offers()
    shop.rent(offers[0])
    shop.rent(offers[-1], label="headgate/test/other/w0-y")

    assert [instance.label for instance in shop.marketplace.instances(PREFIX)] == [LABEL]


def test_an_instance_is_found_by_the_label_that_it_was_given_last(shop: Shop) -> None:
    instance_id = shop.rent(label="somebody else's")
    before = shop.marketplace.instances(PREFIX)
    shop.marketplace.label(instance_id, PREFIX + "w0-y")

    assert before == []
    assert [instance.label for instance in shop.marketplace.instances(PREFIX)] == [PREFIX + "w0-y"]


def test_a_list_of_many_pages_is_read_to_its_end(shop: Shop) -> None:
    # Offers of one machine overlap, so one a machine.
    by_machine = {offer.machine_id: offer for offer in shop.offers()}
    rented = {shop.rent(offer, label=f"{PREFIX}w0-{number}") for number, offer in enumerate(list(by_machine.values())[:27])}

    assert len(rented) == 27
    assert {instance.instance_id for instance in shop.marketplace.instances(PREFIX)} == rented


def test_an_instance_that_does_not_exist_is_none(shop: Shop) -> None:
    assert shop.marketplace.instance(UNKNOWN) is None


def test_a_destroyed_instance_does_not_exist(shop: Shop) -> None:
    instance_id = shop.rent()
    shop.marketplace.destroy(instance_id)

    assert shop.marketplace.instance(instance_id) is None


def test_several_are_destroyed_at_once_whichever_of_them_exist(shop: Shop) -> None:
    rented = [shop.rent(offer) for offer in shop.offers()[:3]]
    shop.marketplace.destroy_all([*rented, UNKNOWN])

    assert [shop.marketplace.instance(each) for each in rented] == [None, None, None]


def test_destroying_several_again_confirms_that_none_exists(shop: Shop) -> None:
    rented = [shop.rent(offer) for offer in shop.offers()[:2]]
    shop.marketplace.destroy_all(rented)

    with pytest.raises(InstanceGone):
        shop.marketplace.destroy_all(rented)


@pytest.mark.parametrize("verb", ["destroy", "start", "stop", "reboot", "recycle"])
def test_asking_something_of_an_instance_that_is_gone_says_so(shop: Shop, verb: str) -> None:
    with pytest.raises(InstanceGone):
        getattr(shop.marketplace, verb)(UNKNOWN)


def test_labels_bids_and_logs_of_an_instance_that_is_gone_say_so(shop: Shop) -> None:
    with pytest.raises(InstanceGone):
        shop.marketplace.label(UNKNOWN, "x")
    with pytest.raises(InstanceGone):
        shop.marketplace.change_bid(UNKNOWN, bid_micro_usd_per_hour=100_000)
    with pytest.raises(InstanceGone):
        shop.marketplace.logs(UNKNOWN, lines=1)


def test_a_stopped_instance_ends_and_can_be_started_again(shop: Shop) -> None:
    instance_id = shop.rent_running()
    shop.marketplace.stop(instance_id)
    wants = shop.shown(instance_id).wants_running
    shop.wait_running(instance_id, running=False)
    started = shop.marketplace.start(instance_id)
    shop.wait_running(instance_id)

    assert not wants
    assert started


@pytest.mark.parametrize("verb", ["reboot", "recycle"])
def test_an_instance_that_is_made_anew_runs_again_and_is_the_same(shop: Shop, verb: str) -> None:
    instance_id = shop.rent_running()
    getattr(shop.marketplace, verb)(instance_id)
    paused = shop.shown(instance_id)
    shop.wait_running(instance_id)

    assert paused.wants_running
    assert shop.shown(instance_id).label == LABEL


@pytest.mark.parametrize("verb", ["reboot", "recycle"])
def test_what_does_not_run_cannot_be_made_anew(shop: Shop, verb: str) -> None:
    instance_id = shop.rent_running()
    shop.marketplace.stop(instance_id)
    shop.wait_running(instance_id, running=False)

    with pytest.raises(MarketplaceRefused) as told:
        getattr(shop.marketplace, verb)(instance_id)
    assert told.value.code == "invalid_id"


def test_another_bid_is_another_price(shop: Shop) -> None:
    offer = shop.offers(BIDDING)[0]
    instance_id = shop.rent(offer, autogroup=BIDDING)
    before = shop.shown(instance_id).running_micro_usd_per_hour
    shop.marketplace.change_bid(instance_id, bid_micro_usd_per_hour=(offer.bid_micro_usd_per_hour or 0) + 100_000)

    assert abs(shop.shown(instance_id).running_micro_usd_per_hour - before - 100_000) <= 2


def test_nothing_is_bid_for_what_was_rented_on_demand(shop: Shop) -> None:
    with pytest.raises(MarketplaceRefused):
        shop.marketplace.change_bid(shop.rent(), bid_micro_usd_per_hour=1_000_000)


def test_the_logs_of_an_instance_can_be_read(shop: Shop) -> None:
    assert isinstance(shop.marketplace.logs(shop.rent(), lines=10), str)


def test_the_account_s_credit_is_what_was_paid_in_less_what_was_used(shop: Shop) -> None:
    before = shop.marketplace.credit_micro_usd()
    shop.rent_running()
    shop.wait_until(lambda: shop.marketplace.credit_micro_usd() < before)

    assert before == 1_000_000_000
