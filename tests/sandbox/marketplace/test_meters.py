"""What a host says about use: it follows the load, it flickers, and it says nothing before there is anything to say."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import median

import pytest

from sandbox.marketplace.durations import Durations
from sandbox.marketplace.faults import Span
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import QUIET, Shop

HOUR_S = 3_600.0
BEAT_S = 10.0


@pytest.fixture
def shop() -> Shop:
    """A quiet market."""
    return Shop()


def _read(shop: Shop, contract_id: int, meter: str, *, times: int) -> list[float]:
    values = []
    for _ in range(times):
        shop.wait(BEAT_S)
        values.append(shop.row(contract_id)[meter])
    return values


def test_before_the_first_heartbeat_meters_are_null_or_minus_one(shop: Shop) -> None:
    row = shop.row(shop.rent())

    assert [row[meter] for meter in ("gpu_util", "gpu_temp", "mem_usage", "vmem_usage")] == [None] * 4
    assert (row["disk_usage"], row["disk_util"]) == (-1, -1)
    assert (row["inet_up_billed"], row["inet_down_billed"]) == (None, None)


@pytest.mark.parametrize("meter", ["gpu_util", "gpu_temp", "cpu_util"])
def test_meters_flicker_from_one_heartbeat_to_the_next(shop: Shop, meter: str) -> None:
    assert len(set(_read(shop, shop.rent_running(), meter, times=12))) > 8


def test_between_two_heartbeats_meters_stand_still(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.wait(BEAT_S - shop.now_s % BEAT_S)

    values = set()
    for _ in range(4):
        values.add(shop.row(contract_id)["gpu_util"])
        shop.wait(2.0)

    assert len(values) == 1


@pytest.mark.parametrize("meter", ["gpu_util", "gpu_temp", "cpu_util"])
def test_meters_follow_what_is_said_about_the_load(shop: Shop, meter: str) -> None:
    contract_id = shop.rent_running()
    shop.post(f"/_sim/instances/{contract_id}/use", {"busy": 0.1})
    idle = _read(shop, contract_id, meter, times=6)

    shop.post(f"/_sim/instances/{contract_id}/use", {"busy": 0.9})

    assert min(_read(shop, contract_id, meter, times=6)) > max(idle)


def test_without_a_word_use_follows_the_day(shop: Shop) -> None:
    contract_id = shop.rent_running()

    day = []
    for _ in range(24):
        shop.wait(HOUR_S)
        day.append(shop.row(contract_id)["gpu_util"])

    assert max(day) - min(day) > 50


def test_an_idle_gpu_reads_zero(shop: Shop) -> None:
    contract_id = shop.rent_running()

    shop.post(f"/_sim/instances/{contract_id}/use", {"busy": 0})

    assert set(_read(shop, contract_id, "gpu_util", times=4)) == {0.0}


def test_a_gpu_warms_up_and_its_memory_fills_after_a_boot(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.put(f"/api/v0/instances/reboot/{contract_id}/", {})
    shop.wait(23)
    early = shop.row(contract_id)

    shop.wait(600)

    late = shop.row(contract_id)
    assert early["actual_status"] == "running"
    assert early["vmem_usage"] < late["vmem_usage"] <= late["gpu_totalram"] / 1024
    assert early["gpu_temp"] < late["gpu_temp"]


def test_traffic_shows_in_the_meters_as_it_is_billed(shop: Shop) -> None:
    contract_id = shop.rent_running()
    pulled = shop.row(contract_id)["inet_down_billed"]

    shop.post(f"/_sim/instances/{contract_id}/traffic", {"up_bytes": 2_500_000_000, "down_bytes": 500_000_000})

    row = shop.row(contract_id)
    assert pulled == 8.0
    assert (row["inet_up_billed"], row["inet_down_billed"]) == (2.5, 8.5)
    assert row["disk_usage"] == 8.5


def test_a_disk_never_holds_more_than_was_rented(shop: Shop) -> None:
    contract_id = shop.rent_running()

    shop.post(f"/_sim/instances/{contract_id}/traffic", {"down_bytes": 10**12})

    assert shop.row(contract_id)["disk_util"] == 1.0


def test_reading_meters_changes_nothing(shop: Shop) -> None:
    contract_id = shop.rent_running()

    assert shop.row(contract_id) == shop.row(contract_id)


# --- how long things take ---


def test_boots_take_as_long_as_reported_ones() -> None:
    rng, durations = random.Random(1), Durations()
    boots = [
        durations.contact_s(rng) + durations.pull_s(rng, image_gb=8.0, inet_down_mbit_s=743.0, cached=False) for _ in range(400)
    ]

    assert sorted(boots)[20] > 60
    assert 90 < median(boots) < 180
    assert sorted(boots)[380] < 300


def test_a_big_image_on_a_slow_host_takes_over_half_an_hour() -> None:
    rng = random.Random(1)

    assert Durations().pull_s(rng, image_gb=15.0, inet_down_mbit_s=60.0, cached=False) > 1_800


def test_every_duration_can_be_set() -> None:
    durations = Durations(contact=Span(least_s=500.0, most_s=500.0), start=Span(least_s=900.0, most_s=900.0))
    shop = Shop(WorldOptions(market=QUIET, durations=durations))
    contract_id = shop.rent()
    shop.wait(499)
    before = shop.row(contract_id)["actual_status"]
    shop.wait(2)

    assert (before, shop.row(contract_id)["actual_status"]) == (None, "loading")


def test_boot_speed_divides_durations_that_were_set() -> None:
    slow = Durations(start=Span(least_s=900.0, most_s=900.0))

    assert replace(slow, boot_speed=10.0).start_s(random.Random(1)) == 90.0
