"""What a create may say, and what its environment means."""

from __future__ import annotations

import pytest

from sandbox.marketplace.docker_flags import parse_flag_string, read_flags
from sandbox.marketplace.environment import container_environment
from sandbox.marketplace.errors import Refused
from sandbox.marketplace.order import read_order
from tests.sandbox.marketplace.shop import CREATE, Json, Shop, told

# As the official client 1.9.1 sends it for a create with most of its flags.
OFFICIAL: Json = {
    "client_id": "me",
    "image": "vastai/base-image:@vastai-automatic-tag",
    "env": {"FOO": "bar", "-p 8000:8000": "1", "-p 8081:8081/udp": "1", "-h": "billy"},
    "price": None,
    "disk": 20.0,
    "label": "conf-a",
    "extra": None,
    "onstart": "echo hi",
    "image_login": None,
    "python_utf8": False,
    "lang_utf8": False,
    "use_jupyter_lab": False,
    "jupyter_dir": None,
    "force": False,
    "cancel_unavail": True,
    "template_hash_id": None,
    "user": None,
    "runtype": "ssh_direc ssh_proxy",
}


def test_the_official_clients_body_is_understood() -> None:
    order = read_order(OFFICIAL)

    assert (order.image, order.disk_mb, order.label, order.onstart) == (OFFICIAL["image"], 20_000, "conf-a", "echo hi")
    assert order.flags.variables == {"FOO": "bar"}
    assert order.flags.hostname == "billy"
    assert [port.key for port in order.ports] == ["8000/tcp", "8081/udp", "22/tcp"]
    assert order.bid_micro_usd_per_hour is None


@pytest.mark.parametrize(
    "change",
    [
        {"image": None},
        {"image": "x" * 1_025},
        {"image": 5},
        {"label": "x" * 257},
        {"disk": "big"},
        {"disk": -1},
        {"price": 0},
        {"price": 129},
        {"price": "cheap"},
        {"env": ["A=b"]},
        {"env": {"A": {"b": "c"}}},
        {"env": {"A" * 257: "b"}},
        {"env": {"A": "b" * 257}},
        {"env": {f"A{number}": "b" * 250 for number in range(200)}},
        {"env": {"-p 99999999:1": "1"}},
        {"env": {"-p nonsense": "1"}},
        {"env": {"-p 0": "1"}},
        {"onstart": "x" * 4_097},
        {"args": ["x" * 4_097]},
        {"use_ssh": True, "runtype": "ssh"},
        {"template_hash_id": "0" * 32},
    ],
)
def test_a_create_that_makes_no_sense_is_refused_in_words(change: Json) -> None:
    shop = Shop()

    reply = shop.ask("PUT", f"/api/v0/asks/{shop.offers()[0]['id']}/", {**CREATE, **change})

    assert reply.status == 400
    assert told(reply)["msg"]


def test_an_environment_string_is_not_applied_at_create() -> None:
    assert read_flags("-e A=b").variables == {}


def test_a_templates_environment_is_a_string_of_flags() -> None:
    assert parse_flag_string("-e A='b c' -p 8000:8000 --network host -h billy") == {
        "A": "b c",
        "-p 8000:8000": "1",
        "--network": "host",
        "-h": "billy",
    }


def test_a_template_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(Refused):
        parse_flag_string("-e 'A=b")


def test_a_disk_has_at_least_8_gb() -> None:
    assert read_order({"image": "x", "disk": 2}).disk_mb == 8_000


def test_a_disk_larger_than_the_offers_is_refused() -> None:
    shop = Shop()
    offer = shop.offers()[0]

    reply = shop.ask("PUT", f"/api/v0/asks/{offer['id']}/", {**CREATE, "disk": offer["disk_space"] + 1})

    assert reply.status == 400


def test_bids_are_kept_queued_and_rentals_cancelled_by_default() -> None:
    assert read_order({"image": "x", "price": 1.0}).cancel_unavail is False
    assert read_order({"image": "x"}).cancel_unavail is True


def test_a_create_that_is_to_stay_stopped_does() -> None:
    shop = Shop()

    answer = shop.put(f"/api/v0/asks/{shop.offers()[0]['id']}/", {**CREATE, "target_state": "stopped"})
    shop.wait(7_200)

    assert answer["success"] is False
    assert shop.row(answer["new_contract"])["cur_state"] == "stopped"


def test_a_container_gets_what_was_asked_for_and_what_the_marketplace_adds() -> None:
    shop = Shop()
    contract_id = shop.rent_running({"env": {"COLOUR": "blue", "-p 3000:3000": "1", "-p 9000:9000/udp": "1"}})
    row = shop.row(contract_id)

    environment = container_environment(shop.world.contracts.live[contract_id])

    assert environment["COLOUR"] == "blue"
    assert environment["CONTAINER_ID"] == str(contract_id)
    assert environment["PUBLIC_IPADDR"] == "127.0.0.1"
    assert environment["GPU_COUNT"] == str(row["num_gpus"])
    assert environment["VAST_TCP_PORT_3000"] == row["ports"]["3000/tcp"][0]["HostPort"]
    assert environment["VAST_UDP_PORT_9000"] == row["ports"]["9000/udp"][0]["HostPort"]
    assert environment["SIM_GPU_NAME"] == row["gpu_name"]
    assert float(environment["SIM_DLPERF"]) == pytest.approx(row["dlperf"], rel=1e-5)
    assert not any(name.startswith("-") for name in environment)


def test_a_port_above_65535_is_the_same_inside_and_outside() -> None:
    shop = Shop()
    contract_id = shop.rent_running({"env": {"-p 70000:70000": "1"}, "runtype": "args"})
    ports = shop.row(contract_id)["ports"]

    environment = container_environment(shop.world.contracts.live[contract_id])

    assert list(ports) == [f"{environment['VAST_TCP_PORT_70000']}/tcp"]


def test_ports_stay_the_same_over_a_stop_and_a_start() -> None:
    shop = Shop()
    contract_id = shop.rent_running()
    before = shop.row(contract_id)["ports"]
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
    shop.wait(60)
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "running"})
    shop.wait(60)

    assert shop.row(contract_id)["ports"] == before


def test_secrets_of_a_contract_are_not_in_its_repr() -> None:
    shop = Shop()
    contract = shop.world.contracts.live[shop.rent()]

    assert contract.instance_key not in repr(contract)
    assert contract.jupyter_token not in repr(contract)
