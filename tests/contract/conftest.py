"""The emulator, once a test process, and the stores under contract: the table in memory and DynamoDB."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws.emulator import Emulator, EmulatorSettings
from tests.contract.marketplaces import IMPLEMENTATIONS, Shop
from tests.contract.stores import Stores, dynamo_stores, memory_stores

INTERPRETER = Path(__file__).parents[2] / ".venvs" / "emulator" / "bin" / "python"


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """Run the emulator for the whole test process."""
    with Emulator(EmulatorSettings(interpreter=INTERPRETER)) as running:
        yield running


@pytest.fixture(scope="session")
def dynamodb(emulator: Emulator) -> Any:
    """Return a client of the emulated DynamoDB."""
    return emulator.client("dynamodb")


@pytest.fixture
def table_name() -> str:
    """Return a name that no other test uses."""
    return f"headgate-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Return an empty table, in memory and in DynamoDB."""
    if request.param == "memory":
        return memory_stores()
    return dynamo_stores(request.getfixturevalue("dynamodb"), request.getfixturevalue("table_name"))


@pytest.fixture(params=IMPLEMENTATIONS)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Open one marketplace of each implementation."""
    yield from IMPLEMENTATIONS[request.param]()
