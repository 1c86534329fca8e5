"""The functions' variables: missing or wrong ones stop a function by their name."""

from __future__ import annotations

import pytest

from functions.adapters.environment import Misconfigured, required


def test_a_variable_that_is_there_is_returned() -> None:
    assert required({"HEADGATE_TABLE": "t"}, "HEADGATE_TABLE") == "t"


@pytest.mark.parametrize("environ", [{}, {"HEADGATE_TABLE": ""}])
def test_a_variable_that_is_missing_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="HEADGATE_TABLE"):
        required(environ, "HEADGATE_TABLE")
