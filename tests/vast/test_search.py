"""Searches: what is asked, what is asked again, and what is made of the rows, strange ones included."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.model import RentalType
from functions.ports import MarketplaceBusy, MarketplaceRefused
from tests.vast.scripted import AUTOGROUP, Scripted, adapter, offer_row

BIDDING = replace(AUTOGROUP, rental_type=RentalType.INTERRUPTIBLE, bid_factor=1.5, max_bid_micro_usd=310_000)


def offers(*rows: Any) -> Scripted:
    return Scripted(body={"offers": list(rows)})


def test_a_search_names_the_disk_that_prices_are_for() -> None:
    marketplace, session, _ = adapter(offers())
    marketplace.search(replace(AUTOGROUP, gpu_ram=24.0))
    body = session.body()

    assert (body["allocated_storage"], body["disk_space"], body["gpu_ram"]) == (20.0, {"gte": 20.0}, {"gte": 24_000.0})


def test_a_search_asks_for_the_best_value_first() -> None:
    marketplace, session, _ = adapter(offers())
    marketplace.search(AUTOGROUP)

    assert (session.body()["order"], session.body()["limit"]) == ([["dlperf_per_dphtotal", "desc"]], 256)


def test_an_autogroup_may_ask_for_another_order() -> None:
    marketplace, session, _ = adapter(offers())
    marketplace.search(replace(AUTOGROUP, search_order="dph,score-"))

    assert session.body()["order"] == [["dph_total", "asc"], ["score", "desc"]]


@pytest.mark.parametrize(
    ("rental_type", "spelled"),
    [(RentalType.ON_DEMAND, "on-demand"), (RentalType.INTERRUPTIBLE, "bid"), (RentalType.RESERVED, "reserved")],
)
def test_each_way_of_renting_is_searched_for_as_the_api_spells_it(rental_type: RentalType, spelled: str) -> None:
    marketplace, session, _ = adapter(offers())
    marketplace.search(replace(AUTOGROUP, rental_type=rental_type))

    assert session.body()["type"] == spelled


def test_a_query_may_be_the_filter_itself() -> None:
    marketplace, session, _ = adapter(offers())
    marketplace.search(replace(AUTOGROUP, search_params='{"gpu_name": {"in": ["RTX 4090"]}, "gpu_ram": {"gte": 24000}}'))

    assert (session.body()["gpu_name"], session.body()["gpu_ram"]) == ({"in": ["RTX 4090"]}, {"gte": 24_000})
    assert session.body()["verified"] == {"eq": True}


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"search_params": "gpu_ram>much"}, "invalid_search_params"), ({"search_order": "dph total"}, "invalid_search_order")],
)
def test_a_search_that_makes_no_sense_is_refused_before_it_is_asked(changes: dict[str, Any], code: str) -> None:
    marketplace, session, _ = adapter()

    with pytest.raises(MarketplaceRefused) as told:
        marketplace.search(replace(AUTOGROUP, **changes))
    assert (told.value.code, session.asked) == (code, [])


@pytest.mark.parametrize("count", [64, 256])
def test_an_answer_that_was_cut_off_is_asked_for_again_cheapest_first(count: int) -> None:
    first = [offer_row(id=number, dph_base=2.0) for number in range(1, count + 1)]
    marketplace, session, _ = adapter(offers(*first), offers(offer_row(id=9_999, dph_base=0.1), first[0]))
    found = marketplace.search(AUTOGROUP)

    assert session.body()["order"] == [["dph_total", "asc"]]
    assert (found[0].offer_id, len(found)) == (9_999, count + 1)


def test_the_second_half_of_a_cut_off_answer_may_fail() -> None:
    first = [offer_row(id=number) for number in range(1, 65)]
    marketplace, session, _ = adapter(offers(*first), Scripted(status=503, body=b""))

    assert len(marketplace.search(AUTOGROUP)) == 64
    assert len(session.asked) == 2


def test_an_answer_that_begins_with_the_cheapest_is_not_asked_for_again() -> None:
    marketplace, session, _ = adapter(offers(*(offer_row(id=number) for number in range(1, 65))))
    marketplace.search(replace(AUTOGROUP, search_order="dph_total"))

    assert len(session.asked) == 1


def test_a_price_is_rounded_up_to_the_micro_dollar_and_never_below_what_adds_up() -> None:
    low = offer_row(dph_base=0.1666666666666666667, dph_total=0.1)  # storage: 0.18 * 20 / 720 = 0.005
    marketplace, _, _ = adapter(offers(low))
    (offer,) = marketplace.search(AUTOGROUP)

    assert (offer.running_micro_usd_per_hour, offer.stopped_micro_usd_per_hour) == (171_667, 5_000)
    assert offer.bid_micro_usd_per_hour is None


def test_an_interruptible_offer_costs_our_bid_and_its_storage() -> None:
    marketplace, _, _ = adapter(offers(offer_row(min_bid=0.2)))
    (offer,) = marketplace.search(BIDDING)

    assert (offer.bid_micro_usd_per_hour, offer.running_micro_usd_per_hour) == (300_000, 305_000)


def test_a_bid_never_exceeds_the_most_that_we_are_ready_to_pay() -> None:
    marketplace, _, _ = adapter(offers(offer_row(min_bid=0.3), offer_row(id=2, min_bid=0.32)))

    assert [(offer.offer_id, offer.bid_micro_usd_per_hour) for offer in marketplace.search(BIDDING)] == [(1, 310_000)]


def test_a_row_priced_for_bids_is_no_offer_on_demand() -> None:
    marketplace, _, _ = adapter(offers(offer_row(is_bid=True)))

    assert marketplace.search(AUTOGROUP) == []


def test_offers_that_the_server_should_have_left_out_are_left_out_here() -> None:
    rows = [offer_row(), offer_row(id=2, num_gpus=2), offer_row(id=3, verification="unverified"), offer_row(id=4, rentable=False)]
    marketplace, _, _ = adapter(offers(*rows))

    assert [offer.offer_id for offer in marketplace.search(AUTOGROUP)] == [1]


STRANGE = [
    {"dph_total": None},
    {"machine_id": None},
    {"machine_id": -1},
    {"dph_base": -1.0, "dph_total": 0.0},
    {"dph_base": float("nan")},
    {"dph_base": float("inf")},
    {"dph_total": 1e300},
    {"storage_cost": -0.2},
    {"gpu_name": 7},
    {"gpu_name": " "},
    {"num_gpus": 0},
    {"num_gpus": 10**30},
    {"id": "no number"},
]


@pytest.mark.parametrize("broken", STRANGE, ids=str)
def test_an_offer_that_cannot_be_read_or_priced_is_left_out(broken: dict[str, Any]) -> None:
    marketplace, _, _ = adapter(offers(offer_row(**broken), offer_row(id=2)))

    assert [offer.offer_id for offer in marketplace.search(AUTOGROUP)] == [2]


def test_offers_that_cannot_be_read_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    marketplace, _, _ = adapter(offers(offer_row(), offer_row(id=None), "no row", None))
    with caplog.at_level(logging.WARNING):
        marketplace.search(AUTOGROUP)

    assert "search for a: 3 of 4 offers cannot be read" in caplog.text


def test_traffic_is_priced_by_the_gigabyte_and_a_term_has_an_end() -> None:
    row = offer_row(inet_down_cost=0.0026041666666666665, inet_up_cost=0.00390625, inet_down=718.1, duration=4798013.09)
    marketplace, _, _ = adapter(offers(row))
    (offer,) = marketplace.search(AUTOGROUP)

    assert (offer.down_micro_usd_per_gb, offer.up_micro_usd_per_gb) == (2_605, 3_907)
    assert (offer.down_mbit_per_s, offer.ends_in_s) == (718.1, 4798013.09)


def test_traffic_and_term_that_nobody_can_mean_are_not_said() -> None:
    row = offer_row(inet_down_cost=-1, inet_up_cost="free", inet_down=-1.8e12, duration=None)
    marketplace, _, _ = adapter(offers(row))
    (offer,) = marketplace.search(AUTOGROUP)

    assert (offer.down_micro_usd_per_gb, offer.up_micro_usd_per_gb, offer.down_mbit_per_s, offer.ends_in_s) == (0, 0, 0.0, None)


GARBAGE = {"dlperf": -1.8e12, "reliability": 7.0, "geolocation": None, "host_id": "x", "inet_up": -1.8e12, "gpu_max_temp": -5}


def test_garbage_in_an_offer_s_figures_does_no_harm() -> None:
    marketplace, _, _ = adapter(offers(offer_row(**GARBAGE)))
    (offer,) = marketplace.search(AUTOGROUP)

    assert (offer.dlperf, offer.reliability, offer.geolocation, offer.host_id) == (0.0, 1.0, "", 0)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), "fast", [1]])
def test_a_benchmark_that_is_no_number_is_none(number: Any) -> None:
    marketplace, _, _ = adapter(offers(offer_row(dlperf=number)))

    assert marketplace.search(AUTOGROUP)[0].dlperf == 0.0


def test_a_number_that_no_machine_can_hold_does_not_stall_the_search() -> None:
    row = b'{"id":1,"machine_id":2,"gpu_name":"x","num_gpus":1,"dph_base":1e999999999,"dph_total":0.1,"storage_cost":0.1}'
    marketplace, _, _ = adapter(Scripted(body=b'{"offers":[' + row + b"]}"))

    assert marketplace.search(AUTOGROUP) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ROWS = JSON | st.fixed_dictionaries({}, optional=dict.fromkeys([*offer_row(), "verification", "rentable", "disk_space"], JSON))


@given(st.lists(ROWS, max_size=4))
def test_no_row_breaks_a_search(rows: list[Any]) -> None:
    marketplace, _, _ = adapter(offers(*rows))

    assert len(marketplace.search(AUTOGROUP)) <= len(rows)


@pytest.mark.parametrize("body", [{}, {"offers": None}, {"offers": {}}])
def test_an_answer_without_offers_is_no_empty_market(body: dict[str, Any]) -> None:
    marketplace, _, _ = adapter(Scripted(body=body))

    with pytest.raises(MarketplaceBusy):
        marketplace.search(AUTOGROUP)
