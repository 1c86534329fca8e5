"""How often a caller may call: the intervals of the public documentation (August 2026), seconds between two calls."""

from __future__ import annotations

from typing import Final

import pytest

from sandbox.marketplace.routes import ROUTES
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import QUIET, Shop, told

DOCUMENTED: Final = {
    ("PUT", "v0/asks/#"): 4.5,
    ("POST", "v0/asks/bulk"): 4.5,
    ("POST", "v0/bundles"): 2.0,
    ("GET", "v0/bundles"): 0.8,
    ("GET", "v1/instances"): 1.0,
    ("GET", "v0/instances"): 20.0,
    ("GET", "v0/instances/#"): 2.0,
    ("PUT", "v0/instances/#"): 1.0,
    ("PUT", "v0/instances"): 4.0,
    ("DELETE", "v0/instances/#"): 3.0,
    ("DELETE", "v0/instances"): 3.0,
    ("PUT", "v0/instances/reboot/#"): 1.0,
    ("PUT", "v0/instances/recycle/#"): 1.0,
    ("PUT", "v0/instances/bid_price/#"): 5.5,
    ("PUT", "v0/instances/command/#"): 1.5,
    ("PUT", "v0/instances/update_template/#"): 2.0,
    ("PUT", "v0/instances/prepay/#"): 2.0,
    ("PUT", "v0/launch_instance"): 2.0,
    ("GET", "v0/instances/balance/#"): 3.0,
    ("POST", "v0/endptjobs"): 4.0,
    ("GET", "v0/endptjobs"): 3.0,
    ("GET", "v0/endptjobs/#"): 2.0,
    ("PUT", "v0/endptjobs/#"): 2.0,
    ("DELETE", "v0/endptjobs/#"): 3.0,
    ("POST", "v0/autojobs"): 4.0,
    ("GET", "v0/autojobs"): 2.0,
    ("PUT", "v0/autojobs/#"): 2.0,
    ("DELETE", "v0/autojobs/#"): 3.0,
    ("POST", "v0/workergroups"): 2.0,
    ("DELETE", "v0/workergroups/#"): 2.0,
    **{(method, "v0/template"): 1.9 for method in ("POST", "GET", "PUT", "DELETE")},
}


@pytest.mark.parametrize("route", list(DOCUMENTED))
def test_an_interval_is_the_documented_one(route: tuple[str, str]) -> None:
    assert ROUTES[route].interval_s == DOCUMENTED[route]


def test_a_second_call_has_to_wait_and_is_told_for_how_long_between_two() -> None:
    shop = Shop(WorldOptions(market=QUIET), rate_limits=True)
    shop.get("/api/v0/endptjobs/")

    early = shop.ask("GET", "/api/v0/endptjobs/")
    shop.wait(3.0)

    assert (early.status, early.content_type) == (429, "text/plain")
    assert early.body == b"API requests too frequent: endpoint threshold=3.0"
    assert shop.ask("GET", "/api/v0/endptjobs/").status == 200


def test_each_method_and_path_is_counted_by_itself() -> None:
    shop = Shop(WorldOptions(market=QUIET), rate_limits=True)

    assert [shop.ask("GET", path).status for path in ("/api/v0/endptjobs/", "/api/v0/autojobs/", "/api/v1/instances/")] == [200] * 3
    assert told(shop.ask("POST", "/api/v0/endptjobs/", {"endpoint_name": "a"}))["success"] is True
