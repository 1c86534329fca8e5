"""A client's budgets, spent by many at once: what `RouteStore.spend` promises, held in memory and by DynamoDB alike."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.adapters.aws_api import dynamodb as aws_dynamodb
from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_items import Item, Key
from functions.adapters.dynamodb_limit import spend
from functions.core.rate_limit import BURST_S, Budgets, Price
from functions.ports import BudgetSpent
from tests.contract.stores import Stores, aws_of, dynamo_stores
from tests.core.builders import NOW_S

TENTH = Price(requests_s=0.1)
UNKNOWN = Budgets()
THREADS = 16


def test_what_was_never_spent_has_saved_up_the_burst(stores: Stores) -> None:
    assert stores.route.spend("website", TENTH, now_s=NOW_S, known=UNKNOWN).requests_until_s == pytest.approx(NOW_S - BURST_S + 0.1)


def test_spending_adds_up(stores: Stores) -> None:
    asked = Price(requests_s=0.5, load_s=0.25)
    known = UNKNOWN
    for _ in range(2):
        known = stores.route.spend("website", asked, now_s=NOW_S, known=known)

    assert known.requests_until_s == pytest.approx(NOW_S - BURST_S + 1.0)
    assert known.load_until_s == pytest.approx(NOW_S - BURST_S + 0.5)


@pytest.mark.parametrize("known", [UNKNOWN, Budgets(requests_until_s=NOW_S - 0.1), Budgets(requests_until_s=NOW_S + 90)])
def test_a_wrong_belief_changes_nothing(stores: Stores, known: Budgets) -> None:
    stores.route.spend("website", TENTH, now_s=NOW_S, known=UNKNOWN)

    assert stores.route.spend("website", TENTH, now_s=NOW_S, known=known).requests_until_s == pytest.approx(NOW_S - BURST_S + 0.2)


def test_after_a_long_silence_no_more_than_the_burst_is_saved(stores: Stores) -> None:
    known = stores.route.spend("website", TENTH, now_s=NOW_S, known=UNKNOWN)
    later_s = NOW_S + 1_000

    assert stores.route.spend("website", TENTH, now_s=later_s, known=known).requests_until_s == pytest.approx(
        later_s - BURST_S + 0.1
    )


def test_one_budget_may_be_old_and_the_other_young(stores: Stores) -> None:
    stores.route.spend("website", Price(requests_s=0.1), now_s=NOW_S - 100, known=UNKNOWN)
    stores.route.spend("website", Price(load_s=0.1), now_s=NOW_S, known=UNKNOWN)
    stands = stores.route.spend("website", Price(requests_s=0.1, load_s=0.1), now_s=NOW_S, known=UNKNOWN)

    assert stands.requests_until_s == pytest.approx(NOW_S - BURST_S + 0.1)
    assert stands.load_until_s == pytest.approx(NOW_S - BURST_S + 0.2)


def test_a_budget_that_is_overdrawn_refuses_and_tells_how_it_stands(stores: Stores) -> None:
    stands = stores.route.spend("website", Price(load_s=5.0), now_s=NOW_S, known=UNKNOWN)

    with pytest.raises(BudgetSpent) as refused:
        stores.route.spend("website", Price(requests_s=0.1, load_s=0.1), now_s=NOW_S, known=UNKNOWN)
    assert refused.value.found == stands


def test_clients_do_not_share(stores: Stores) -> None:
    stores.route.spend("website", Price(requests_s=50.0), now_s=NOW_S, known=UNKNOWN)

    assert stores.route.spend("other", TENTH, now_s=NOW_S, known=UNKNOWN).requests_until_s < NOW_S


def test_of_sixteen_at_once_exactly_as_many_pass_as_the_budget_pays_for(stores: Stores) -> None:
    start = threading.Barrier(THREADS)

    def spend_repeatedly(_: int) -> int:
        start.wait()
        known, passed = UNKNOWN, 0
        for _ in range(20):
            try:
                known = stores.route.spend("website", Price(requests_s=1 / 64), now_s=NOW_S, known=known)
            except BudgetSpent:
                break
            passed += 1
        return passed

    with ThreadPoolExecutor(THREADS) as pool:
        total = sum(pool.map(spend_repeatedly, range(THREADS)))

    assert total == 64 * BURST_S + 1


class CountedTable(DynamoTable):
    """A table that counts its writes."""

    writes = 0

    def update(self, key: Key, *, returned: str = "NONE", **update: Any) -> Item:
        """Count, and write."""
        self.writes += 1
        return super().update(key, returned=returned, **update)


@pytest.fixture
def table(dynamodb: Any, table_name: str) -> CountedTable:
    """Return an empty table of DynamoDB."""
    dynamo_stores(dynamodb, table_name)
    return CountedTable(aws_dynamodb(aws_of(dynamodb)), table_name)


def test_who_knows_how_the_budgets_stand_writes_once(table: CountedTable) -> None:
    known = UNKNOWN
    for _ in range(3):
        known = spend(table, "website", TENTH, now_s=NOW_S, known=known)

    assert table.writes == 3


def test_who_does_not_writes_twice(table: CountedTable) -> None:
    for _ in range(3):
        spend(table, "website", TENTH, now_s=NOW_S, known=UNKNOWN)

    assert table.writes == 1 + 2 + 2
