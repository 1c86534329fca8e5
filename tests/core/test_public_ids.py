"""The integers by which Vast's clients speak of names."""

from __future__ import annotations

import pytest

from functions.core.public_ids import ID_MAX, AmbiguousId, autogroup_id, endpoint_id, named


def test_an_id_is_the_same_for_ever() -> None:
    assert (endpoint_id("llm"), autogroup_id("llm", "rtx-3090")) == (1031017604, 1366701921)


def test_ids_are_positive_and_fit_31_bits() -> None:
    assert all(1 <= endpoint_id(f"group-{number}") <= ID_MAX for number in range(1_000))


def test_an_autogroup_has_another_id_in_another_group() -> None:
    assert autogroup_id("llm", "a") != autogroup_id("chat", "a")


def test_a_name_is_found_by_its_id() -> None:
    assert named(endpoint_id("chat"), ["llm", "chat"], endpoint_id) == "chat"


def test_an_id_that_is_nobodys_finds_nothing() -> None:
    assert named(7, ["llm", "chat"], endpoint_id) is None


def test_an_id_that_is_two_names_finds_neither() -> None:
    with pytest.raises(AmbiguousId):
        named(1, ["llm", "chat"], lambda _: 1)
