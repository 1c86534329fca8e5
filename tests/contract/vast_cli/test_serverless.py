"""Endpoints, workergroups and the router's calls, from records and through to a router."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from tests.contract.vast_cli.market import Market, market
from tests.contract.vast_cli.official import Official


def _endpoint(shop: Market, name: str = "chat", *args: object) -> int:
    """Create an endpoint; return its id."""
    return int(shop.raw("create endpoint", "--endpoint_name", name, *args)["result"])


def _workergroup(shop: Market, endpoint_id: int, *args: object) -> int:
    """Create a workergroup; return its id."""
    flags = ("--endpoint_id", endpoint_id, "--launch_args", "--image vendor/image:1 --disk 20")
    told = shop.said("create workergroup", *flags, *args)
    return int(ast.literal_eval(told.removeprefix("workergroup create "))["id"])


def _row(shop: Market, what: str) -> dict[str, Any]:
    (row,) = shop.raw(what)
    assert isinstance(row, dict)
    return row


def test_an_endpoint_has_the_clis_defaults(shop: Market) -> None:
    endpoint_id = _endpoint(shop)

    row = _row(shop, "show endpoints")
    assert row.pop("created_at") > 0
    assert row == {
        "id": endpoint_id,
        "endpoint_name": "chat",
        "user_id": 100_001,
        "min_load": 0.0,
        "min_cold_load": 0.0,
        "target_util": 0.9,
        "cold_mult": 2.5,
        "cold_workers": 5,
        "max_workers": 20,
        "max_queue_time": None,
        "target_queue_time": None,
        "inactivity_timeout": None,
        "endpoint_state": "active",
        "autoscaler_instance": "prod",
    }


def test_an_endpoint_keeps_what_was_asked(shop: Market) -> None:
    flags = ("--min_load", 10, "--cold_workers", 0, "--max_workers", 3, "--max_queue_time", 30, "--inactivity_timeout", -1)
    told = shop.said("create endpoint", "--endpoint_name", "chat", *flags)

    row = _row(shop, "show endpoints")
    assert told == f"create endpoint {{'success': True, 'result': {row['id']}}}\n"
    assert [row[name] for name in ("min_load", "cold_workers", "max_workers", "max_queue_time", "inactivity_timeout")] == [
        *(10.0, 0, 3, 30.0, -1),
    ]


def test_endpoints_are_shown_as_json_also_without_raw(shop: Market) -> None:
    _endpoint(shop)

    assert json.loads(shop.said("show endpoints")) == shop.raw("show endpoints")


def test_no_endpoints_are_an_empty_list(shop: Market) -> None:
    assert shop.raw("show endpoints") == []


def test_an_update_changes_what_it_names_and_nothing_else(shop: Market) -> None:
    endpoint_id = _endpoint(shop, "chat", "--min_load", 10)
    before = _row(shop, "show endpoints")

    told = shop.said("update endpoint", endpoint_id, "--target_util", 0.5, "--endpoint_state", "suspended")

    assert told == "update endpoint {'success': True}\n"
    assert _row(shop, "show endpoints") == {**before, "target_util": 0.5, "endpoint_state": "suspended"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--endpoint_name", "chat"), "Endpoint name 'chat' is already in use."),
        ((), "endpoint_name is required"),
        (("--endpoint_name", "b", "--target_util", "1.5"), "target_util must be at most 1"),
        (("--endpoint_name", "b", "--min_load", "-1"), "min_load must be at least 0"),
        (("--endpoint_name", "b", "--max_workers", "2"), "cold_workers must be at most max_workers"),
        (
            ("--endpoint_name", "b", "--max_queue_time", "5", "--target_queue_time", "6"),
            "target_queue_time must be at most max_queue_time",
        ),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_in_words(shop: Market, flags: tuple[str, ...], told: str) -> None:
    _endpoint(shop)

    assert shop.refused("create endpoint", *flags) == f"Failed with error 400: {told}"
    assert len(shop.raw("show endpoints")) == 1


def test_an_unknown_state_is_refused(shop: Market) -> None:
    told = shop.refused("update endpoint", _endpoint(shop), "--endpoint_state", "asleep")

    assert told == "Failed with error 400: endpoint_state must be one of active, suspended, stopped"


def test_an_unknown_endpoint_is_not_found(shop: Market) -> None:
    assert shop.refused("update endpoint", 1, "--min_load", 2) == "Failed with error 404: Endpoint 1 for user 100001 not found."
    assert shop.refused("delete endpoint", 1) == "Failed with error 404: Endpoint 1 for user 100001 not found."


def test_deleting_an_endpoint_takes_its_workergroups_along(shop: Market) -> None:
    endpoint_id, other = _endpoint(shop), _endpoint(shop, "other")
    _workergroup(shop, endpoint_id)
    kept = _workergroup(shop, other)

    told = shop.said("delete endpoint", endpoint_id)

    assert "'deleted_workers': []" in told
    assert [row["id"] for row in shop.raw("show endpoints")] == [other]
    assert [row["id"] for row in shop.raw("show workergroups")] == [kept]


def test_a_workergroup_keeps_its_search_as_text_and_as_conditions(shop: Market) -> None:
    endpoint_id = _endpoint(shop)
    group_id = _workergroup(shop, endpoint_id, "--search_params", "gpu_ram>=23 num_gpus=1", "--gpu_ram", 24)

    row = _row(shop, "show workergroups")
    assert (row["id"], row["endpoint_id"], row["endpoint_name"]) == (group_id, endpoint_id, "chat")
    assert row["search_params"] == "gpu_ram>=23 num_gpus=1 verified=True rentable=True rented=False"
    assert row["search_query"] == {
        "gpu_ram": {"gte": 23_000.0},
        "num_gpus": {"eq": "1"},
        "verified": {"eq": True},
        "rentable": {"eq": True},
        "rented": {"eq": False},
    }


def test_a_workergroup_may_name_its_endpoint_and_a_template(shop: Market) -> None:
    endpoint_id = _endpoint(shop)
    shop.said("create template", "--name", "t", "--image", "vendor/image")
    (template,) = shop.raw("search templates")

    shop.said("create workergroup", "--endpoint_name", "chat", "--template_hash", template["hash_id"])

    row = _row(shop, "show workergroups")
    assert (row["endpoint_id"], row["template_hash"]) == (endpoint_id, template["hash_id"])


def test_an_update_without_a_search_resets_it_to_the_clis_defaults(shop: Market) -> None:
    endpoint_id = _endpoint(shop)
    group_id = _workergroup(shop, endpoint_id, "--search_params", "gpu_ram>=23")

    told = shop.said("update workergroup", group_id, "--gpu_ram", 48)

    row = _row(shop, "show workergroups")
    assert told == "workergroup update {'success': True}\n"
    assert (row["gpu_ram"], row["search_params"]) == (48.0, "verified=True rentable=True rented=False")


def test_a_workergroup_is_deleted(shop: Market) -> None:
    group_id = _workergroup(shop, _endpoint(shop))

    assert shop.said("delete workergroup", group_id) == "workergroup delete {'success': True}\n"
    assert shop.raw("show workergroups") == []


def test_a_workergroup_of_no_endpoint_is_refused(shop: Market) -> None:
    told = shop.said("create workergroup", "--endpoint_id", 4, "--launch_args", "--image x")

    assert "404 Client Error" in told
    assert shop.raw("show workergroups") == []


def test_an_endpoint_that_nobody_serves_has_no_workers(shop: Market) -> None:
    endpoint_id = _endpoint(shop)

    assert shop.raw("get endpt-workers", endpoint_id) == []
    assert shop.said("get endpt-workers", endpoint_id) == "No workers found.\n"


def test_the_logs_tell_what_happened_to_the_records(shop: Market) -> None:
    endpoint_id = _endpoint(shop)
    group_id = _workergroup(shop, endpoint_id)
    shop.said("update endpoint", endpoint_id, "--min_load", 3)

    lines = shop.said("get endpt-logs", endpoint_id).strip().split("\n")
    tail = shop.raw("get wrkgrp-logs", group_id, "--tail", 1)

    assert [line.partition(" ")[2] for line in lines] == [
        "created endpoint chat",
        f"created workergroup {group_id}",
        "changed min_load of endpoint chat",
    ]
    assert tail == {"info0": lines[-1], "info1": lines[-1], "trace": "", "debug": ""}


def test_an_update_of_workers_that_are_not_there_updates_none(shop: Market) -> None:
    group_id = _workergroup(shop, _endpoint(shop))

    assert shop.said("update workers", group_id) == f"Update started for workergroup {group_id} (0 workers)\n"
    assert shop.said("update workers", group_id, "--cancel") == f"Update cancelled for workergroup {group_id}\n"
    assert shop.said("update workers", 1) == "Error: workergroup 1 not found\n"


def test_with_a_router_everything_about_endpoints_is_the_routers(cli: Official, shop: Market) -> None:
    endpoint_id = _endpoint(shop, "of-the-router")
    with market(cli, router_url=shop.server.url) as front:
        assert [row["id"] for row in front.raw("show endpoints")] == [endpoint_id]
        assert front.raw("get endpt-workers", endpoint_id) == []
        assert "created endpoint of-the-router" in front.said("get endpt-logs", endpoint_id)
        front.said("update endpoint", endpoint_id, "--min_load", 7)
        assert not front.server.api.serverless.endpoints
        assert front.raw("show instances") == []

    assert _row(shop, "show endpoints")["min_load"] == 7.0


def test_a_router_that_is_away_is_told_as_such(cli: Official) -> None:
    with market(cli, router_url="http://127.0.0.1:9") as front:
        told = front.run("get endpt-workers", 1, "--retry", 1)

        assert "502" in told.err
