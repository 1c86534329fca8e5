"""One quiet world a test."""

from __future__ import annotations

import pytest

from tests.scale.stage import Stage


@pytest.fixture
def stage() -> Stage:
    """Return a fresh world."""
    return Stage()
