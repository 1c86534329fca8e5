"""What goes wrong seldom: wrong machines, dropped bids and filters, raised prices, moved addresses, quotas, late answers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sandbox.marketplace.fault_plan import FaultPlan
from sandbox.marketplace.faults import AnswerFault, Chance, Fate, FaultOptions, Operation, Scripted, Span, Trust
from sandbox.marketplace.instance import DOCKER_ERRORS
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.rivals import RAISE_FACTOR
from sandbox.marketplace.world import WorldOptions
from tests.sandbox.marketplace.shop import CREATE, QUIET, START_S, Json, Shop, told

DAY_S = 86_400.0


def _faulty(operation: Operation, fault: AnswerFault | Fate, **options: object) -> Shop:
    scripted = (Scripted(operation=operation, call=1, fault=fault),)
    faults = FaultOptions(scripted=scripted, strikes_after=Span(least_s=100.0, most_s=200.0), **options)  # type: ignore[arg-type]
    return Shop(WorldOptions(market=QUIET, faults=faults))


def _struck(fate: Fate) -> tuple[Shop, int]:
    """A shop and its running instance, just struck."""
    shop = Shop()
    contract_id = shop.rent_running()
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": fate})
    return shop, contract_id


def _increases(shop: Shop) -> list[Json]:
    rows: list[Json] = shop.get("/api/v0/instances/pending-price-increases/")["pending_price_increases"]
    return rows


def _answer_increase(shop: Shop, answer: str, pending: Json) -> Json:
    body = {"pending_price_increase_id": pending["pending_price_increase_id"]}
    return shop.put(f"/api/v0/instances/{answer}-price-increase/", body)


def _gpu_micro_usd_of_an_hour(shop: Shop, contract_id: int) -> int:
    before = shop.bill(contract_id)["gpu_micro_usd"]
    shop.wait(3_600)
    return shop.bill(contract_id)["gpu_micro_usd"] - before


# --- 1, 11: the accept ---


def test_another_machine_than_the_one_asked_for_may_be_rented() -> None:
    shop = _faulty(Operation.CREATE, AnswerFault.WRONG_MACHINE)
    offer = shop.offers()[0]

    answer = shop.put(f"/api/v0/asks/{offer['id']}/", CREATE)

    assert answer["success"] is True
    assert shop.row(answer["new_contract"])["machine_id"] != offer["machine_id"]
    assert offer["id"] in {row["id"] for row in shop.offers()}


def test_a_mistake_about_an_offer_that_is_gone_is_a_refusal_like_any_other() -> None:
    shop = _faulty(Operation.CREATE, AnswerFault.WRONG_MACHINE)

    assert shop.ask("PUT", "/api/v0/asks/1/", CREATE).status == 404


def test_a_bid_may_be_dropped_and_the_machine_rented_on_demand() -> None:
    shop = _faulty(Operation.CREATE, AnswerFault.BID_IGNORED)
    offer = shop.offers()[0]

    row = shop.row(shop.rent({"price": offer["min_bid"] + 0.01}))

    assert (row["is_bid"], row["dph_base"]) == (False, offer["dph_base"])


# --- 4: docker's errors ---


def test_docker_may_fail_and_leave_the_container_exited() -> None:
    shop = _faulty(Operation.CREATE, Fate.DOCKER_ERROR_EXITED)
    contract_id = shop.rent()

    shop.wait(120)

    row = shop.row(contract_id)
    assert (row["actual_status"], row["intended_status"]) == ("exited", "running")
    assert row["status_msg"] in DOCKER_ERRORS


def test_a_start_after_dockers_error_meets_it_again() -> None:
    shop = _faulty(Operation.CREATE, Fate.DOCKER_ERROR_EXITED)
    contract_id = shop.rent()
    shop.wait(120)

    shop.put(f"/api/v0/instances/{contract_id}/", {"state": "running"})
    shop.wait(120)

    assert shop.row(contract_id)["status_msg"] in DOCKER_ERRORS
    assert shop.bill(contract_id)["gpu_micro_usd"] == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("missing_images", "Error response from daemon: manifest for vendor/image:1 not found"),
        ("private_images", "pull access denied for vendor/image, repository does not exist or may require authorization"),
    ],
)
def test_an_image_that_the_registry_refuses_fails_on_every_host(option: str, words: str) -> None:
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(**{option: frozenset({CREATE["image"]})})))  # type: ignore[arg-type]
    rented = [shop.rent() for _ in range(3)]

    shop.wait(3_600)

    assert {shop.row(contract_id)["status_msg"] for contract_id in rented} == {words}
    assert {shop.row(contract_id)["actual_status"] for contract_id in rented} == {"loading"}


def test_other_images_load_beside_one_that_is_refused() -> None:
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(missing_images=frozenset({"other:1"}))))

    assert shop.rent_running()


# --- 12, 13: the answers ---


def test_too_many_requests_may_be_answered_in_json() -> None:
    seen = set()
    for seed in range(12):
        faults = FaultOptions(scripted=(Scripted(operation=Operation.SEARCH, call=1, fault=AnswerFault.RATE_LIMITED_JSON),))
        reply = Shop(WorldOptions(market=QUIET, faults=faults), seed=seed).ask("POST", "/api/v0/bundles/", {})
        assert reply.status == 429
        seen.add(tuple(told(reply)))

    assert seen == {("detail",), ("success", "error", "msg")}


def test_a_retry_after_can_be_sent_with_every_429() -> None:
    shop = _faulty(Operation.SEARCH, AnswerFault.RATE_LIMITED, retry_after_s=7.0)

    assert shop.ask("POST", "/api/v0/bundles/", {}).headers == {"Retry-After": "7"}


def test_the_daily_search_quota_says_when_the_next_day_begins() -> None:
    shop = _faulty(Operation.SEARCH, AnswerFault.SEARCH_QUOTA_EXCEEDED)

    reply = shop.ask("POST", "/api/v0/bundles/", {})

    resets_s = int(reply.headers["X-RateLimit-Reset"])
    assert (reply.status, told(reply)["error"]) == (429, "search_quota_exceeded")
    assert resets_s % DAY_S == 0
    assert 0 < resets_s - START_S <= DAY_S


def test_an_answer_may_come_after_its_caller_has_gone_and_the_effect_has_happened() -> None:
    shop = _faulty(Operation.CREATE, AnswerFault.SLOW_ANSWER, slow_answer=Span(least_s=40.0, most_s=50.0))

    reply = shop.ask("PUT", f"/api/v0/asks/{shop.offers()[0]['id']}/", CREATE)

    assert 40.0 <= reply.delay_s <= 50.0
    assert len(shop.get("/api/v1/instances/")["instances"]) == 1


def test_every_answer_can_take_a_while() -> None:
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(latency=Span(least_s=0.1, most_s=0.2))))

    assert all(0.1 <= shop.ask("POST", "/api/v0/bundles/", {}).delay_s <= 0.2 for _ in range(5))


# --- 14: credit ---


def test_the_credit_may_be_gone_at_a_given_call() -> None:
    shop = _faulty(Operation.LIST, AnswerFault.CREDIT_EXHAUSTED)
    contract_id = shop.rent_running()

    shop.get("/api/v1/instances/")
    shop.wait(60)

    row = shop.row(contract_id)
    assert (row["actual_status"], row["intended_status"]) == ("exited", "stopped")
    refused = shop.ask("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"})
    assert (refused.status, told(refused)["error"]) == (400, "missing_billing")


# --- 15, 16: the end of a term, and what a host asks for more of it ---


def test_a_contract_may_end_soon() -> None:
    shop = _faulty(Operation.CREATE, Fate.TERM_ENDS, short_term=Span(least_s=3_600.0, most_s=7_200.0))
    contract_id = shop.rent()
    end_s = shop.row(contract_id)["end_date"]
    assert 3_600 <= end_s - START_S <= 7_200

    shop.wait(7_300)

    row = shop.row(contract_id)
    assert (row["actual_status"], row["cur_state"]) == ("exited", "stopped")
    refused = shop.ask("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"})
    assert told(refused)["error"] == "resources_unavailable"


def test_a_raised_price_is_pending_until_it_is_answered() -> None:
    shop, contract_id = _struck(Fate.PRICE_RAISED)

    (row,) = _increases(shop)

    assert row["contract_id"] == contract_id
    assert row["new_gpu_costpersec"] == pytest.approx(RAISE_FACTOR * row["old_gpu_costpersec"], rel=1e-4)
    assert shop.row(contract_id)["dph_base"] == pytest.approx(3_600 * row["old_gpu_costpersec"])


def test_an_accepted_increase_extends_the_contract_at_the_old_price_until_its_old_end() -> None:
    shop = _faulty(Operation.CREATE, Fate.PRICE_RAISED, short_term=Span(least_s=DAY_S, most_s=DAY_S))
    contract_id = shop.rent_running()
    old = shop.row(contract_id)
    (pending,) = _increases(shop)

    answer = shop.put(
        "/api/v0/instances/accept-price-increase/", {"pending_price_increase_id": pending["pending_price_increase_id"]}
    )

    assert answer == {
        "success": True,
        "pending_price_increase_id": pending["pending_price_increase_id"],
        "contract_id": contract_id,
    }
    assert shop.row(contract_id)["end_date"] == pending["ask_end_date"] > old["end_date"]
    assert shop.row(contract_id)["dph_base"] == old["dph_base"]
    assert _increases(shop) == []


def test_an_accepted_increase_costs_more_from_the_old_end_on() -> None:
    shop = _faulty(Operation.CREATE, Fate.PRICE_RAISED, short_term=Span(least_s=DAY_S, most_s=DAY_S))
    contract_id = shop.rent_running()
    (pending,) = _increases(shop)
    _answer_increase(shop, "accept", pending)
    before = _gpu_micro_usd_of_an_hour(shop, contract_id)

    shop.wait(DAY_S)

    after = _gpu_micro_usd_of_an_hour(shop, contract_id)
    assert after == pytest.approx(RAISE_FACTOR * before, rel=1e-3)
    assert after == pytest.approx(1e6 * 3_600 * pending["new_gpu_costpersec"], abs=1)


@pytest.mark.parametrize("answer", ["reject", None])
def test_an_increase_that_is_not_accepted_lets_the_contract_end(answer: str | None) -> None:
    shop = _faulty(Operation.CREATE, Fate.PRICE_RAISED, short_term=Span(least_s=DAY_S, most_s=DAY_S))
    contract_id = shop.rent_running()
    (pending,) = _increases(shop)
    if answer is not None:
        _answer_increase(shop, answer, pending)

    shop.wait(DAY_S)

    assert shop.row(contract_id)["actual_status"] == "exited"
    assert _increases(shop) == []


def test_an_increase_is_answered_once() -> None:
    shop, _ = _struck(Fate.PRICE_RAISED)
    body = {"pending_price_increase_id": _increases(shop)[0]["pending_price_increase_id"]}
    shop.put("/api/v0/instances/reject-price-increase/", body)

    reply = shop.ask("PUT", "/api/v0/instances/accept-price-increase/", body)

    assert (reply.status, told(reply)["error"]) == (404, "no_pending_price_increase")


@pytest.mark.parametrize("body", [{}, {"pending_price_increase_id": "7"}, {"pending_price_increase_id": 7, "more": 1}])
def test_an_answer_to_an_increase_has_its_id_and_nothing_else(body: Json) -> None:
    assert Shop().ask("PUT", "/api/v0/instances/accept-price-increase/", body).status == 400


def test_a_bidder_is_not_asked_for_a_higher_price() -> None:
    shop = Shop()
    contract_id = shop.rent_running({"price": 20.0})

    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": Fate.PRICE_RAISED})

    assert _increases(shop) == []


def test_hosts_that_reprice_upwards_ask_their_renters() -> None:
    shop = Shop(WorldOptions(market=MarketOptions(machines=40, rivals_per_machine_hour=0.0, reprices_per_machine_hour=1.0)))
    contracts = [shop.rent() for _ in range(5)]

    shop.wait(DAY_S)

    increases = _increases(shop)
    assert increases
    assert {row["contract_id"] for row in increases} <= set(contracts)
    assert all(row["new_gpu_costpersec"] > row["old_gpu_costpersec"] for row in increases)


# --- 19: addresses ---


def _machine_of(shop: Shop, *, static_ip: bool) -> int:
    offer = next(row for row in shop.offers() if row["static_ip"] is static_ip)
    contract_id: int = shop.put(f"/api/v0/asks/{offer['id']}/", CREATE)["new_contract"]
    shop.wait(7_200)
    return contract_id


@pytest.mark.parametrize(("static_ip", "moves"), [(False, True), (True, False)])
def test_an_address_that_is_not_static_may_change(static_ip: bool, moves: bool) -> None:  # noqa: FBT001
    shop = Shop()
    contract_id = _machine_of(shop, static_ip=static_ip)
    before = shop.row(contract_id)["public_ipaddr"]

    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": Fate.ADDRESS_CHANGES})

    assert (shop.row(contract_id)["public_ipaddr"] != before) is moves


def test_a_container_goes_on_announcing_the_address_it_was_made_with_until_it_is_recycled() -> None:
    shop = Shop()
    contract_id = _machine_of(shop, static_ip=False)
    contract = shop.world.contracts.live[contract_id]
    first = contract.announced_ipaddr
    shop.post(f"/_sim/instances/{contract_id}/fate", {"fate": Fate.ADDRESS_CHANGES})
    shop.put(f"/api/v0/instances/reboot/{contract_id}/", {})
    shop.wait(120)
    assert contract.announced_ipaddr == first

    shop.put(f"/api/v0/instances/recycle/{contract_id}/", {})

    assert contract.announced_ipaddr == shop.row(contract_id)["public_ipaddr"].strip() != first


# --- 20: searches ---


def test_a_search_may_ignore_a_numeric_filter() -> None:
    shop = _faulty(Operation.SEARCH, AnswerFault.FILTER_IGNORED)
    query: Json = {"gpu_ram": {"gte": "40000"}, "limit": 3_000}

    wrong, right = shop.offers(query), shop.offers(query)

    assert min(row["gpu_ram"] for row in wrong) < 40_000 <= min(row["gpu_ram"] for row in right)


def test_a_search_without_numeric_filters_ignores_none() -> None:
    shop = _faulty(Operation.SEARCH, AnswerFault.FILTER_IGNORED)

    assert {row["verification"] for row in shop.offers({"verified": {"eq": True}, "limit": 3_000})} == {"verified"}


def test_a_search_may_be_capped_at_64_offers_whatever_it_asks_for() -> None:
    faults = FaultOptions(scripted=(Scripted(operation=Operation.SEARCH, call=1, fault=AnswerFault.SEARCH_CAPPED),))
    shop = Shop(WorldOptions(market=MarketOptions(machines=200, rivals_per_machine_hour=0.0), faults=faults))

    assert [len(shop.offers({"limit": 3_000})) > 64 for _ in range(2)] == [False, True]


# --- how faults are drawn ---


def test_a_fate_can_be_left_to_chance_like_any_fault() -> None:
    chance = Chance(operation=Operation.CREATE, fault=Fate.SLOW, probability=1.0)
    shop = Shop(WorldOptions(market=QUIET, faults=FaultOptions(chances=(chance,))))

    assert shop.world.contracts.live[shop.rent()].fate is Fate.SLOW


def _drawn_fates(repeat_share: float) -> list[Fate | None]:
    options = FaultOptions(failure_share=dict.fromkeys(Trust, 0.2), repeat_share=repeat_share)
    plan = FaultPlan(options, Shop(seed=11).world.plan.rng)
    return [plan.draw_fate(1, Trust.VERIFIED) for _ in range(6_000)]


def test_a_host_that_failed_tends_to_fail_again_in_the_same_way() -> None:
    fates = _drawn_fates(0.6)

    after_failure = [later for earlier, later in pairwise(fates) if earlier is not None]
    repeated = [later for earlier, later in pairwise(fates) if earlier is not None and earlier is later]
    failed_again = sum(fate is not None for fate in after_failure)
    assert 0.55 < failed_again / len(after_failure) < 0.65
    assert len(repeated) == failed_again


def test_the_history_of_hosts_leaves_the_share_of_failures_as_it_is() -> None:
    fates = _drawn_fates(0.6)

    assert 0.15 < sum(fate is not None for fate in fates) / len(fates) < 0.25
