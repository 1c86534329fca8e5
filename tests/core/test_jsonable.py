"""Values to JSON and back."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from functions.core.jsonable import Undecodable, decode, encode
from functions.core.scaler_state import ScalerState


class Colour(enum.StrEnum):
    """A choice."""

    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A value of every scalar type."""

    number: float
    count: int = 0
    name: str = ""
    flag: bool = False
    colour: Colour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Values in every container."""

    leaves: tuple[Leaf, ...] = ()
    by_name: Mapping[str, Leaf] = field(default_factory=dict)
    words: frozenset[str] = frozenset()


def test_a_value_survives_the_trip_through_json() -> None:
    leaf = Leaf(number=0.1 + 0.2, count=2**60, name="ü", flag=True, colour=Colour.RED)
    tree = Tree(leaves=(leaf, Leaf(number=1)), by_name={"x": leaf}, words=frozenset({"b", "a"}))

    assert decode(Tree, json.loads(json.dumps(encode(tree)))) == tree


def test_an_absent_field_takes_its_default() -> None:
    assert decode(ScalerState, {}) == ScalerState()


def test_an_unknown_field_is_ignored() -> None:
    assert decode(Leaf, {"number": 1, "new": 2}) == Leaf(number=1.0)


@pytest.mark.parametrize(
    "data", [{}, {"number": "1"}, {"number": True}, {"number": 1, "count": 1.5}, [], {"number": 1, "colour": "blue"}]
)
def test_what_does_not_fit_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(Leaf, data)


def test_a_choice_of_two_types_cannot_be_told_apart() -> None:
    @dataclass(frozen=True)
    class Ambiguous:
        value: int | str

    with pytest.raises((Undecodable, NameError)):
        decode(Ambiguous, {"value": 1})
