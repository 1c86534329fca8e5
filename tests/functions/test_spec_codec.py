"""What `pulumi up` writes becomes values, or a message that a person can act on."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from functions.adapters.spec_codec import decode_autogroup, decode_group, decode_state, spec_attribute, state_attribute
from functions.core.model import Autogroup, EndpointGroup, EndpointState
from functions.core.scaler_state import ScalerState
from functions.ports import UnreadableItem
from tests.core.builders import a_group, a_state, an_autogroup

LEAST = {"endpoint": "chat", "max_workers": 4, "max_hourly_cost_micro_usd": 1_500_000}


def an_item(spec: Any, *, sk: str = "SPEC") -> dict[str, Any]:
    """Return an item with this JSON."""
    text = spec if isinstance(spec, str) else json.dumps(spec)
    return {"pk": {"S": "ENDPOINT#chat"}, "sk": {"S": sk}, "spec": {"S": text}}


def test_what_is_not_given_has_its_default() -> None:
    assert decode_group(an_item(LEAST)) == EndpointGroup(endpoint="chat", max_workers=4, max_hourly_cost_micro_usd=1_500_000)


def test_the_state_of_an_endpoint_is_a_word() -> None:
    assert decode_group(an_item(LEAST | {"endpoint_state": "suspended"})).endpoint_state is EndpointState.SUSPENDED


def test_whole_numbers_are_taken_for_amounts() -> None:
    assert decode_group(an_item(LEAST | {"min_load": 5})).min_load == 5.0


def test_unknown_keys_are_ignored() -> None:
    assert decode_group(an_item(LEAST | {"colour": []})) == decode_group(an_item(LEAST))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "endpoint"),
        ({"endpoint": "chat", "max_workers": 4}, "max_hourly_cost_micro_usd"),
        (LEAST | {"max_workers": "4"}, "int"),
        (LEAST | {"max_workers": 4.5}, "int"),
        (LEAST | {"max_workers": True}, "int"),
        (LEAST | {"endpoint_state": "paused"}, "paused"),
        (LEAST | {"min_load": "much"}, "float"),
        ([], "dict"),
        ("{", "spec"),
    ],
)
def test_what_cannot_be_a_group_is_told_with_the_item_and_the_fault(spec: Any, told: str) -> None:
    with pytest.raises(UnreadableItem, match=rf"ENDPOINT#chat SPEC.*{told}"):
        decode_group(an_item(spec))


def test_an_item_without_its_attribute_is_told() -> None:
    item = an_item(LEAST)
    del item["spec"]

    with pytest.raises(UnreadableItem, match="spec is missing"):
        decode_group(item)


def test_a_group_and_its_autogroups_come_back_as_they_were_written() -> None:
    group = a_group(min_load=0.1)
    autogroup = an_autogroup(env={"MODEL_ID": "m"}, template_hash="t", boot_timeout_s=60.0)

    assert decode_group({**an_item(""), "spec": spec_attribute(group)}) == group
    assert decode_autogroup({**an_item(""), "spec": spec_attribute(autogroup)}) == autogroup


def test_an_autogroup_needs_its_name_and_search() -> None:
    with pytest.raises(UnreadableItem, match="search_params"):
        decode_autogroup(an_item({"name": "a"}, sk="AUTOGROUP#a"))


def test_the_least_autogroup() -> None:
    assert decode_autogroup(an_item({"name": "a", "search_params": "x"}, sk="AUTOGROUP#a")) == Autogroup(
        name="a", search_params="x"
    )


@pytest.mark.parametrize("reason", ["", "x" * 20_000])
@pytest.mark.parametrize("travelled", [False, True])
def test_a_memory_is_read_back_whole_packed_or_not_as_bytes_or_as_it_travels(reason: str, *, travelled: bool) -> None:
    state = a_state(load_per_s=1.5, halted_reason=reason)
    held = state_attribute(state)
    if travelled and "B" in held:
        held = {"B": base64.b64encode(held["B"]).decode()}

    assert decode_state({"state": held}) == state
    assert len(str(held)) < 2_000


def test_a_memory_that_was_written_as_text_is_read() -> None:
    assert decode_state({"state": spec_attribute(a_state(load_per_s=1.5))}) == a_state(load_per_s=1.5)


def test_no_memory_is_the_empty_memory() -> None:
    assert decode_state({}) == ScalerState()


def test_a_number_that_is_none_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        spec_attribute(a_group(min_load=float("nan")))
