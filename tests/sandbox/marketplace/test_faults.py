"""Everything that can go wrong does, when told to, in the shape that the API has."""

from __future__ import annotations

import pytest

from sandbox.marketplace.faults import (
    FATE_WEIGHTS,
    UNDRAWN_FATES,
    AnswerFault,
    Chance,
    Fate,
    FaultOptions,
    Operation,
    Scripted,
    Span,
    Trust,
    trust_of,
)
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import CREATE, QUIET, Json, Shop, told

WEEK_S = 7 * 86_400.0


def _scripted(operation: Operation, fault: AnswerFault | Fate, *, call: int = 1) -> Shop:
    faults = FaultOptions(
        scripted=(Scripted(operation=operation, call=call, fault=fault),),
        strikes_after=Span(least_s=100.0, most_s=200.0),
        outage=Span(least_s=50.0, most_s=60.0),
    )
    return Shop(WorldOptions(market=QUIET, faults=faults))


def _states(row: Json) -> tuple[object, ...]:
    return row["actual_status"], row["intended_status"]


def _contracts(shop: Shop) -> list[Json]:
    rows: list[Json] = shop.get("/_sim/contracts")["contracts"]
    return rows


@pytest.mark.parametrize(
    ("fault", "status"),
    [(AnswerFault.OFFER_GONE_404, 404), (AnswerFault.OFFER_GONE_410, 410), (AnswerFault.OFFER_GONE_400, 400)],
)
def test_an_offer_can_be_gone_in_three_ways(fault: AnswerFault, status: int) -> None:
    shop = _scripted(Operation.CREATE, fault)
    ask_id = shop.offers()[0]["id"]

    reply = shop.ask("PUT", f"/api/v0/asks/{ask_id}/", CREATE)

    assert reply.status == status
    assert b"no_such_ask" in reply.body
    assert ask_id not in {row["id"] for row in shop.offers()}
    assert not _contracts(shop)


def test_a_contract_can_be_created_stopped_and_bill() -> None:
    shop = _scripted(Operation.CREATE, AnswerFault.CREATED_STOPPED)

    answer = shop.put(f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)
    shop.wait(36_000)

    assert answer["success"] is False
    assert shop.bill(answer["new_contract"])["storage_micro_usd"] > 0
    assert shop.row(answer["new_contract"])["cur_state"] == "stopped"


def test_it_may_never_be_scheduled() -> None:
    shop = _scripted(Operation.CREATE, Fate.NEVER_SCHEDULED)
    contract_id = shop.rent()

    shop.wait(WEEK_S / 7)

    assert _states(shop.row(contract_id)) == (None, "running")


def test_it_may_load_for_ever() -> None:
    shop = _scripted(Operation.CREATE, Fate.LOADING_FOR_EVER)
    contract_id = shop.rent()

    shop.wait(86_000)

    assert _states(shop.row(contract_id)) == ("loading", "running")
    assert shop.bill(contract_id)["gpu_micro_usd"] == 0


def test_docker_may_fail_with_a_message_and_nothing_else() -> None:
    shop = _scripted(Operation.CREATE, Fate.DOCKER_ERROR)
    contract_id = shop.rent()

    shop.wait(3_600)

    assert _states(shop.row(contract_id)) == ("loading", "running")
    assert shop.row(contract_id)["status_msg"].startswith("Error response from daemon: ")


def test_the_runtime_may_fail_after_creating_the_container() -> None:
    shop = _scripted(Operation.CREATE, Fate.OCI_ERROR)
    contract_id = shop.rent()

    shop.wait(3_600)

    assert _states(shop.row(contract_id)) == ("created", "running")
    assert "OCI runtime create failed" in shop.row(contract_id)["status_msg"]


def test_it_may_exit_after_running_and_no_longer_cost_a_gpu() -> None:
    shop = _scripted(Operation.CREATE, Fate.EXITS)
    contract_id = shop.rent()
    shop.wait(7_200)
    before = shop.bill(contract_id)["gpu_micro_usd"]

    shop.wait(3_600)

    assert _states(shop.row(contract_id)) == ("exited", "running")
    assert shop.bill(contract_id)["gpu_micro_usd"] == before > 0


@pytest.mark.parametrize(("fate", "status"), [(Fate.GOES_OFFLINE, "offline"), (Fate.GOES_SILENT, "unknown")])
def test_it_may_be_lost_for_a_while(fate: Fate, status: str) -> None:
    shop = _scripted(Operation.CREATE, fate)
    contract_id = shop.rent()

    shop.wait(7_200)

    shown = [status for _, _, status in _contracts(shop)[0]["history"]]
    assert shown == [None, "loading", "running", status, "running"]
    assert shop.row(contract_id)["actual_status"] == "running"


def test_its_machine_may_vanish_for_ever() -> None:
    shop = _scripted(Operation.CREATE, Fate.VANISHES)
    contract_id = shop.rent()
    machine_id = shop.row(contract_id)["machine_id"]

    shop.wait(WEEK_S)

    assert _states(shop.row(contract_id)) == ("offline", "running")
    assert machine_id not in {row["machine_id"] for row in shop.offers({"limit": 3_000})}


def test_it_may_be_slower_than_it_says() -> None:
    shop = _scripted(Operation.CREATE, Fate.SLOW)

    assert shop.world.contracts.live[shop.rent()].performance == 0.3


def test_it_may_run_and_be_deaf() -> None:
    shop = _scripted(Operation.CREATE, Fate.DEAF)
    contract_id = shop.rent_running()

    assert shop.row(contract_id)["ports"]
    assert not shop.world.take_effects()


def test_a_start_may_find_the_gpus_taken_and_happen_later() -> None:
    shop = _scripted(Operation.START, AnswerFault.RESOURCES_UNAVAILABLE)
    contract_id = shop.rent_running()
    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
    shop.wait(60)

    reply = shop.ask("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"})

    assert (reply.status, told(reply)["error"]) == (200, "resources_unavailable")
    shop.wait(WEEK_S)
    assert shop.row(contract_id)["actual_status"] in {"running", "exited"}
    assert "running" in [status for _, _, status in _contracts(shop)[0]["history"][-2:]]


def test_too_many_requests_are_answered_in_plain_text() -> None:
    shop = _scripted(Operation.SEARCH, AnswerFault.RATE_LIMITED)

    reply = shop.ask("POST", "/api/v0/bundles/", {})

    assert (reply.status, reply.content_type) == (429, "text/plain")
    assert reply.body == b"API requests too frequent: endpoint threshold=2.0"


def test_a_server_error_before_the_effect_has_none() -> None:
    shop = _scripted(Operation.CREATE, AnswerFault.SERVER_ERROR_BEFORE)

    reply = shop.ask("PUT", f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)

    assert reply.status >= 500
    assert not _contracts(shop)


def test_a_server_error_after_the_effect_hides_a_contract() -> None:
    shop = _scripted(Operation.CREATE, AnswerFault.SERVER_ERROR_AFTER)

    reply = shop.ask("PUT", f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)

    assert reply.status >= 500
    assert [row["label"] for row in _contracts(shop)] == [CREATE["label"]]


@pytest.mark.parametrize(("fault", "made"), [(AnswerFault.DROPPED_BEFORE, 0), (AnswerFault.DROPPED_AFTER, 1)])
def test_a_connection_may_be_cut_before_or_after_the_effect(fault: AnswerFault, made: int) -> None:
    shop = _scripted(Operation.CREATE, fault)

    reply = shop.ask("PUT", f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)

    assert reply.dropped
    assert len(_contracts(shop)) == made


def test_a_destroy_whose_answer_is_lost_has_happened() -> None:
    shop = _scripted(Operation.DESTROY, AnswerFault.SERVER_ERROR_AFTER)
    contract_id = shop.rent()

    assert shop.ask("DELETE", f"/api/v0/instances/{contract_id}/", {}).status >= 500
    assert shop.row(contract_id) == {}


def test_a_refusal_whose_answer_is_lost_changes_nothing() -> None:
    shop = _scripted(Operation.DESTROY, AnswerFault.SERVER_ERROR_AFTER)

    assert shop.ask("DELETE", "/api/v0/instances/1/", {}).status >= 500


def test_a_list_may_be_empty_though_instances_exist() -> None:
    shop = _scripted(Operation.LIST, AnswerFault.EMPTY_LIST)
    contract_id = shop.rent()

    assert shop.get("/api/v1/instances/")["instances"] == []
    assert [row["id"] for row in shop.get("/api/v1/instances/")["instances"]] == [contract_id]


def test_lists_may_lag_behind_a_create_and_a_destroy() -> None:
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(list_lag_share=1.0, list_lag=Span(least_s=5.0, most_s=6.0))))
    contract_id = shop.rent()
    listed = [[row["id"] for row in shop.get("/api/v1/instances/")["instances"]]]
    assert shop.row(contract_id)
    shop.wait(7)
    listed.append([row["id"] for row in shop.get("/api/v1/instances/")["instances"]])
    shop.delete(f"/api/v0/instances/{contract_id}/")
    listed.append([row["id"] for row in shop.get("/api/v1/instances/")["instances"]])
    shop.wait(7)
    listed.append([row["id"] for row in shop.get("/api/v1/instances/")["instances"]])

    assert listed == [[], [contract_id], [contract_id], []]
    assert shop.row(contract_id) == {}


def test_a_script_meets_exactly_the_call_it_names() -> None:
    shop = _scripted(Operation.SEARCH, AnswerFault.RATE_LIMITED, call=3)

    assert [shop.ask("POST", "/api/v0/bundles/", {}).status for _ in range(5)] == [200, 200, 429, 200, 200]


def test_chances_are_met_about_as_often_as_they_say() -> None:
    chance = Chance(operation=Operation.SHOW, fault=AnswerFault.RATE_LIMITED, probability=0.2)
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(chances=(chance,))))

    met = sum(shop.ask("GET", "/api/v0/instances/1/").status == 429 for _ in range(2_000))

    assert 300 < met < 500


def test_the_same_seed_meets_the_same_faults() -> None:
    chance = Chance(operation=Operation.SHOW, fault=AnswerFault.RATE_LIMITED, probability=0.5)
    options = WorldOptions(market=QUIET, faults=FaultOptions(chances=(chance,)))
    one, two = Shop(options), Shop(options)

    assert [one.ask("GET", "/api/v0/instances/1/").status for _ in range(50)] == [
        two.ask("GET", "/api/v0/instances/1/").status for _ in range(50)
    ]


def test_fates_are_drawn_by_trust() -> None:
    shop = Shop(WorldOptions(faults=FaultOptions(failure_share={Trust.TRUSTED: 0.0, Trust.VERIFIED: 0.0, Trust.UNVERIFIED: 1.0})))
    for row in shop.offers()[:40]:
        shop.ask("PUT", f"/api/v0/asks/{row['id']}/", CREATE)

    for contract in shop.world.contracts.all.values():
        assert (contract.fate is None) == contract.machine.hardware.verified


@pytest.mark.parametrize(
    ("verified", "reliability", "trust"),
    [(True, 0.995, Trust.TRUSTED), (True, 0.95, Trust.VERIFIED), (False, 0.999, Trust.UNVERIFIED)],
)
def test_trust_follows_verification_and_reliability(verified: bool, reliability: float, trust: Trust) -> None:  # noqa: FBT001
    assert trust_of(verified=verified, reliability=reliability) is trust


def test_every_fate_that_a_host_can_be_blamed_for_has_a_weight() -> None:
    assert set(Fate) - set(FATE_WEIGHTS) == UNDRAWN_FATES


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        (Operation.SEARCH, AnswerFault.OFFER_GONE_404),
        (Operation.LIST, Fate.EXITS),
        (Operation.STOP, AnswerFault.RESOURCES_UNAVAILABLE),
    ],
)
def test_a_fault_that_cannot_meet_an_operation_cannot_be_scripted_for_it(operation: Operation, fault: AnswerFault | Fate) -> None:
    with pytest.raises(ValueError, match="can only happen to"):
        Scripted(operation=operation, call=1, fault=fault)


def test_searches_can_be_capped() -> None:
    shop = Shop(WorldOptions(market=QUIET, search_limit_max=5))

    assert len(shop.offers({"limit": 1_000})) == 5


def test_documented_rate_limits_can_be_enforced() -> None:
    shop = Shop(rate_limits=True)
    first = shop.ask("PUT", "/api/v0/asks/1/", CREATE)
    soon = shop.ask("PUT", "/api/v0/asks/1/", CREATE)
    shop.wait(5)
    later = shop.ask("PUT", "/api/v0/asks/1/", CREATE)

    assert [first.status, soon.status, later.status] == [404, 429, 404]
    assert soon.body == b"API requests too frequent: endpoint threshold=4.5"
