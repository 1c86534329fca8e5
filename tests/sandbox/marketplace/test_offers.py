"""What a search shows: rows whose prices add up, and offers of one machine that overlap as on the real market."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.world import World, WorldOptions
from tests.sandbox.marketplace.shop import CREATE, Json, Shop

seeds = st.integers(0, 2**32)
few = settings(max_examples=8)
EVERYTHING: Json = {"limit": 3_000}


def _market(seed: int, query: Json | None = None) -> tuple[Shop, list[Json]]:
    shop = Shop(WorldOptions(market=MarketOptions(machines=60)), seed=seed)
    return shop, shop.offers(query or EVERYTHING)


@few
@given(seeds, st.sampled_from(["on-demand", "bid", "reserved"]), st.floats(0.0, 500.0), st.floats(0.0, 40 * 86_400.0))
def test_every_price_identity_holds_on_every_row_at_any_time(seed: int, kind: str, storage_gb: float, age_s: float) -> None:
    shop = Shop(WorldOptions(market=MarketOptions(machines=60)), seed=seed)
    shop.wait(age_s)

    rows = shop.offers({**EVERYTHING, "type": kind, "allocated_storage": storage_gb})

    for row in rows:
        assert row["dph_total"] == row["dph_base"] + row["storage_total_cost"]
        assert row["storage_total_cost"] == row["storage_cost"] * storage_gb / 720
        assert row["dph_total_adj"] == row["dph_total"] + 1.25 * row["inet_down_cost"]
        assert row["internet_up_cost_per_tb"] == 1024 * row["inet_up_cost"]
        assert row["internet_down_cost_per_tb"] == 1024 * row["inet_down_cost"]
        assert row["dlperf_per_dphtotal"] == pytest.approx(row["dlperf"] / row["dph_total"], rel=1e-12)
        assert row["flops_per_dphtotal"] == pytest.approx(row["total_flops"] / row["dph_total"], rel=1e-12)
        assert row["vram_costperhour"] == row["dph_base"] / (row["gpu_total_ram"] / 1024)
        assert row["search"]["totalHour"] == row["dph_total"]
        assert row["search"]["gpuCostPerHour"] == row["dph_base"]
        assert row["instance"]["gpuCostPerHour"] == 0


@few
@given(seeds)
def test_every_size_identity_holds_on_every_row(seed: int) -> None:
    shop, rows = _market(seed)

    for row in rows:
        assert row["gpu_total_ram"] == row["gpu_ram"] * row["num_gpus"]
        assert row["cpu_cores_effective"] == row["cpu_cores"] * row["gpu_frac"]
        assert len(row["gpu_ids"]) == row["num_gpus"]
        assert row["id"] == row["ask_contract_id"]
        assert row["reliability"] == row["reliability2"]
        assert row["duration"] == pytest.approx(row["end_date"] - shop.now_s)


@few
@given(seeds)
def test_a_bid_search_prices_every_offer_at_its_lowest_bid(seed: int) -> None:
    _, rows = _market(seed, {**EVERYTHING, "type": "interruptible"})

    assert all(row["dph_base"] == row["min_bid"] and row["is_bid"] for row in rows)


@few
@given(seeds)
def test_offers_of_one_machine_are_prefixes_of_each_other(seed: int) -> None:
    _, rows = _market(seed)

    machines: dict[int, list[list[int]]] = defaultdict(list)
    for row in rows:
        machines[row["machine_id"]].append(row["gpu_ids"])
    for offered in machines.values():
        for smaller, larger in pairwise(sorted(offered, key=len)):
            assert larger[: len(smaller)] == smaller


@few
@given(seeds)
def test_offers_of_one_machine_cost_the_same_per_gpu_and_split_its_disk(seed: int) -> None:
    _, rows = _market(seed)

    per_machine: dict[int, set[tuple[float, float]]] = defaultdict(set)
    for row in rows:
        price = round(row["dph_base"] / row["num_gpus"], 6)
        per_machine[row["machine_id"]].add((price, round(row["disk_space"] / row["num_gpus"], 6)))
    assert all(len(prices) == 1 for prices in per_machine.values())


def test_a_market_has_the_mix_of_sizes_trust_and_prices_of_the_real_one() -> None:
    rows = Shop(WorldOptions(market=MarketOptions(machines=700))).offers(EVERYTHING)

    share = {size: sum(row["num_gpus"] == size for row in rows) / len(rows) for size in (1, 2, 4, 8)}
    verified = sum(row["verification"] == "verified" for row in rows) / len(rows)
    prices = sorted(row["dph_base"] for row in rows if row["gpu_name"] == "RTX 4090" and row["num_gpus"] == 1)
    assert 0.25 < share[1] < 0.55
    assert share[2] > share[8] > 0.02
    assert 0.30 < verified < 0.60
    assert 0.30 < prices[len(prices) // 2] < 0.55


def test_the_same_seed_makes_the_same_market() -> None:
    one, two = ([row["id"] for row in Shop(seed=3).offers(EVERYTHING)] for _ in range(2))

    assert one == two


def test_another_seed_makes_another_market() -> None:
    prices = [sorted(row["dph_total"] for row in Shop(seed=seed).offers(EVERYTHING)) for seed in (3, 4)]

    assert prices[0] != prices[1]


def _machine_with_overlapping_offers(shop: Shop) -> list[Json]:
    rows = shop.offers({**EVERYTHING, "disk_space": {"gte": "20"}})
    sizes: dict[int, list[Json]] = defaultdict(list)
    for row in rows:
        sizes[row["machine_id"]].append(row)
    machine_id = max(sizes, key=lambda known: len(sizes[known]))
    return sorted(sizes[machine_id], key=lambda row: int(row["num_gpus"]))


def test_renting_one_offer_removes_the_overlapping_ones_and_lists_the_rest_under_new_ids() -> None:
    shop = Shop()
    before = _machine_with_overlapping_offers(shop)

    shop.put(f"/api/v0/asks/{before[0]['id']}/", CREATE)

    after = [row for row in shop.offers(EVERYTHING) if row["machine_id"] == before[0]["machine_id"]]
    taken = set(before[0]["gpu_ids"])
    assert after
    assert not {row["id"] for row in after} & {row["id"] for row in before}
    assert not any(taken & set(row["gpu_ids"]) for row in after)


def test_destroying_brings_the_gpus_back() -> None:
    shop = Shop()
    before = _machine_with_overlapping_offers(shop)
    contract_id = shop.put(f"/api/v0/asks/{before[-1]['id']}/", CREATE)["new_contract"]
    assert not [row for row in shop.offers(EVERYTHING) if row["machine_id"] == before[0]["machine_id"]]

    shop.delete(f"/api/v0/instances/{contract_id}/")

    after = [row for row in shop.offers(EVERYTHING) if row["machine_id"] == before[0]["machine_id"]]
    assert sorted(row["gpu_ids"] for row in after) == sorted(row["gpu_ids"] for row in before)


def test_an_offer_is_consumed_by_one_accept() -> None:
    shop = Shop()
    ask_id = shop.offers()[0]["id"]
    shop.put(f"/api/v0/asks/{ask_id}/", CREATE)

    reply = shop.ask("PUT", f"/api/v0/asks/{ask_id}/", CREATE)

    assert reply.status == 404
    assert b"no_such_ask" in reply.body


def test_rivals_take_offers_between_a_search_and_its_accept() -> None:
    shop = Shop(WorldOptions(market=MarketOptions(machines=40, rivals_per_machine_hour=2.0, rival_hours=0.3)))
    before = {row["id"] for row in shop.offers(EVERYTHING)}

    shop.wait(3_600)

    after = {row["id"] for row in shop.offers(EVERYTHING)}
    assert len(before - after) > len(before) / 4


def test_a_host_that_reprices_lists_anew_and_leaves_contracts_alone() -> None:
    shop = Shop(WorldOptions(market=MarketOptions(machines=40, rivals_per_machine_hour=0.0, reprices_per_machine_hour=5.0)))
    contract_id = shop.rent()
    price = shop.row(contract_id)["dph_total"]

    shop.wait(24 * 3_600)

    assert shop.row(contract_id)["dph_total"] == price


def test_no_offer_outlives_its_term() -> None:
    shop = Shop()

    shop.wait(60 * 86_400)

    assert all(row["duration"] > 0 for row in shop.offers(EVERYTHING))


def test_a_world_needs_no_ports_of_this_machine() -> None:
    world = World(WorldOptions(), rng=random.Random(1), now_s=0.0)

    assert world.next_event_s() is not None
