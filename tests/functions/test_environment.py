"""The functions' variables: missing or wrong ones stop a function by their name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.adapters.environment import Misconfigured, public_keys, required

KEY = {"key_id": "k1", "algorithm": "Ed25519", "public_key": "A" * 43 + "="}


def test_a_variable_that_is_there_is_returned() -> None:
    assert required({"HEADGATE_TABLE": "t"}, "HEADGATE_TABLE") == "t"


@pytest.mark.parametrize("environ", [{}, {"HEADGATE_TABLE": ""}])
def test_a_variable_that_is_missing_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="HEADGATE_TABLE"):
        required(environ, "HEADGATE_TABLE")


def test_the_public_keys_are_read() -> None:
    assert public_keys({"HEADGATE_PUBLIC_KEYS": json.dumps([KEY])}) == (KEY,)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        7,
        [7],
        [{}],
        [KEY | {"algorithm": "RSA"}],
        [KEY | {"public_key": "AAAA"}],
        [KEY | {"public_key": 7}],
        [KEY | {"seed": "s"}],  # a private part must never be served
    ],
)
def test_public_keys_that_are_none_are_named(value: Any) -> None:
    with pytest.raises(Misconfigured, match="HEADGATE_PUBLIC_KEYS"):
        public_keys({"HEADGATE_PUBLIC_KEYS": json.dumps(value)})
