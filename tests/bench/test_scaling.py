"""What the scaling benchmark reckons by: documented units, fleets that are what they say, and a decision that can be timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench.scaling.__main__ import decide_ms
from bench.scaling.fleet import NOW_S, a_fleet
from bench.scaling.meter import Meter, size
from bench.scaling.ticks import CountingMarketplace
from functions.core.labels import label_prefix
from functions.core.plan import Rent
from functions.core.scaling import decide

KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}


class Answering:
    """An `Api` that answers everything alike."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer

    def call(self, _operation: str, _parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer."""
        return self._answer


def an_item(kilobytes: float) -> dict[str, Any]:
    """Return an item of that size."""
    return {**KEY, "d": {"S": "x" * int(kilobytes * 1024 - size(KEY) - 1)}}


@pytest.mark.parametrize(("kilobytes", "units"), [(0.5, 1), (1.0, 1), (1.1, 2), (9.5, 10)])
def test_a_write_is_charged_by_the_begun_kilobyte(kilobytes: float, units: float) -> None:
    meter = Meter(Answering())
    meter.call("PutItem", {"Item": an_item(kilobytes)})

    assert meter.write_units == units


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [
        ({"S": "тест"}, 8),
        ({"N": "1234.5"}, 4),
        ({"B": b"12345"}, 5),
        ({"SS": ["ab", "c"]}, 3),
        ({"L": [{"S": "ab"}, {"NULL": True}]}, 3 + 1 + 2 + 1 + 1),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 1 + 2),
    ],
)
def test_a_value_has_its_documented_size(value: dict[str, Any], size_bytes: int) -> None:
    assert size({"a": value}) == 1 + size_bytes


def test_a_step_of_a_transaction_is_charged_twice_and_a_check_like_a_write() -> None:
    meter = Meter(Answering())
    check = {"ConditionCheck": {"Key": {**KEY, "sk": {"S": "lease"}}}}
    meter.call("TransactWriteItems", {"TransactItems": [check, {"Put": {"Item": an_item(2.5)}}]})

    assert meter.write_units == 2 * 1 + 2 * 3


def test_a_query_is_charged_by_the_sum_of_its_items_half_where_it_may_lag() -> None:
    meter = Meter(Answering(Items=[an_item(3.0), an_item(3.0)]))
    meter.call("Query", {"ConsistentRead": True})
    meter.call("Query", {})

    assert meter.read_units == 2 + 1


def test_an_update_is_charged_for_the_whole_item_that_was_read() -> None:
    meter = Meter(Answering(Items=[an_item(5.0)]))
    meter.call("Query", {"ConsistentRead": True})
    meter.call("UpdateItem", {"Key": KEY, "ExpressionAttributeValues": {":a": {"N": "1"}}})

    assert meter.write_units == 5


def test_a_steady_fleet_is_left_alone_and_a_busy_one_grows() -> None:
    steady, busy = (decide(a_fleet(10, busy=busy), now_s=NOW_S) for busy in (False, True))

    assert steady.actions == ()
    assert any(isinstance(action, Rent) for action in busy.actions)


def test_a_decision_takes_some_time() -> None:
    assert decide_ms(a_fleet(10, busy=True), repeats=3) > 0


def test_a_list_is_counted_by_its_pages() -> None:
    marketplace = CountingMarketplace(a_fleet(60, busy=False))
    listed = marketplace.instances(label_prefix("bench", "llm"))

    assert (len(listed), marketplace.calls["list"]) == (60, 3)
