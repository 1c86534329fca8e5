"""`search offers`: what the CLI asks in its query language is what it gets, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.marketplace.offers import Pricing
from tests.contract.vast_cli.market import Market

Row = dict[str, Any]
EVERYTHING = ("-n", "--limit", "3000")


def _world(shop: Market) -> dict[int, Row]:
    """Return the world's own offers, priced for 5 GiB, by id."""
    now_s = shop.world.now_us / 1e6
    rows = [json.loads(offer.row_json(Pricing(), now_s=now_s)) for offer in shop.act(lambda: list(shop.world.book))]
    return {row["id"]: row for row in rows}


def test_raw_prints_every_column_of_the_worlds_own_offers(shop: Market) -> None:
    rows, of_world = shop.raw("search offers", *EVERYTHING), _world(shop)

    assert {row["id"] for row in rows} == set(of_world)
    for row in rows:
        assert row == {**of_world[row["id"]], "duration": row["duration"]}


def test_the_table_shows_an_offer_a_line(shop: Market) -> None:
    rows = shop.raw("search offers", "-n", "--limit", 4)

    table = shop.said("search offers", "-n", "--limit", 4)

    assert "cpu_ghz" in table
    assert "Max_Days" in table
    for row in rows:
        assert f" {row['id']} " in table
        assert f" {row['gpu_name'].replace(' ', '_')} " in table


def test_by_default_everything_found_is_verified_and_rentable(shop: Market) -> None:
    rows = shop.raw("search offers", "--limit", 3_000)

    assert {row["id"] for row in rows} == {row["id"] for row in _world(shop).values() if row["verification"] == "verified"}
    assert {row["rentable"] for row in rows} == {True}


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("gpu_name=RTX_3090", lambda row: row["gpu_name"] == "RTX 3090"),
        ("gpu_name in [RTX_4090,RTX_3090]", lambda row: row["gpu_name"] in {"RTX 4090", "RTX 3090"}),
        ('gpu_name in ["RTX 4090", "RTX 3090"]', lambda row: row["gpu_name"] in {"RTX 4090", "RTX 3090"}),
        ("gpu_name notin [RTX_4090,RTX_3090]", lambda row: row["gpu_name"] not in {"RTX 4090", "RTX 3090"}),
        ("geolocation notin [CN,US]", lambda row: row["geolocation"][-2:] not in {"CN", "US"}),
        ("geolocation in [US,CA]", lambda row: row["geolocation"][-2:] in {"US", "CA"}),
        ("num_gpus=2", lambda row: row["num_gpus"] == 2),
        ("num_gpus>=2 num_gpus<8", lambda row: 2 <= row["num_gpus"] < 8),
        ("num_gpus!=1", lambda row: row["num_gpus"] != 1),
        ("reliability>0.99", lambda row: row["reliability"] > 0.99),
        ("gpu_ram>=20", lambda row: row["gpu_ram"] >= 20_000),
        ("dph<0.3", lambda row: row["dph_total"] < 0.3),
        ("duration>30", lambda row: row["duration"] > 30 * 86_400),
        ("driver_version>=545.00.00", lambda row: (row["driver_vers"] or 0) >= 545_000_000),
        ("static_ip=true", lambda row: row["static_ip"] is True),
        ("datacenter=true", lambda row: row["hosting_type"] == 1),
        ("cuda_vers>=12.5", lambda row: row["cuda_max_good"] >= 12.5),
        ("direct_port_count gte 100", lambda row: row["direct_port_count"] >= 100),
    ],
)
def test_a_filter_finds_some_and_only_what_it_says(shop: Market, query: str, holds: Callable[[Row], bool]) -> None:
    found = shop.raw("search offers", *EVERYTHING, query)

    of_world = _world(shop)
    assert {row["id"] for row in found} == {ask_id for ask_id, row in of_world.items() if holds(row)}
    assert 0 < len(found) < len(of_world)


def test_any_removes_a_default_filter(shop: Market) -> None:
    rows = shop.raw("search offers", "verified=any", "--limit", 3_000)

    assert {row["verification"] for row in rows} > {"verified"}


def test_the_order_is_the_one_asked_for(shop: Market) -> None:
    rising = [row["dph_total"] for row in shop.raw("search offers", "-n", "-o", "dph")]
    falling = [(row["num_gpus"], -row["dph_total"]) for row in shop.raw("search offers", "-n", "-o", "num_gpus-,dph_total")]

    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_a_bid_search_prices_offers_at_their_least_bid(shop: Market) -> None:
    for flag in ("-b", "-i", "--type=bid", "--type=interruptible"):
        rows = shop.raw("search offers", "-n", flag, "--limit", 3)
        assert all((row["is_bid"], row["dph_base"]) == (True, row["min_bid"]) for row in rows)


def test_a_reserved_search_has_a_table_of_its_own(shop: Market) -> None:
    table = shop.said("search offers", "-n", "-r", "--limit", 2)

    assert "VRAM" not in table
    assert f"{shop.raw('search offers', '-n', '-r', '--limit', 1)[0]['discounted_dph_total']:.4f}" in table


def test_prices_are_for_the_disk_asked_for(shop: Market) -> None:
    for row in shop.raw("search offers", "-n", "--storage", 100):
        assert row["dph_total"] == pytest.approx(row["dph_base"] + row["storage_cost"] * 100 / 720)


def test_the_new_search_finds_the_same(shop: Market) -> None:
    query = ("num_gpus=1 reliability>0.9", "-o", "dph_total", "--limit", "7")

    assert [row["id"] for row in shop.raw("search offers", "--new", *query)] == [
        row["id"] for row in shop.raw("search offers", *query)
    ]


def test_the_other_spelling_of_the_search_finds_the_same(shop: Market) -> None:
    assert len(shop.raw("search instances", "-n", "--limit", 3)) == 3


def test_an_unknown_column_is_refused_in_words(shop: Market) -> None:
    told = shop.refused("search offers", "no_such_column=1")

    assert told.endswith("Failed with error 400: Error in query parameters: no_such_column is not a valid search key")
