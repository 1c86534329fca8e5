"""The benchmark measures every call that it names, and what it measures answers as it should."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bench import marketplace as bench
from sandbox.marketplace.faults import Fate
from sandbox.marketplace.instance_row import instance_row, row_json
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.serving import serving
from tests.sandbox.marketplace.shop import Shop

BOOTED = WorldOptions(
    market=MarketOptions(machines=300, rivals_per_machine_hour=0.0, reprices_per_machine_hour=0.0), boot_speed=1e9, credit_usd=1e9
)


async def test_every_call_is_answered() -> None:
    async with serving(BOOTED) as caller:
        measured = await bench.rates(bench.Client(caller.session, caller.server.url), seconds=0.02)

    assert len({rate.call for rate in measured}) == len(measured) >= 10
    assert all(rate.requests_per_s > 0 for rate in measured)


async def test_a_failing_call_is_no_measurement() -> None:
    async with serving(BOOTED) as caller:
        with pytest.raises(RuntimeError, match="404"):
            await bench.Client(caller.session, caller.server.url).send("GET", "/api/v0/nothing/")


def _read_both_ways(shop: Shop, contract_id: int) -> tuple[object, object]:
    contract, now_us = shop.world.contracts.live[contract_id], shop.world.advance(shop.now_s)
    return json.loads(row_json(contract, now_us)), json.loads(json.dumps(instance_row(contract, now_us)))


def test_a_row_that_is_kept_as_text_is_the_row_through_every_change() -> None:
    shop = Shop()
    contract_id = shop.rent({"price": 20.0})
    changes: list[Callable[[], object]] = [
        lambda: shop.wait(7_200),
        lambda: shop.put(f"/api/v0/instances/{contract_id}/", {"label": "another"}),
        lambda: shop.put(f"/api/v0/instances/bid_price/{contract_id}/", {"price": 19.0}),
        lambda: shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": Fate.ADDRESS_CHANGES}),
        lambda: shop.post(f"/_sim/instances/{contract_id}/traffic", {"up_bytes": 10**9}),
        lambda: shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"}),
        lambda: shop.wait(60),
    ]

    for change in changes:
        change()
        text, row = _read_both_ways(shop, contract_id)
        assert text == row
