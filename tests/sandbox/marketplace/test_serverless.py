"""Endpoints, workergroups and the router's calls, where the official client's own checks do not reach."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sandbox.marketplace.api import Reply
from sandbox.marketplace.serverless import LOG_LINES_MAX, RECORDS_MAX
from tests.sandbox.marketplace.shop import KEY, Json, Shop, told

ENDPOINTS, GROUPS = "/api/v0/endptjobs/", "/api/v0/workergroups/"


@pytest.fixture
def shop() -> Shop:
    """A quiet market."""
    return Shop()


def _endpoint(shop: Shop, name: str = "chat", **fields: object) -> int:
    number: int = shop.post(ENDPOINTS, {"endpoint_name": name, **fields})["result"]
    return number


def _group(shop: Shop, endpoint_id: int, **fields: object) -> int:
    number: int = shop.post(GROUPS, {"endpoint_id": endpoint_id, "launch_args": "--image x", "search_params": "", **fields})["id"]
    return number


def _token(shop: Shop, endpoint_id: int) -> str:
    token: str = shop.get(f"{ENDPOINTS}{endpoint_id}/")["result"]["api_key"]
    return token


def test_what_the_sdk_indexes_without_a_default_is_in_every_row(shop: Shop) -> None:
    endpoint_id = _endpoint(shop)

    (listed,) = shop.get(ENDPOINTS)["results"]
    shown = shop.get(f"{ENDPOINTS}{endpoint_id}/")["result"]
    assert listed == shown
    assert all(shown[name] is not None for name in ("id", "endpoint_name", "api_key", "user_id", "created_at"))


def test_a_create_without_a_field_takes_the_default(shop: Shop) -> None:
    row = shop.get(f"{ENDPOINTS}{_endpoint(shop)}/")["result"]

    assert (row["target_util"], row["cold_workers"], row["endpoint_state"]) == (0.9, 5, "active")


@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint_name": ""},
        {"endpoint_name": 5},
        {"endpoint_name": "x" * 257},
        {"endpoint_name": "b", "min_load": "10"},
        {"endpoint_name": "b", "min_load": True},
        {"endpoint_name": "b", "min_load": -0.5},
        {"endpoint_name": "b", "target_util": 0},
        {"endpoint_name": "b", "target_util": 1.01},
        {"endpoint_name": "b", "cold_workers": 1.5},
        {"endpoint_name": "b", "max_workers": 10_001},
        {"endpoint_name": "b", "endpoint_state": "paused"},
        {"endpoint_name": "b", "max_queue_time": -1},
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(shop: Shop, fields: Json) -> None:
    reply = shop.ask("POST", ENDPOINTS, fields)

    name = list(fields)[-1]
    assert (reply.status, told(reply)["error"]) == (400, "invalid_args")
    assert told(reply)["msg"].startswith(name)
    assert shop.get(ENDPOINTS)["results"] == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_cannot_repeat_is_refused(shop: Shop, number: str) -> None:
    body = f'{{"endpoint_name": "b", "min_load": {number}}}'.encode()

    assert shop.api.handle(shop.request("POST", ENDPOINTS, body), now_s=shop.now_s).status == 400


def test_an_endpoint_may_be_renamed_but_not_to_a_name_that_is_taken(shop: Shop) -> None:
    first, _ = _endpoint(shop, "one"), _endpoint(shop, "two")

    assert shop.ask("PUT", f"{ENDPOINTS}{first}/", {"endpoint_name": "two"}).status == 400
    assert shop.put(f"{ENDPOINTS}{first}/", {"endpoint_name": "one", "endptjob_id": first}) == {"success": True}
    shop.put(f"{ENDPOINTS}{first}/", {"endpoint_name": "three"})

    assert [row["endpoint_name"] for row in shop.get(ENDPOINTS)["results"]] == ["three", "two"]


def test_an_endpoint_keeps_its_token_and_the_token_is_not_the_accounts_key(shop: Shop) -> None:
    endpoint_id = _endpoint(shop)
    token = _token(shop, endpoint_id)

    shop.put(f"{ENDPOINTS}{endpoint_id}/", {"min_load": 5})

    assert _token(shop, endpoint_id) == token
    assert set(json.loads(base64.b64decode(token))) == {"msg", "signature"}
    assert KEY not in base64.b64decode(token).decode()
    assert shop.ask("GET", ENDPOINTS, key=token).status == 401


def test_both_names_of_the_groups_are_the_same_records(shop: Shop) -> None:
    group_id = _group(shop, _endpoint(shop))

    assert shop.get("/api/v0/autojobs/") == shop.get(GROUPS)
    shop.put(f"/api/v0/autojobs/{group_id}/", {"gpu_ram": 48, "search_params": "gpu_ram>8"})
    assert shop.get(GROUPS)["results"][0]["gpu_ram"] == 48
    shop.delete(f"{GROUPS}{group_id}/")
    assert shop.get("/api/v0/autojobs/")["results"] == []


def test_a_search_may_come_as_an_object(shop: Shop) -> None:
    _group(shop, _endpoint(shop), search_params={"gpu_ram": {"gte": 8_000}})

    (row,) = shop.get(GROUPS)["results"]
    assert row["search_params"] == row["search_query"] == {"gpu_ram": {"gte": 8_000}}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"endpoint_id": 999}, 404),
        ({"endpoint_id": "5001"}, 400),
        ({"endpoint_id": None}, 400),
        ({"endpoint_id": None, "endpoint_name": "unknown"}, 400),
        ({"launch_args": None}, 400),
        ({"launch_args": None, "template_hash": "f" * 32}, 400),
        ({"search_params": "gpu_ram >"}, 400),
        ({"search_params": 5}, 400),
        ({"gpu_ram": "much"}, 400),
    ],
)
def test_a_group_that_cannot_be_is_refused_and_not_kept(shop: Shop, fields: Json, status: int) -> None:
    body = {"endpoint_id": _endpoint(shop), "launch_args": "--image x", "search_params": "", **fields}

    reply = shop.ask("POST", GROUPS, body)

    assert (reply.status, told(reply)["success"]) == (status, False)
    assert shop.get(GROUPS)["results"] == []


def test_a_group_can_move_to_another_endpoint(shop: Shop) -> None:
    first, second = _endpoint(shop, "one"), _endpoint(shop, "two")
    group_id = _group(shop, first)

    shop.put(f"{GROUPS}{group_id}/", {"endpoint_name": "two", "search_params": ""})

    assert shop.get(GROUPS)["results"][0]["endpoint_id"] == second


def test_there_is_an_end_to_records(shop: Shop) -> None:
    for number in range(RECORDS_MAX):
        _endpoint(shop, f"e{number}")

    assert shop.ask("POST", ENDPOINTS, {"endpoint_name": "one-more"}).status == 400


def _asked(shop: Shop, path: str, body: Json, *, key: str | None = None) -> Reply:
    return shop.ask("POST", path, body, key=key)


@pytest.mark.parametrize("path", ["/get_endpoint_workers/", "/get_endpoint_workers", "/get_endpoint_logs/"])
def test_the_router_takes_the_accounts_key_and_the_endpoints_token_in_three_places(shop: Shop, path: str) -> None:
    endpoint_id = _endpoint(shop)
    for key in (KEY, _token(shop, endpoint_id)):
        replies = [
            _asked(shop, path, {"id": endpoint_id}, key=key),
            _asked(shop, path, {"id": endpoint_id, "api_key": key}),
            shop.ask("POST", path, {"id": endpoint_id}, key=None, query={"api_key": key}),
        ]
        assert [reply.status for reply in replies] == [200, 200, 200]


def test_a_token_opens_its_own_endpoint_alone(shop: Shop) -> None:
    mine, other = _endpoint(shop, "mine"), _endpoint(shop, "other")
    token = _token(shop, mine)

    assert _asked(shop, "/get_endpoint_workers/", {"endpoint": "mine"}, key=token).status == 200
    for body in ({"id": other}, {"endpoint": "other"}, {"id": 1}):
        reply = _asked(shop, "/get_endpoint_workers/", body, key=token)
        assert (reply.status, told(reply)) == (401, {"error_msg": "Invalid API key"})


def test_a_groups_calls_are_its_endpoints(shop: Shop) -> None:
    group_id = _group(shop, _endpoint(shop))

    for path in ("/get_autogroup_workers/", "/get_workergroup_workers/"):
        assert json.loads(_asked(shop, path, {"id": group_id}, key=KEY).body) == []
    for path in ("/get_autogroup_logs/", "/get_workergroup_logs/"):
        assert "created workergroup" in told(_asked(shop, path, {"id": group_id}, key=KEY))["info1"]


@pytest.mark.parametrize(
    ("path", "body", "msg"),
    [
        ("/get_endpoint_workers/", {"id": 1}, "endpoint 1 not found"),
        ("/get_endpoint_workers/", {}, "endpoint None not found"),
        ("/get_workergroup_workers/", {"id": "x"}, "workergroup x not found"),
        ("/get_endpoint_logs/", {"endpoint": "chat", "tail": -1}, "tail must be a number of lines"),
        ("/get_endpoint_logs/", {"endpoint": "chat", "tail": "all"}, "tail must be a number of lines"),
    ],
)
def test_the_routers_errors_have_a_shape_of_their_own(shop: Shop, path: str, body: Json, msg: str) -> None:
    _endpoint(shop)

    reply = _asked(shop, path, body, key=KEY)

    assert (reply.status, told(reply)) == (400, {"error_msg": msg})


def test_an_update_of_an_unknown_group_is_told_with_success(shop: Shop) -> None:
    reply = _asked(shop, "/update_workers/", {"workergroup_id": 1}, key=KEY)
    strange = _asked(shop, "/update_workers/", {"workergroup_id": 1}, key="wrong")

    assert (reply.status, told(reply)) == (200, {"success": False, "error_msg": "workergroup 1 not found"})
    assert strange.status == 401


def test_a_log_keeps_its_last_lines(shop: Shop) -> None:
    endpoint_id = _endpoint(shop)
    for number in range(LOG_LINES_MAX + 5):
        shop.put(f"{ENDPOINTS}{endpoint_id}/", {"min_load": number})

    answer: dict[str, Any] = told(_asked(shop, "/get_endpoint_logs/", {"id": endpoint_id}, key=KEY))
    assert len(answer["info0"].split("\n")) == LOG_LINES_MAX
    assert told(_asked(shop, "/get_endpoint_logs/", {"id": endpoint_id, "tail": 0}, key=KEY))["info0"] == ""
