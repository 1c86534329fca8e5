"""Money in whole micro-dollars."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.labels import emptiest_shard, instance_label, label_prefix, new_worker_id, worker_of_label
from functions.core.lifecycle import WorkerState
from functions.core.model import shard_of
from functions.core.pricing import Headroom, bid, dollars, headroom, micro_usd
from tests.core.builders import CENTS_40, NOW_S, a_group, a_worker, an_instance, an_offer


@given(st.decimals(min_value=0, max_value=1_000, places=12))
def test_a_price_is_rounded_up_by_less_than_a_micro_dollar(usd: Decimal) -> None:
    excess = micro_usd(usd) - Fraction(usd) * 1_000_000

    assert 0 <= excess < 1


def test_headroom_counts_every_held_worker_at_its_running_price() -> None:
    fleet = [a_worker(number, state) for number, state in enumerate(WorkerState, start=1)]
    left = headroom(a_group(max_workers=20, max_hourly_cost_micro_usd=10_000_000), fleet, [an_instance(99)])

    assert left == Headroom(workers=20 - 8 - 1, micro_usd_per_hour=10_000_000 - 9 * CENTS_40)


@pytest.mark.parametrize(("price", "admitted"), [(100, True), (101, False), (0, False), (-5, False)])
def test_only_a_known_price_within_the_budget_is_admitted(price: int, *, admitted: bool) -> None:
    assert Headroom(workers=1, micro_usd_per_hour=100).admits(price) is admitted


def test_nothing_is_admitted_without_a_place() -> None:
    assert not Headroom(workers=0, micro_usd_per_hour=100).admits(1)


def test_dollars_are_told_to_a_hundredth_of_a_cent() -> None:
    assert dollars(423_100) == "$0.4231"


def test_a_label_leads_back_to_its_worker() -> None:
    label = instance_label("prod", "chat", "w0-abc")

    assert label == "headgate/prod/chat/w0-abc"
    assert label.startswith(label_prefix("prod", "chat"))
    assert worker_of_label(label) == "w0-abc"


def test_a_worker_id_follows_from_what_it_is_made_of() -> None:
    made = new_worker_id("chat", an_offer(5), shard=3, now_s=NOW_S, attempt=0)

    assert made == new_worker_id("chat", an_offer(5), shard=3, now_s=NOW_S, attempt=0)
    assert made != new_worker_id("chat", an_offer(5), shard=3, now_s=NOW_S, attempt=1)
    assert made != new_worker_id("chat", an_offer(6), shard=3, now_s=NOW_S, attempt=0)
    assert shard_of(made) == 3
    assert len(made) == len("w3-") + 26


def test_new_workers_go_where_the_fewest_are() -> None:
    fleet = [a_worker(number) for number in range(1, 4)]

    assert emptiest_shard(fleet, max_workers=128) == 1
    assert emptiest_shard(fleet, max_workers=64) == 0


@pytest.mark.parametrize(
    ("least", "most", "ours"),
    [(200_000, 400_000, 300_000), (300_000, 400_000, 400_000), (400_000, 400_000, 400_000), (400_001, 400_000, None), (0, 9, None)],
)
def test_a_bid_is_a_multiple_of_the_least_one_up_to_what_we_are_ready_to_pay(least: int, most: int, ours: int | None) -> None:
    assert bid(least, factor=1.5, most_micro_usd=most) == ours


def test_a_bid_is_never_below_the_least_one() -> None:
    assert bid(333_333, factor=1.0, most_micro_usd=1_000_000) == 333_333
