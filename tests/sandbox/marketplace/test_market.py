"""A generated market is like the real one, whatever the seed: its quartiles, its shares, its structure and its prices over time."""

from __future__ import annotations

import gzip
import json
import random
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench import market_quantiles as bench
from sandbox.marketplace import observed
from sandbox.marketplace.gpus import MODELS
from sandbox.marketplace.ledger import usd
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.quantiles import Quantiles
from sandbox.marketplace.world import World, WorldOptions
from tests.sandbox.marketplace.shop import START_S

SEEDS = (0, 1, 2)
QUARTILES = (2, 3, 4)
QUARTILE_TOLERANCE = 0.35
# All machines of a host share its line, and one host has dozens: what one seed draws for it weighs much.
SHARED_LINE_TOLERANCE = 0.7
# Half a year's worth of changes: long enough to see whether prices drift away.
LONG_S = 180 * 86_400.0


@cache
def _offers(year: int, seed: int) -> list[bench.Row]:
    return bench.generated_offers(year=year, seed=seed, machines=3_000)


def _alike(made: Quantiles, known: Quantiles, *, tolerance: float) -> bool:
    """Whether the quartiles agree; cents of a cent, where half of all hosts charge nothing, do not count."""
    return all(made[at] == pytest.approx(known[at], rel=tolerance, abs=0.02 * known[QUARTILES[1]]) for at in QUARTILES)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", sorted(bench.built_in(2024)))
def test_the_quartiles_of_every_column_are_those_of_the_real_market(name: str, seed: int) -> None:
    known = bench.built_in(2024)[name]

    made = bench.column(_offers(2024, seed), name)

    tolerance = SHARED_LINE_TOLERANCE if name in {"inet_up", "inet_down"} else QUARTILE_TOLERANCE
    assert _alike(made, known, tolerance=tolerance), f"{name}: made {made}, known {known}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("year", sorted(MODELS))
def test_the_prices_of_the_common_models_are_those_of_their_year(year: int, seed: int) -> None:
    ratios = []
    for model in MODELS[year][:10]:
        known = usd(model.price_micro_usd_per_hour.p50)
        ratios.append(bench.per_gpu(_offers(year, seed), model.name, "price").p50 / known)

    assert 0.85 < median(ratios) < 1.2
    assert all(0.5 < ratio < 2.0 for ratio in ratios), ratios


@pytest.mark.parametrize("seed", SEEDS)
def test_lowest_bids_lie_where_they_do_beside_prices(seed: int) -> None:
    made = bench.quantiles(float(row["min_bid"]) / float(row["dph_base"]) for row in _offers(2024, seed))

    assert 0.5 < made.p25 < 0.7
    assert 0.75 < made.p50 < 0.92
    assert 0.93 < made.p75 < 1.05
    assert made.most > 1.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("num_gpus", observed.NUM_GPUS_SHARES),
        ("verification", observed.VERIFICATION_SHARES),
        ("datacenter", {True: observed.DATACENTER_OFFER_SHARE}),
        ("static_ip", {True: observed.STATIC_IP_OFFER_SHARE}),
    ],
)
def test_shares_are_those_of_the_real_market(name: str, known: dict[Any, float], seed: int) -> None:
    made = bench.shares(_offers(2024, seed), name)

    for value, share in known.items():
        assert abs(made[value] - share) < 0.09, (name, value, made[value], share)


@pytest.mark.parametrize("seed", SEEDS)
def test_machines_list_as_many_overlapping_offers_as_real_ones(seed: int) -> None:
    made = bench.offers_per_machine(_offers(2024, seed))

    for number, share in observed.OFFERS_PER_MACHINE_SHARES.items():
        assert abs(made[number] - share) < 0.08, (number, made[number], share)


@pytest.mark.parametrize("seed", SEEDS)
def test_most_hosts_have_one_machine_and_some_have_dozens(seed: int) -> None:
    made = bench.machines_per_host(_offers(2024, seed))

    assert made.p50 == 1
    assert 4 <= made.p95 <= 12
    assert made.most >= 15


def test_the_market_of_2026_has_the_models_of_2026() -> None:
    names = {row["gpu_name"] for row in _offers(2026, 0)}

    assert {"RTX 5090", "H200", "B200", "L40S", "RTX PRO 6000 WS"} <= names


def test_the_market_of_2024_does_not() -> None:
    assert not {"RTX 5090", "H200", "B200"} & {row["gpu_name"] for row in _offers(2024, 0)}


def test_a_year_that_nobody_observed_is_refused() -> None:
    with pytest.raises(ValueError, match="2024, 2026"):
        MarketOptions(year=1999)


def test_about_half_of_all_gpus_are_taken() -> None:
    world = World(WorldOptions(market=MarketOptions(machines=900)), rng=random.Random(4), now_s=START_S)

    free = sum(len(machine.free) for machine in world.machines.values())
    total = sum(len(machine.hardware.gpu_ids) for machine in world.machines.values())

    assert 0.35 < free / total < 0.65


def test_as_many_are_taken_after_a_month_as_at_the_start() -> None:
    world = World(WorldOptions(market=MarketOptions(machines=400)), rng=random.Random(4), now_s=START_S)
    before = sum(len(machine.free) for machine in world.machines.values())

    world.advance(START_S + 30 * 86_400)

    after = sum(len(machine.free) for machine in world.machines.values())
    assert 0.7 < after / before < 1.4


def test_prices_move_and_do_not_drift_away() -> None:
    options = WorldOptions(market=MarketOptions(machines=150, rivals_per_machine_hour=0.0))
    world = World(options, rng=random.Random(4), now_s=START_S)
    before = {machine_id: machine.price_micro_usd_per_hour for machine_id, machine in world.machines.items()}

    world.advance(START_S + LONG_S)

    moved = [world.machines[machine_id].price_micro_usd_per_hour / price for machine_id, price in before.items()]
    assert 0.9 < median(moved) < 1.1
    assert sum(ratio != 1 for ratio in moved) > 0.95 * len(moved)


def test_four_in_a_hundred_hosts_change_their_price_within_an_hour() -> None:
    options = WorldOptions(market=MarketOptions(machines=2_000, rivals_per_machine_hour=0.0))
    world = World(options, rng=random.Random(4), now_s=START_S)
    before = {machine_id: machine.price_micro_usd_per_hour for machine_id, machine in world.machines.items()}

    world.advance(START_S + 3_600)

    changed = sum(world.machines[machine_id].price_micro_usd_per_hour != price for machine_id, price in before.items())
    assert 0.025 < changed / len(before) < 0.055


def _bid_ratios(world: World) -> list[float]:
    return [machine.bid_micro_usd_per_hour / machine.price_micro_usd_per_hour for machine in world.machines.values()]


def test_bids_move_with_prices() -> None:
    options = WorldOptions(market=MarketOptions(machines=40, rivals_per_machine_hour=0.0, reprices_per_machine_hour=1.0))
    world = World(options, rng=random.Random(4), now_s=START_S)
    before = _bid_ratios(world)

    world.advance(START_S + 5 * 3_600)

    assert _bid_ratios(world) == pytest.approx(before, rel=0.05)


def test_the_comparison_prints_both_sides() -> None:
    lines = bench.report(_offers(2026, 0), None, year=2026)

    assert sum("generated" in line for line in lines) > 20
    assert any(line.startswith("RTX 5090") for line in lines)


def test_the_comparison_reads_an_answer_of_the_search(tmp_path: Path) -> None:
    path = tmp_path / "offers.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"offers": _offers(2024, 0)}).encode()))

    lines = bench.report(_offers(2024, 1), bench.real_offers(path), year=2024)

    assert any(line.startswith("RTX 4090 bid") for line in lines)
    assert any(line.startswith("num_gpus, real / generated: 1: ") for line in lines)
