"""Instances: what their rows mean, and every call that changes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.vast import LOG_LENGTH_MAX, VastMarketplace
from functions.core.model import Instance
from functions.ports import InstanceGone, MarketplaceBusy, MarketplaceRefused
from tests.vast.scripted import KEY, Scripted, adapter, instance_row
from tests.vast.test_search import JSON

OURS = "headgate/t/chat/"


def shown(**changes: Any) -> Instance:
    marketplace, _, _ = adapter(Scripted(body={"instances": instance_row(**changes)}))
    instance = marketplace.instance(5)
    assert instance is not None
    return instance


def listed(*rows: Any) -> list[Instance]:
    marketplace, _, _ = adapter(Scripted(body={"instances": list(rows), "next_token": None}))
    return marketplace.instances(OURS)


def test_texts_lose_their_blanks() -> None:
    instance = shown(label=" headgate/t/chat/w0-x \n", actual_status="running ", gpu_name="RTX 4090\n")

    assert (instance.label, instance.running, instance.gpu_name) == ("headgate/t/chat/w0-x", True, "RTX 4090")


def test_an_instance_tells_what_it_is_and_how_it_is_rented() -> None:
    instance = shown(num_gpus=2, is_bid=True)

    assert (instance.machine_id, instance.gpu_name, instance.num_gpus, instance.interruptible) == (9, "RTX 4090", 2, True)
    assert (instance.running_micro_usd_per_hour, instance.stopped_micro_usd_per_hour) == (400_000, 5_000)


@pytest.mark.parametrize(
    ("changes", "running", "wants_running", "failed"),
    [
        ({}, True, True, False),
        ({"actual_status": None}, False, True, False),
        ({"actual_status": "loading", "status_msg": "59729b65119e: Pull complete\n"}, False, True, False),
        ({"actual_status": "loading", "status_msg": "Error response from daemon: EOF"}, False, True, True),
        ({"actual_status": "created", "status_msg": "…: OCI runtime create failed: …"}, False, True, True),
        ({"actual_status": "exited", "intended_status": "stopped"}, False, False, False),
        ({"actual_status": "running", "intended_status": "stopped"}, True, False, False),
        ({"actual_status": "exited"}, False, True, False),
        ({"actual_status": "offline"}, False, True, True),
        ({"actual_status": "unknown", "intended_status": "stopped"}, True, False, False),
        ({"status_msg": "success, running, 0 errors"}, True, True, False),
    ],
)
def test_a_status_says_what_an_instance_does_and_whether_it_failed(
    changes: dict[str, Any], *, running: bool, wants_running: bool, failed: bool
) -> None:
    instance = shown(**changes)

    assert (instance.running, instance.wants_running, instance.failed) == (running, wants_running, failed)


def test_garbage_in_an_instance_s_figures_is_not_said() -> None:
    instance = shown(
        machine_id="x", num_gpus=None, is_bid="maybe", dph_total=-1, storage_total_cost="free", status_msg=7, gpu_name=[]
    )

    assert (instance.machine_id, instance.num_gpus, instance.interruptible, instance.gpu_name) == (0, 0, None, "")
    assert (instance.running_micro_usd_per_hour, instance.stopped_micro_usd_per_hour, instance.message) == (0, 0, "")


@pytest.mark.parametrize(
    "answer", [Scripted(body={"instances": None}), Scripted(status=404, body={"success": False, "error": "no_such_instance"})]
)
def test_both_ways_of_saying_that_an_instance_does_not_exist_are_understood(answer: Scripted) -> None:
    marketplace, _, _ = adapter(answer)

    assert marketplace.instance(5) is None


@pytest.mark.parametrize("body", [{}, {"instances": {"id": "five"}}, {"instances": {}}, {"instances": []}])
def test_an_answer_that_cannot_be_read_does_not_mean_that_the_instance_is_gone(body: dict[str, Any]) -> None:
    marketplace, _, _ = adapter(Scripted(body=body))

    with pytest.raises(MarketplaceBusy):
        marketplace.instance(5)


def test_a_list_with_a_row_of_ours_that_cannot_be_read_is_no_list() -> None:
    with pytest.raises(MarketplaceBusy):
        listed(instance_row(), instance_row(id=None))


def test_a_strange_row_of_someone_else_s_does_not_hide_ours() -> None:
    assert [instance.instance_id for instance in listed({"id": "odd"}, instance_row(), {"id": None, "label": 7})] == [5]


@given(st.dictionaries(st.sampled_from(sorted(instance_row())), JSON))
def test_no_row_breaks_a_list(changes: dict[str, Any]) -> None:
    try:
        listed(instance_row(**changes))
    except MarketplaceBusy:
        return


def test_a_list_whose_second_page_fails_is_no_list() -> None:
    marketplace, _, _ = adapter(Scripted(body={"instances": [instance_row()], "next_token": "t"}), Scripted(status=503, body=b""))

    with pytest.raises(MarketplaceBusy):
        marketplace.instances(OURS)


def test_a_list_that_comes_back_to_the_same_page_is_no_list() -> None:
    page = Scripted(body={"instances": [instance_row()], "next_token": "t"})
    marketplace, session, _ = adapter(page, page, page)

    with pytest.raises(MarketplaceBusy):
        marketplace.instances(OURS)
    assert len(session.asked) == 2


Act = Callable[[VastMarketplace], object]
ACTS: dict[str, tuple[Act, str, str, dict[str, Any]]] = {
    "start": (lambda market: market.start(5), "PUT", "instances/5/", {"state": "running"}),
    "stop": (lambda market: market.stop(5), "PUT", "instances/5/", {"state": "stopped"}),
    "label": (lambda market: market.label(5, "x"), "PUT", "instances/5/", {"label": "x"}),
    "reboot": (lambda market: market.reboot(5), "PUT", "instances/reboot/5/", {}),
    "recycle": (lambda market: market.recycle(5), "PUT", "instances/recycle/5/", {}),
    "destroy": (lambda market: market.destroy(5), "DELETE", "instances/5/", {}),
    "destroy all": (lambda market: market.destroy_all([5, 6]), "DELETE", "instances/", {"instance_ids": [5, 6]}),
    "bid": (
        lambda market: market.change_bid(5, bid_micro_usd_per_hour=300_000),
        "PUT",
        "instances/bid_price/5/",
        {"client_id": "me", "price": 0.3},
    ),
}


@pytest.mark.parametrize(("act", "method", "path", "body"), ACTS.values(), ids=ACTS)
def test_every_change_is_asked_as_the_official_client_asks_it(act: Act, method: str, path: str, body: dict[str, Any]) -> None:
    marketplace, session, _ = adapter(Scripted(body={"success": True}))
    act(marketplace)

    assert session.asked[0][:2] == (method, f"https://market.test/api/v0/{path}")
    assert session.body() == body


@pytest.mark.parametrize("act", [act for act, *_ in ACTS.values()], ids=ACTS)
def test_success_false_is_no_success(act: Act) -> None:
    marketplace, _, _ = adapter(Scripted(body={"success": False, "error": "odd", "msg": "no"}))

    with pytest.raises(MarketplaceRefused) as told:
        act(marketplace)
    assert told.value.code == "odd"


GONE = [
    Scripted(status=404, body={"success": False, "error": "no_such_instance", "msg": "Instance 5 not found."}),
    Scripted(status=404, body={"success": False, "msg": "error 404/1: no_such_instance 5"}),
    Scripted(status=400, body={"success": False, "error": "invalid_args", "msg": "Could not find contract."}),
]


@pytest.mark.parametrize("act", [act for act, *_ in ACTS.values()], ids=ACTS)
@pytest.mark.parametrize("answer", GONE, ids=["code", "text", "bid"])
def test_a_change_that_comes_too_late_says_that_the_instance_is_gone(act: Act, answer: Scripted) -> None:
    marketplace, _, _ = adapter(answer)

    with pytest.raises(InstanceGone):
        act(marketplace)


def test_a_start_that_is_queued_is_no_success_and_no_refusal() -> None:
    marketplace, _, _ = adapter(Scripted(body={"success": False, "error": "resources_unavailable", "msg": "queued"}))

    assert marketplace.start(5) is False


@pytest.mark.parametrize("status", [200, 400])
def test_a_bid_for_a_machine_on_demand_is_refused(status: int) -> None:
    answer = {"success": False, "error": "invalid_args", "msg": "Can't change price of on-demand contract."}
    marketplace, _, _ = adapter(Scripted(status=status, body=answer))

    with pytest.raises(MarketplaceRefused):
        marketplace.change_bid(5, bid_micro_usd_per_hour=1)


def test_logs_are_fetched_without_the_key() -> None:
    marketplace, session, _ = adapter(
        Scripted(body={"success": True, "result_url": "https://files.test/log"}),
        Scripted(status=404, body=b""),
        Scripted(body=b"line\n"),
    )

    assert marketplace.logs(5, lines=10) == "line\n"
    assert session.body(0) == {"tail": "10"}
    assert all(KEY not in str(options) for _, _, options in session.asked[1:])


def test_of_a_long_log_the_end_is_kept() -> None:
    log = b"x" * LOG_LENGTH_MAX + b"the end"
    marketplace, _, _ = adapter(Scripted(body={"success": True, "result_url": "https://files.test/log"}), Scripted(body=log))
    text = marketplace.logs(5, lines=10)

    assert (len(text), text[-7:]) == (LOG_LENGTH_MAX, "the end")


def test_logs_that_do_not_come_are_not_waited_for_for_ever() -> None:
    marketplace, _, clock = adapter(
        Scripted(body={"success": True, "result_url": "https://files.test/log"}), *[Scripted(status=404, body=b"")] * 40
    )
    begun_s = clock.now_s()

    with pytest.raises(MarketplaceBusy):
        marketplace.logs(5, lines=10)
    assert clock.now_s() - begun_s == pytest.approx(9.0)


STRANGE = [
    None,
    5,
    "",
    "file:///etc/passwd",
    "ftp://files.test/log",
    "http://files.test/log",
    "http://127.0.0.1:9001/next",
    "http://[",
]


@pytest.mark.parametrize("url", STRANGE)
def test_logs_are_fetched_over_tls_or_from_the_api_s_own_host_alone(url: Any) -> None:
    marketplace, session, _ = adapter(Scripted(body={"success": True, "result_url": url}))

    with pytest.raises(MarketplaceRefused):
        marketplace.logs(5, lines=10)
    assert len(session.asked) == 1


@pytest.mark.parametrize(("credit", "micro_usd"), [(12.3456789, 12_345_678), (-0.0000001, -1), (0, 0), ("7.5", 7_500_000)])
def test_the_account_s_credit_is_never_taken_for_more_than_it_is(credit: Any, micro_usd: int) -> None:
    marketplace, session, _ = adapter(Scripted(body={"id": 1, "credit": credit}))

    assert marketplace.credit_micro_usd() == micro_usd
    assert session.asked[0][:2] == ("GET", "https://market.test/api/v0/users/current/")


@pytest.mark.parametrize("body", [{}, {"credit": None}, {"credit": "much"}, {"credit": float("nan")}, {"credit": float("inf")}])
def test_an_account_without_a_credit_is_not_an_empty_one(body: dict[str, Any]) -> None:
    marketplace, _, _ = adapter(Scripted(body=body))

    with pytest.raises(MarketplaceBusy):
        marketplace.credit_micro_usd()
