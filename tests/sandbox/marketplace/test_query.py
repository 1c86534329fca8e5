"""Searches are read as the official client sends them: mostly strings, with aliases and virtual columns."""

from __future__ import annotations

import pytest

from tests.sandbox.marketplace.shop import Json, Shop, told


@pytest.fixture(scope="module")
def shop() -> Shop:
    """One market for all searches; nothing here changes it."""
    return Shop()


def _rows(shop: Shop, **conditions: object) -> list[Json]:
    return shop.offers({"limit": 3_000, **conditions})


def test_the_official_clients_query_is_understood(shop: Shop) -> None:
    rows = _rows(
        shop,
        verified={"eq": True},
        external={"eq": False},
        rentable={"eq": True},
        gpu_name={"eq": "RTX 3090"},
        num_gpus={"eq": "1"},
        reliability={"gt": "0.9"},
        gpu_ram={"gte": 20000.0},
        disk_space={"gte": "20"},
        order=[["dph_total", "asc"]],
        type="on-demand",
        allocated_storage=5.0,
    )

    assert rows
    for row in rows:
        assert (row["verification"], row["gpu_name"], row["num_gpus"]) == ("verified", "RTX 3090", 1)
        assert row["reliability"] > 0.9
        assert row["gpu_ram"] >= 20_000
    assert [row["dph_total"] for row in rows] == sorted(row["dph_total"] for row in rows)


def test_numbers_may_be_strings(shop: Shop) -> None:
    assert _rows(shop, num_gpus={"gte": "2", "lt": "5"}) == _rows(shop, num_gpus={"gte": 2, "lt": 5})


def test_lists_may_hold_strings(shop: Shop) -> None:
    rows = _rows(shop, num_gpus={"in": ["1", "4"]})

    assert {row["num_gpus"] for row in rows} == {1, 4}


def test_notin_excludes(shop: Shop) -> None:
    rows = _rows(shop, geolocation={"notin": ["US", "CA"]})

    assert rows
    assert not any(row["geolocation"].endswith((", US", ", CA")) for row in rows)


def test_a_country_is_matched_by_its_two_letters(shop: Shop) -> None:
    assert all(row["geolocation"].endswith(", US") for row in _rows(shop, geolocation={"eq": "US"}))


def test_underscores_are_blanks_in_names(shop: Shop) -> None:
    assert _rows(shop, gpu_name={"eq": "RTX_4090"}) == _rows(shop, gpu_name={"eq": "RTX 4090"})


def test_verified_false_finds_the_others(shop: Shop) -> None:
    assert {row["verification"] for row in _rows(shop, verified={"eq": False})} <= {"unverified", "deverified"}


def test_duration_counts_from_now(shop: Shop) -> None:
    assert all(row["duration"] > 30 * 86_400 for row in _rows(shop, duration={"gt": 30 * 86_400.0}))


def test_datacenters_are_a_kind_of_hosting(shop: Shop) -> None:
    assert all(row["hosting_type"] == 1 for row in _rows(shop, datacenter={"eq": True}))


def test_driver_versions_compare_as_numbers(shop: Shop) -> None:
    rows = _rows(shop, driver_version={"gte": "550.90.07"})

    assert rows
    assert all(row["driver_vers"] >= 550090007 for row in rows)


@pytest.mark.parametrize(
    ("alias", "column"), [("dphtotal", "dph_total"), ("gpu_totalram", "gpu_total_ram"), ("cuda_vers", "cuda_max_good")]
)
def test_old_spellings_mean_the_same(shop: Shop, alias: str, column: str) -> None:
    assert _rows(shop, **{alias: {"gt": "0.3"}}) == _rows(shop, **{column: {"gt": "0.3"}})


def test_gigabytes_are_a_thousand_megabytes(shop: Shop) -> None:
    assert _rows(shop, gpu_ram_GB={"gte": "24"}) == _rows(shop, gpu_ram={"gte": "24000"})


def test_the_allocated_storage_has_to_fit(shop: Shop) -> None:
    assert all(row["disk_space"] >= 500 for row in _rows(shop, allocated_storage=500.0))


def test_the_default_order_is_by_score_descending(shop: Shop) -> None:
    scores = [row["score"] for row in _rows(shop)]

    assert scores == sorted(scores, reverse=True)


def test_nulls_come_last_in_either_direction(shop: Shop) -> None:
    for direction in ("asc", "desc"):
        values = [row["cpu_ghz"] for row in _rows(shop, order=[["cpu_ghz", direction]])]
        known = [value for value in values if value is not None]
        assert None in values
        assert values == [*sorted(known, reverse=direction == "desc"), *[None] * (len(values) - len(known))]


def test_null_satisfies_only_equality_with_null(shop: Shop) -> None:
    assert all(row["cpu_ghz"] is None for row in _rows(shop, cpu_ghz={"eq": None}))
    assert all(row["cpu_ghz"] is not None for row in _rows(shop, cpu_ghz={"lt": 100}))


def test_without_a_limit_there_are_at_most_64(shop: Shop) -> None:
    assert len(shop.offers({})) <= 64


def test_the_three_forms_of_search_answer_alike(shop: Shop) -> None:
    query = {"num_gpus": {"eq": "2"}, "limit": 5}

    posted = shop.post("/api/v0/bundles/", query)
    assert shop.put("/api/v0/search/asks/", {"select_cols": ["*"], "q": query}) == posted
    assert shop.get("/api/v0/bundles/", q=query) == posted


def test_columns_can_be_chosen_and_unknown_ones_are_null(shop: Shop) -> None:
    rows = shop.get("/api/v0/bundles/", q={"limit": 1}, select_cols=["id", "duration", "no_such"])["offers"]

    assert set(rows[0]) == {"id", "duration", "no_such"}
    assert rows[0]["no_such"] is None


@pytest.mark.parametrize(
    "query",
    [
        [],
        {"num_gpus": 4},
        {"num_gpus": {"eq": "many"}},
        {"num_gpus": {"like": 1}},
        {"rentable": {"eq": "perhaps"}},
        {"no_such_column": {"eq": 1}},
        {"order": "dph_total"},
        {"order": [["no_such_column", "asc"]]},
        {"type": "free"},
        {"limit": "all"},
        {"limit": 0},
        {"allocated_storage": -1},
        {"num_gpus": {"in": 3}},
    ],
)
def test_what_is_no_query_is_refused_in_words(shop: Shop, query: object) -> None:
    reply = shop.ask("PUT", "/api/v0/search/asks/", {"q": query})

    assert reply.status == 400
    assert told(reply)["msg"]


def test_rented_finds_machines_where_the_caller_rents_already() -> None:
    shop = Shop()
    singles = [row for row in shop.offers() if row["gpu_frac"] < 1]
    contract_id = shop.put(f"/api/v0/asks/{singles[0]['id']}/", {"image": "x", "disk": 16})["new_contract"]

    rows = shop.offers({"limit": 3_000, "rented": {"eq": True}})

    assert {row["machine_id"] for row in rows} <= {shop.row(contract_id)["machine_id"]}
