"""Creates: the body field by field, and what an answer means for what now exists."""

from __future__ import annotations

from typing import Any

import pytest

from functions.ports import MarketplaceBusy, MarketplaceRefused
from tests.core.builders import an_offer
from tests.vast.scripted import LOGIN, Scripted, ScriptedSession, adapter, rent_request


def sent(**changes: Any) -> tuple[ScriptedSession, dict[str, Any]]:
    """Return the session after a create, and the body that it was asked."""
    marketplace, session, _ = adapter(Scripted(body={"success": True, "new_contract": 5}))
    marketplace.create(rent_request(**changes))
    return session, session.body()


def test_a_create_rents_on_demand_and_only_what_can_start_now() -> None:
    session, body = sent()

    assert session.asked[0][:2] == ("PUT", "https://market.test/api/v0/asks/17/")
    assert (body["price"], body["cancel_unavail"], body["target_state"], body["disk"]) == (None, True, "running", 20.0)
    assert (body["image"], body["label"], body["env"], body["runtype"]) == ("tgi:1", "headgate/t/chat/w0-x", {"A": "ours"}, "args")


def test_a_bid_is_sent_in_dollars_for_the_machine_and_is_never_left_out() -> None:
    _, body = sent(offer=an_offer(17, bid_micro_usd_per_hour=123_456))

    assert body["price"] == 0.123456


def test_the_login_of_a_private_image_is_sent_and_shows_in_no_repr() -> None:
    _, body = sent(image_login=LOGIN)

    assert body["image_login"] == LOGIN
    assert LOGIN not in repr(rent_request(image_login=LOGIN))


FLAGS = "--image other --env '-e A=theirs -e B=b -p 8000:8000' --onstart-cmd 'run it' --direct --ssh --user root --jupyter-dir ''"


def test_launch_args_fill_in_what_the_autogroup_leaves_open_and_never_win() -> None:
    _, body = sent(launch_args=FLAGS)

    assert body["env"] == {"A": "ours", "B": "b", "-p 8000:8000": "1"}
    assert (body["image"], body["onstart"], body["runtype"], body["user"]) == ("tgi:1", "run it", "ssh_direc ssh_proxy", "root")


def test_a_command_line_is_sent_word_by_word() -> None:
    _, body = sent(launch_args="--lang-utf8 --args serve --port 1")

    assert (body["args"], body["runtype"], body["lang_utf8"]) == (["serve", "--port", "1"], "args", True)


def test_a_template_says_itself_how_it_is_run() -> None:
    _, body = sent(image=None, template_hash="abc", launch_args="--ssh")

    assert body["template_hash_id"] == "abc"
    assert "runtype" not in body


def test_commands_at_the_start_need_the_marketplace_s_own_entry_point() -> None:
    assert sent(onstart="echo")[1]["runtype"] == "ssh_direc ssh_proxy"


@pytest.mark.parametrize(
    ("launch_args", "remedy"),
    [("--bid_price 0.1", "rental_type"), ("--login '-u a -p b'", "image_login"), ("--create-volume 7", "outlives")],
)
def test_a_flag_that_is_not_the_autogroup_s_to_set_is_refused_before_anything_is_asked(launch_args: str, remedy: str) -> None:
    marketplace, session, _ = adapter()

    with pytest.raises(MarketplaceRefused, match=remedy) as told:
        marketplace.create(rent_request(launch_args=launch_args))
    assert (told.value.code, session.asked) == ("invalid_launch_args", [])


def test_success_false_with_a_contract_is_a_contract() -> None:
    marketplace, _, _ = adapter(Scripted(body={"success": False, "new_contract": 5, "error": "x"}))

    assert marketplace.create(rent_request()) == 5


@pytest.mark.parametrize("contract", [None, True, 0, -1, "5", 5.5])
def test_success_without_a_contract_is_no_certain_answer(contract: Any) -> None:
    marketplace, _, _ = adapter(Scripted(body={"success": True, "new_contract": contract}))

    with pytest.raises(MarketplaceBusy):
        marketplace.create(rent_request())


def test_success_false_without_a_contract_is_a_refusal() -> None:
    marketplace, _, _ = adapter(Scripted(body={"success": False, "error": "invalid_price", "msg": "no"}))

    with pytest.raises(MarketplaceRefused) as told:
        marketplace.create(rent_request())
    assert told.value.code == "invalid_price"
