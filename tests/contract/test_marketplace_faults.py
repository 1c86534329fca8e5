"""What `ports.Marketplace` promises when it goes wrong: no implementation is kinder than another, and none than reality."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.ports import MarketplaceBusy, MarketplaceRefused, MarketplaceThrottled, OfferGone
from sandbox.marketplace.faults import AnswerFault, Fate, FaultOptions, Operation, Span
from tests.contract.marketplaces import AUTOGROUP, BIDDING, LABEL, PREFIX, Shop

WIDE = replace(AUTOGROUP, search_params="verified=any", disk_gb=8.0)
# Each lasts for far longer than a test, however fast a world's clock runs.
LONG = Span(least_s=1e6, most_s=1e6)
LAG = FaultOptions(list_lag_share=1.0, list_lag=LONG)
OUTAGE = FaultOptions(outage=LONG, silence=LONG)


# Rents


@pytest.mark.parametrize("fault", [AnswerFault.OFFER_GONE_400, AnswerFault.OFFER_GONE_404, AnswerFault.OFFER_GONE_410])
def test_an_offer_that_is_gone_is_told_under_any_status(shop: Shop, fault: AnswerFault) -> None:
    shop.meets(Operation.CREATE, fault)

    with pytest.raises(OfferGone):
        shop.rent()
    assert shop.marketplace.instances(PREFIX) == []


@pytest.mark.parametrize("fault", [AnswerFault.RATE_LIMITED, AnswerFault.RATE_LIMITED_JSON])
def test_a_rate_limit_on_a_create_has_rented_nothing(shop: Shop, fault: AnswerFault) -> None:
    shop.meets(Operation.CREATE, fault)

    with pytest.raises(MarketplaceThrottled) as told:
        shop.rent()
    assert told.value.retry_after_s >= 4.5
    assert shop.marketplace.instances(PREFIX) == []


@pytest.mark.parametrize("fault", [AnswerFault.SERVER_ERROR_AFTER, AnswerFault.DROPPED_AFTER, AnswerFault.SLOW_ANSWER])
def test_a_create_whose_answer_is_lost_is_not_repeated_and_found_by_its_label(shop: Shop, fault: AnswerFault) -> None:
    shop.meets(Operation.CREATE, fault)

    with pytest.raises(MarketplaceBusy) as told:
        shop.rent()
    assert not isinstance(told.value, MarketplaceThrottled)
    assert [instance.label for instance in shop.marketplace.instances(PREFIX)] == [LABEL]


@pytest.mark.parametrize("fault", [AnswerFault.SERVER_ERROR_BEFORE, AnswerFault.DROPPED_BEFORE])
def test_a_create_that_never_arrived_is_told_no_differently(shop: Shop, fault: AnswerFault) -> None:
    shop.meets(Operation.CREATE, fault)

    with pytest.raises(MarketplaceBusy) as told:
        shop.rent()
    assert not isinstance(told.value, MarketplaceThrottled)
    assert shop.marketplace.instances(PREFIX) == []


def test_a_contract_that_was_created_stopped_is_returned_and_wants_not_to_run(shop: Shop) -> None:
    shop.meets(Operation.CREATE, AnswerFault.CREATED_STOPPED)
    instance = shop.shown(shop.rent())

    assert (instance.running, instance.wants_running) == (False, False)
    assert instance.stopped_micro_usd_per_hour > 0


def test_a_machine_other_than_the_one_asked_for_is_noticed(shop: Shop) -> None:
    offer = shop.offers()[0]
    shop.meets(Operation.CREATE, AnswerFault.WRONG_MACHINE)

    assert "as offered" in (shop.differs(shop.rent(offer), offer) or "")


def test_a_bid_that_was_dropped_is_noticed(shop: Shop) -> None:
    offer = shop.offers(BIDDING)[0]
    shop.meets(Operation.CREATE, AnswerFault.BID_IGNORED)

    assert shop.differs(shop.rent(offer, autogroup=BIDDING), offer) == "rented on demand although a bid was asked"


def test_a_bid_that_is_too_low_by_now_leaves_no_contract_behind(shop: Shop) -> None:
    low = replace(shop.offers(BIDDING)[-1], bid_micro_usd_per_hour=1_000)

    with pytest.raises(OfferGone):
        shop.rent(low, autogroup=BIDDING)
    assert shop.marketplace.instances(PREFIX) == []


def test_without_credit_nothing_is_rented(shop: Shop) -> None:
    shop.act(lambda: shop.world.add_credit(-2_000.0, 0.0))

    with pytest.raises(MarketplaceRefused) as told:
        shop.rent()
    assert told.value.code == "missing_billing"
    assert shop.marketplace.credit_micro_usd() < 0


# Instances


def test_whoever_is_outbid_is_stopped_and_a_higher_bid_brings_it_back(shop: Shop) -> None:
    instance_id = shop.rent_running(BIDDING)
    shop.strikes(instance_id, Fate.OUTBID)
    shop.wait_running(instance_id, running=False)
    outbid = shop.shown(instance_id)
    shop.marketplace.change_bid(instance_id, bid_micro_usd_per_hour=20_000_000)
    shop.wait_running(instance_id)

    assert (outbid.wants_running, outbid.failed) == (False, False)


def test_a_start_whose_gpus_are_taken_is_queued(shop: Shop) -> None:
    instance_id = shop.rent_running()
    shop.marketplace.stop(instance_id)
    shop.wait_running(instance_id, running=False)
    shop.meets(Operation.START, AnswerFault.RESOURCES_UNAVAILABLE)

    assert shop.marketplace.start(instance_id) is False
    assert shop.shown(instance_id).wants_running


def test_without_credit_nothing_is_started(shop: Shop) -> None:
    instance_id = shop.rent_running()
    shop.marketplace.stop(instance_id)
    shop.wait_running(instance_id, running=False)
    shop.meets(Operation.START, AnswerFault.CREDIT_EXHAUSTED)

    with pytest.raises(MarketplaceRefused) as told:
        shop.marketplace.start(instance_id)
    assert told.value.code == "missing_billing"


@pytest.mark.parametrize("fault", [AnswerFault.SERVER_ERROR_AFTER, AnswerFault.DROPPED_AFTER])
def test_a_destroy_whose_answer_is_lost_has_happened(shop: Shop, fault: AnswerFault) -> None:
    instance_id = shop.rent()
    shop.meets(Operation.DESTROY, fault)

    with pytest.raises(MarketplaceBusy):
        shop.marketplace.destroy(instance_id)
    assert shop.marketplace.instance(instance_id) is None


def test_a_host_that_goes_offline_is_a_failure(shop: Shop) -> None:
    instance_id = shop.rent_running()
    shop.faults(OUTAGE)
    shop.strikes(instance_id, Fate.GOES_OFFLINE)

    assert shop.shown(instance_id).failed


def test_a_host_that_falls_silent_still_runs_as_far_as_is_known(shop: Shop) -> None:
    instance_id = shop.rent_running()
    shop.faults(OUTAGE)
    shop.strikes(instance_id, Fate.GOES_SILENT)

    assert (shop.shown(instance_id).running, shop.shown(instance_id).failed) == (True, False)


@pytest.mark.parametrize("fate", [Fate.OCI_ERROR, Fate.DOCKER_ERROR, Fate.DOCKER_ERROR_EXITED])
def test_a_container_that_cannot_start_is_a_failure(shop: Shop, fate: Fate) -> None:
    shop.meets(Operation.CREATE, fate)
    instance_id = shop.rent()
    shop.wait_until(lambda: shop.shown(instance_id).failed)

    assert not shop.shown(instance_id).running


# Lists and searches


def test_a_list_may_lag_behind_a_create_and_the_instance_is_there(shop: Shop) -> None:
    shop.faults(LAG)
    instance_id = shop.rent()

    assert shop.marketplace.instances(PREFIX) == []
    assert shop.marketplace.instance(instance_id) is not None


def test_a_list_may_lag_behind_a_destroy_and_the_instance_is_gone(shop: Shop) -> None:
    instance_id = shop.rent()
    shop.faults(LAG)
    shop.marketplace.destroy(instance_id)

    assert [instance.instance_id for instance in shop.marketplace.instances(PREFIX)] == [instance_id]
    assert shop.marketplace.instance(instance_id) is None


def test_a_list_that_fails_is_no_empty_list(shop: Shop) -> None:
    shop.meets(Operation.LIST, AnswerFault.SERVER_ERROR_BEFORE)

    with pytest.raises(MarketplaceBusy):
        shop.marketplace.instances(PREFIX)


@pytest.mark.parametrize("operation", [Operation.LIST, Operation.SHOW, Operation.SEARCH, Operation.ACCOUNT])
@pytest.mark.parametrize("fault", [AnswerFault.RATE_LIMITED, AnswerFault.RATE_LIMITED_JSON])
def test_a_read_that_meets_a_rate_limit_is_repeated(shop: Shop, operation: Operation, fault: AnswerFault) -> None:
    instance_id = shop.rent()
    shop.meets(operation, fault)

    assert shop.offers()
    assert len(shop.marketplace.instances(PREFIX)) == 1
    assert shop.shown(instance_id).instance_id == instance_id
    assert shop.marketplace.credit_micro_usd() > 0


def test_a_filter_that_the_server_ignores_is_applied_all_the_same(shop: Shop) -> None:
    asked = replace(AUTOGROUP, search_params="num_gpus=2 verified=any inet_down>=300 dph_total<2")
    honest = [offer.offer_id for offer in shop.offers(asked)]
    for after in range(8):
        shop.meets(Operation.SEARCH, AnswerFault.FILTER_IGNORED, after=after)
    found = [[offer.offer_id for offer in shop.offers(asked)] for _ in range(8)]

    assert found == [honest] * 8


def test_an_answer_that_is_cut_off_still_holds_the_cheapest(shop: Shop) -> None:
    everything = [offer.offer_id for offer in shop.offers(WIDE)]
    for after in range(2):
        shop.meets(Operation.SEARCH, AnswerFault.SEARCH_CAPPED, after=after)
    found = [offer.offer_id for offer in shop.offers(WIDE)]

    assert len(everything) > 64
    assert found[:32] == everything[:32]


def test_a_used_up_quota_of_searches_stops_the_renting(shop: Shop) -> None:
    shop.meets(Operation.SEARCH, AnswerFault.SEARCH_QUOTA_EXCEEDED)

    with pytest.raises(MarketplaceRefused) as told:
        shop.offers()
    assert told.value.code == "search_quota_exceeded"
