"""What the CLI makes of a marketplace in trouble: which faults it rides out, and which reach its user."""

from __future__ import annotations

import re

import pytest

from sandbox.marketplace.faults import AnswerFault, Fate, Operation
from tests.contract.vast_cli.market import BOOTED_AFTER_S, Market


def _meets(shop: Market, operation: Operation, fault: AnswerFault | Fate, *, times: int = 1) -> None:
    """Let the next calls of an operation go wrong."""
    for after in range(times):
        shop.act(lambda after=after: shop.world.plan.script_next(operation, fault, after=after))  # type: ignore[misc]


@pytest.mark.parametrize("fault", [AnswerFault.RATE_LIMITED, AnswerFault.RATE_LIMITED_JSON, AnswerFault.DROPPED_BEFORE])
def test_a_fault_that_passes_is_ridden_out(shop: Market, fault: AnswerFault) -> None:
    _meets(shop, Operation.SEARCH, fault)

    assert len(shop.raw("search offers", "-n", "--limit", 2)) == 2


def test_a_rate_limit_that_stays_is_told(shop: Market) -> None:
    _meets(shop, Operation.SEARCH, AnswerFault.RATE_LIMITED, times=3)

    # In words, or by a traceback where simplejson is installed: the CLI does not expect that package's error for a text body.
    assert "429" in shop.run("search offers").err


def test_a_used_up_quota_says_when_it_is_new(shop: Market) -> None:
    _meets(shop, Operation.SEARCH, AnswerFault.SEARCH_QUOTA_EXCEEDED)

    told = shop.refused("search offers")

    assert re.fullmatch(r"Failed with error 429: Daily search quota exceeded\.+ Resets at \d{4}-\d\d-\d\d 00:00 UTC\.", told)


def test_a_create_whose_answer_is_lost_is_sent_again_and_rents_once(shop: Market) -> None:
    ask_id = shop.offer()
    _meets(shop, Operation.CREATE, AnswerFault.DROPPED_AFTER)

    told = shop.refused("create instance", ask_id, "--image", "vendor/image:1", "--cancel-unavail")

    # The user is told that the offer is gone, and has an instance that costs.
    assert "no_such_ask" in told
    assert len(shop.alive()) == 1


def test_an_offer_that_is_gone_is_told_in_its_three_forms(shop: Market) -> None:
    for fault, status in (
        (AnswerFault.OFFER_GONE_404, 404),
        (AnswerFault.OFFER_GONE_410, 410),
        (AnswerFault.OFFER_GONE_400, 400),
    ):
        _meets(shop, Operation.CREATE, fault)
        told = shop.refused("create instance", shop.offer(), "--image", "vendor/image:1")
        assert told.startswith(f"Failed with error {status}: error {status}/")
        assert "no_such_ask" in told

    assert shop.alive() == set()


def test_a_host_that_cannot_pull_shows_its_dockers_words(shop: Market) -> None:
    _meets(shop, Operation.CREATE, Fate.DOCKER_ERROR)
    contract_id = shop.rent()
    shop.wait(BOOTED_AFTER_S)

    row = shop.raw("show instance", contract_id)

    assert (row["actual_status"], row["intended_status"]) == ("loading", "running")
    assert row["status_msg"].startswith("Error response from daemon: ")


def test_a_machine_without_a_network_is_offline_in_the_table(shop: Market) -> None:
    contract_id = shop.rent_running()
    shop.act(lambda: shop.world.strike(contract_id, Fate.GOES_OFFLINE, shop.world.now_us / 1e6))

    assert " offline " in shop.said("show instances")
