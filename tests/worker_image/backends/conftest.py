"""A backend reads its own variables when it is imported: once a process, but here once a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


def _forget() -> None:
    for name in [name for name in sys.modules if name.startswith("pyworker.backends.") and name.endswith(".backend")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    _forget()
    yield
    _forget()
