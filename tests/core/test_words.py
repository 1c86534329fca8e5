"""Decisions are told in words, whatever kind of action they hold."""

from __future__ import annotations

from typing import get_args

import pytest

from functions.core.plan import Action, DestroyStray, Rent
from functions.core.scaling import WORDS


@pytest.mark.parametrize("kind", get_args(Action), ids=lambda kind: kind.__name__)
def test_every_kind_of_action_has_words(kind: type) -> None:
    assert kind in {Rent, DestroyStray} or "{}" in WORDS[kind]
