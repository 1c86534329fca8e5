"""An instance through the API: its states, its row, lists, logs and what changes it."""

from __future__ import annotations

import json

import pytest

from sandbox.marketplace.agenda import HostSays
from sandbox.marketplace.faults import Fate, FaultOptions, Span
from sandbox.marketplace.lifecycle import Event
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import CREATE, QUIET, Json, Shop, told


@pytest.fixture
def shop() -> Shop:
    """A quiet market."""
    return Shop()


def _states(row: Json) -> tuple[object, ...]:
    return row["actual_status"], row["intended_status"], row["cur_state"], row["next_state"]


def _status_until(shop: Shop, contract_id: int, status: object) -> None:
    """Let time pass, from event to event, until the instance shows `status`."""
    while shop.row(contract_id)["actual_status"] != status:
        due_s = shop.world.next_event_s()
        assert due_s is not None, f"{contract_id} never showed {status}"
        shop.now_s = max(due_s, shop.now_s)


def test_a_create_answers_with_the_instance_id_and_its_key(shop: Shop) -> None:
    answer = shop.put(f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)

    assert answer["success"] is True
    assert isinstance(answer["new_contract"], int)
    assert len(answer["instance_api_key"]) == 64


def test_a_new_instance_shows_nothing_of_its_host_yet(shop: Shop) -> None:
    row = shop.row(shop.rent())

    assert _states(row) == (None, "running", "running", "running")
    assert row["status_msg"] is None
    assert "ports" not in row
    assert (row["direct_port_start"], row["disk_usage"], row["gpu_util"]) == (-1, -1, None)


def test_it_loads_with_progress_and_then_runs_with_ports(shop: Shop) -> None:
    contract_id = shop.rent()
    _status_until(shop, contract_id, "loading")
    loading = shop.row(contract_id)
    _status_until(shop, contract_id, "running")
    running = shop.row(contract_id)

    assert loading["status_msg"].endswith((": Downloading\n", ": Pull complete\n"))
    assert "ports" not in loading
    assert running["status_msg"].startswith("success, running vendor/image:1/")
    assert int(running["ports"]["3000/tcp"][0]["HostPort"]) > 0


def test_a_boot_takes_minutes_and_a_cached_image_seconds(shop: Shop) -> None:
    first = shop.rent()
    start_s = shop.now_s
    _status_until(shop, first, "running")
    cold_s = shop.now_s - start_s
    machine_id = shop.row(first)["machine_id"]
    shop.delete(f"/api/v0/instances/{first}/")
    ask_id = next(row["id"] for row in shop.offers() if row["machine_id"] == machine_id)
    second = shop.put(f"/api/v0/asks/{ask_id}/", CREATE)["new_contract"]
    start_s = shop.now_s
    _status_until(shop, second, "running")

    assert cold_s > 35
    assert shop.now_s - start_s < 30


def test_boot_speed_divides_boot_times_and_leaves_money_alone() -> None:
    slow, fast = Shop(), Shop(WorldOptions(market=QUIET, boot_speed=100.0))
    slow_id, fast_id = slow.rent(), fast.rent()
    hourly = fast.world.contracts.live[fast_id].tariff.gpu_micro_usd_per_hour
    fast.wait(60)
    slow.wait(60)

    assert fast.row(fast_id)["actual_status"] == "running"
    assert slow.row(slow_id)["actual_status"] == "loading"
    paid = fast.bill(fast_id)["gpu_micro_usd"]
    fast.wait(3_600)
    assert abs(fast.bill(fast_id)["gpu_micro_usd"] - paid - hourly) <= 1


def test_a_stop_is_asynchronous_and_ends_exited(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})

    assert _states(shop.row(contract_id)) == ("running", "stopped", "running", "stopped")
    shop.wait(15)
    assert _states(shop.row(contract_id)) == ("exited", "stopped", "stopped", "stopped")


def test_a_start_brings_it_back_within_a_minute(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
    shop.wait(60)
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "running"})

    assert shop.row(contract_id)["intended_status"] == "running"
    shop.wait(60)
    assert shop.row(contract_id)["actual_status"] == "running"


def test_only_running_costs_a_gpu_but_everything_costs_a_disk(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
    shop.wait(60)
    before = shop.bill(contract_id)
    shop.wait(36_000)
    after = shop.bill(contract_id)

    assert after["gpu_micro_usd"] == before["gpu_micro_usd"]
    assert after["storage_micro_usd"] > before["storage_micro_usd"]


def test_a_stopped_instance_gives_its_gpus_to_others_and_waits_for_them(shop: Shop) -> None:
    contract_id = shop.rent_running()
    machine_id = shop.row(contract_id)["machine_id"]
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
    shop.wait(60)
    taken = []
    while rows := [row for row in shop.offers({"limit": 3_000}) if row["machine_id"] == machine_id]:
        taken.append(shop.put(f"/api/v0/asks/{rows[-1]['id']}/", {**CREATE, "disk": 8})["new_contract"])

    reply = shop.ask("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"})

    assert reply.status == 200
    assert told(reply)["success"] is False
    assert told(reply)["error"] == "resources_unavailable"
    assert _states(shop.row(contract_id)) == ("exited", "running", "stopped", "running")
    for other in taken:
        shop.delete(f"/api/v0/instances/{other}/")
    shop.wait(60)
    assert shop.row(contract_id)["actual_status"] == "running"


def test_a_destroyed_instance_is_null_and_cannot_be_destroyed_again(shop: Shop) -> None:
    contract_id = shop.rent_running()
    assert shop.delete(f"/api/v0/instances/{contract_id}/") == {"success": True}

    again = shop.ask("DELETE", f"/api/v0/instances/{contract_id}/", {})

    assert shop.get(f"/api/v0/instances/{contract_id}/") == {"instances": None}
    assert (again.status, told(again)["error"]) == (404, "no_such_instance")


def test_a_destroyed_instance_costs_nothing_more(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.delete(f"/api/v0/instances/{contract_id}/")
    before = shop.bill(contract_id)

    shop.wait(86_400)

    assert shop.bill(contract_id) == before


def test_the_price_of_a_row_includes_its_disk(shop: Shop) -> None:
    row = shop.row(shop.rent())

    assert row["dph_total"] == row["dph_base"] + row["storage_cost"] * row["disk_space"] / 720
    assert row["vram_costperhour"] == row["dph_total"] / row["gpu_totalram"]


def test_rows_are_what_the_official_client_can_read(shop: Shop) -> None:
    row = shop.row(shop.rent())

    assert isinstance(row["start_date"], float)
    assert row["extra_env"] == [["COLOUR", "blue"], ["-p 3000:3000", "1"]]
    assert row["public_ipaddr"].strip() == "127.0.0.1"


def test_a_label_can_be_changed(shop: Shop) -> None:
    contract_id = shop.rent()
    shop.put(f"/api/v0/instances/{contract_id}/", {"label": "other"})

    assert shop.row(contract_id)["label"] == "other"


@pytest.mark.parametrize(("body", "error"), [({"label": "x" * 1_025}, "invalid_args"), ({"state": "asleep"}, None), ({}, None)])
def test_a_change_that_makes_no_sense_is_refused(shop: Shop, body: Json, error: str | None) -> None:
    reply = shop.ask("PUT", f"/api/v0/instances/{shop.rent()}/", body)

    assert reply.status == 400
    assert told(reply).get("error") == error


@pytest.mark.parametrize("action", ["reboot", "recycle"])
def test_a_restart_keeps_the_gpus(shop: Shop, action: str) -> None:
    contract_id = shop.rent_running()
    held = shop.world.contracts.live[contract_id].gpu_ids
    shop.put(f"/api/v0/instances/{action}/{contract_id}/", {})

    assert shop.row(contract_id)["actual_status"] == {"reboot": "rebooting", "recycle": "recycling"}[action]
    shop.wait(60)
    assert shop.row(contract_id)["actual_status"] == "running"
    assert shop.world.contracts.live[contract_id].gpu_ids == held


@pytest.mark.parametrize("action", ["reboot", "recycle"])
def test_a_restart_of_what_does_not_run_fails_with_status_200(shop: Shop, action: str) -> None:
    reply = shop.ask("PUT", f"/api/v0/instances/{action}/{shop.rent()}/", {})

    assert reply.status == 200
    assert told(reply)["error"] == "invalid_id"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v0/instances/1/"),
        ("DELETE", "/api/v0/instances/1/"),
        ("PUT", "/api/v0/instances/reboot/1/"),
        ("PUT", "/api/v0/instances/bid_price/1/"),
        ("PUT", "/api/v0/instances/request_logs/1/"),
    ],
)
def test_what_does_not_exist_cannot_be_changed(shop: Shop, method: str, path: str) -> None:
    reply = shop.ask(method, path, {"state": "stopped", "price": 1.0})

    assert (reply.status, told(reply)["error"]) == (404, "no_such_instance")


def test_several_can_be_stopped_and_destroyed_at_once(shop: Shop) -> None:
    ids = [shop.rent_running(), shop.rent_running()]
    assert shop.put("/api/v0/instances/", {"ids": ids, "state": "stopped"}) == {"success": True}
    shop.wait(60)
    assert [shop.row(contract_id)["actual_status"] for contract_id in ids] == ["exited", "exited"]

    assert shop.delete("/api/v0/instances/", {"instance_ids": [*ids, 1]}) == {"success": True}
    assert [shop.row(contract_id) for contract_id in ids] == [{}, {}]
    assert shop.ask("DELETE", "/api/v0/instances/", {"instance_ids": ids}).status == 404


def test_lists_come_in_pages_of_25_with_a_token(shop: Shop) -> None:
    ids = [shop.rent() for _ in range(30)]

    first = shop.get("/api/v1/instances/", limit=100)
    second = shop.get("/api/v1/instances/", limit=100, after_token=first["next_token"])

    assert [row["id"] for row in first["instances"] + second["instances"]] == ids
    assert (first["instances_found"], first["total_instances"], second["next_token"]) == (25, 30, None)


def test_pages_follow_any_order(shop: Shop) -> None:
    ids = [shop.rent({"label": f"label-{number % 3}"}) for number in range(9)]
    order = [{"col": "label", "dir": "desc"}]
    seen: list[tuple[str, int]] = []
    token: str | None = ""
    while token is not None:
        page = shop.get("/api/v1/instances/", limit=2, order_by=order, **({"after_token": token} if token else {}))
        seen += [(row["label"], row["id"]) for row in page["instances"]]
        token = page["next_token"]

    assert sorted(contract_id for _, contract_id in seen) == ids
    assert [label for label, _ in seen] == sorted((label for label, _ in seen), reverse=True)


def test_lists_can_be_filtered_by_label(shop: Shop) -> None:
    wanted = shop.rent({"label": "headgate/a/b/c"})
    shop.rent({"label": "other"})

    page = shop.get("/api/v1/instances/", select_filters={"label": {"eq": "headgate/a/b/c"}})

    assert [row["id"] for row in page["instances"]] == [wanted]
    assert page["label_counts"] == {"headgate/a/b/c": 1}


def test_underscores_in_labels_mean_themselves(shop: Shop) -> None:
    shop.rent({"label": "a_b"})

    assert not shop.get("/api/v1/instances/", select_filters={"label": {"eq": "a b"}})["instances"]


def test_computed_columns_cannot_be_filtered(shop: Shop) -> None:
    reply = shop.ask("GET", "/api/v1/instances/", query={"select_filters": {"dph_total": {"lt": 1}}})

    assert reply.status == 400
    assert told(reply)["msg"] == "Error in query parameters: dph_total is not a valid search key"


@pytest.mark.parametrize("token", ["???", "e30=", "eyJ2YWx1ZXMiOnsiaWQiOiJ4In19"])
def test_a_token_that_is_none_is_refused(shop: Shop, token: str) -> None:
    shop.rent()

    assert shop.ask("GET", "/api/v1/instances/", query={"after_token": token}).status == 400


def test_columns_of_a_list_can_be_chosen(shop: Shop) -> None:
    contract_id = shop.rent()

    assert shop.get("/api/v1/instances/", select_cols=["id", "nonsense"])["instances"] == [{"id": contract_id, "nonsense": None}]


def test_the_legacy_list_has_everything_at_once(shop: Shop) -> None:
    ids = [shop.rent() for _ in range(30)]

    answer = shop.get("/api/v0/instances/")

    assert [row["id"] for row in answer["instances"]] == ids
    assert answer["instances_found"] == 30


def test_filters_name_what_occurs(shop: Shop) -> None:
    row = shop.row(shop.rent_running())

    filters = shop.get("/api/v0/instances/filters/")["filters"]

    assert filters == [{"actual_status": "running", "verification": row["verification"], "gpu_name": row["gpu_name"]}]


def test_daemon_logs_tell_the_hosts_side_without_a_key(shop: Shop) -> None:
    contract_id = shop.rent_running()
    url = shop.put(f"/api/v0/instances/request_logs/{contract_id}/", {"tail": "100", "daemon_logs": "true"})["result_url"]

    reply = shop.ask("GET", url.removeprefix("http://127.0.0.1"), key=None)

    assert b"running" in reply.body
    assert shop.ask("GET", "/instance_logs/guessed.log", key=None).status == 404


def test_the_contract_ends_when_its_hosts_promise_does(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.post("/_sim/credit", {"usd": 1_000_000_000})
    ends_s = shop.row(contract_id)["end_date"]

    shop.wait(ends_s - shop.now_s + 60)

    assert shop.row(contract_id)["actual_status"] == "exited"
    assert told(shop.ask("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"}))["error"] == "resources_unavailable"


def test_an_instances_own_key_rules_only_that_instance(shop: Shop) -> None:
    answer = shop.put(f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)
    other, key = shop.rent(), answer["instance_api_key"]

    assert shop.ask("PUT", f"/api/v0/instances/{answer['new_contract']}/", {"state": "stopped"}, key=key).status == 200
    assert shop.ask("DELETE", f"/api/v0/instances/{other}/", {}, key=key).status == 401
    assert shop.ask("GET", "/api/v1/instances/", key=key).status == 401


def test_a_bid_below_the_price_makes_a_stopped_contract_that_bills(shop: Shop) -> None:
    body = {**CREATE, "price": 0.001, "cancel_unavail": None}

    answer = shop.put(f"/api/v0/asks/{shop.offers()[0]['id']}/", body)

    contract_id = answer["new_contract"]
    assert answer["success"] is False
    assert _states(shop.row(contract_id)) == ("stopped", "stopped", "stopped", "stopped")
    shop.wait(36_000)
    assert shop.bill(contract_id)["storage_micro_usd"] > 0


def test_a_raised_bid_starts_it(shop: Shop) -> None:
    body = {**CREATE, "price": 0.001, "cancel_unavail": False}
    contract_id = shop.put(f"/api/v0/asks/{shop.offers()[0]['id']}/", body)["new_contract"]

    shop.put(f"/api/v0/instances/bid_price/{contract_id}/", {"client_id": "me", "price": 30.0})
    shop.wait(7_200)

    row = shop.row(contract_id)
    assert (row["actual_status"], row["dph_base"], row["is_bid"]) == ("running", 30.0, True)


def test_an_outbid_contract_pauses_and_resumes(shop: Shop) -> None:
    contract_id = shop.rent_running({"price": 3.0})
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": "outbid"})
    shop.wait(30)
    paused = shop.row(contract_id)
    shop.wait(2 * 3_600 + 60)

    assert _states(paused) == ("exited", "stopped", "stopped", "stopped")
    assert shop.row(contract_id)["actual_status"] == "running"


def test_the_price_of_an_on_demand_contract_cannot_be_bid(shop: Shop) -> None:
    reply = shop.ask("PUT", f"/api/v0/instances/bid_price/{shop.rent()}/", {"price": 1.0})

    assert (reply.status, told(reply)["msg"]) == (400, "Can't change price of on-demand contract.")


@pytest.mark.parametrize("fate", [Fate.GOES_SILENT, Fate.GOES_OFFLINE])
def test_a_machine_that_is_not_heard_hides_its_instance_and_returns(shop: Shop, fate: Fate) -> None:
    contract_id = shop.rent_running()
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": fate})
    unheard = shop.row(contract_id)
    shop.wait(2 * 3_600)

    assert unheard["actual_status"] == {"goes_silent": "unknown", "goes_offline": "offline"}[fate]
    assert unheard["intended_status"] == "running"
    assert "ports" not in unheard
    assert shop.row(contract_id)["actual_status"] == "running"


def test_a_late_report_about_an_earlier_phase_is_void(shop: Shop) -> None:
    contract_id = shop.rent()
    contract = shop.world.contracts.live[contract_id]
    late = HostSays(contract_id, contract.epoch - 1, Event.HOST_CONTACTED)

    shop.world.contracts.hear(late, shop.world.now_us)

    assert shop.row(contract_id)["actual_status"] is None


def test_the_end_of_one_outage_does_not_end_the_next() -> None:
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(outage=Span(least_s=50.0, most_s=60.0))))
    contract_id = shop.rent_running()
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": "goes_silent"})
    shop.wait(40)
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": "goes_offline"})

    shop.wait(30)
    assert shop.row(contract_id)["actual_status"] == "offline"
    shop.wait(60)
    assert shop.row(contract_id)["actual_status"] == "running"


def test_an_offline_machine_bills_nothing(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.post(f"/_sim/instances/{contract_id}/vanish", {})
    before = shop.bill(contract_id)

    shop.wait(86_400)

    assert shop.bill(contract_id) == before
    assert shop.row(contract_id)["actual_status"] == "offline"


def test_a_stop_that_the_host_did_not_hear_happens_when_it_returns(shop: Shop) -> None:
    contract_id = shop.rent_running()
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": "goes_offline"})
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})

    assert shop.row(contract_id)["actual_status"] == "offline"
    shop.wait(2 * 3_600)
    assert shop.row(contract_id)["actual_status"] == "exited"


def test_an_accept_of_taken_gpus_can_be_left_queued_and_bills(shop: Shop) -> None:
    ask_id = shop.offers()[0]["id"]
    shop.world.snatch(ask_id, shop.now_s)

    refused = shop.ask("PUT", f"/api/v0/asks/{ask_id}/", CREATE)
    queued = told(shop.ask("PUT", f"/api/v0/asks/{ask_id}/", {**CREATE, "cancel_unavail": False}))

    assert (refused.status, told(refused)["error"]) == (410, "no_such_ask")
    assert queued["success"] is False
    assert shop.row(queued["new_contract"])["cur_state"] == "stopped"


def test_templates_supply_what_a_create_leaves_out(shop: Shop) -> None:
    made = shop.post("/api/v0/template/", {"name": "t", "image": "vendor/other", "tag": "2", "env": "-e A=b -p 8000:8000"})
    again = shop.post("/api/v0/template/", {"name": "t", "image": "vendor/other", "tag": "2", "env": "-e A=b -p 8000:8000"})
    body = {"template_hash_id": made["template"]["hash_id"], "image": None, "env": {"C": "d"}}

    row = shop.row(shop.rent(body))

    assert again["success"] is False
    assert row["image_uuid"] == "vendor/other:2"
    assert dict(row["extra_env"]) == {"A": "b", "-p 8000:8000": "1", "C": "d"}
    assert row["template_id"] == made["template"]["id"]


def test_several_offers_can_be_accepted_at_once(shop: Shop) -> None:
    machines = {row["machine_id"]: row["id"] for row in shop.offers()}
    first, second, *_ = machines.values()

    answer = shop.post("/api/v0/asks/bulk/", {**CREATE, "ids": [first, second, 1]})

    assert len(answer["created"]) == 2
    assert answer["failed"] == [1]


def test_a_busy_market_is_listed_as_json_that_parses() -> None:
    shop = Shop(WorldOptions(market=MarketOptions(machines=100)))

    assert json.loads(shop.ask("POST", "/api/v0/bundles/", {"limit": 3_000}).body)["offers"]
