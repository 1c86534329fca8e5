"""The CLI once a test process, and a fresh simulator for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.marketplace.server import MarketplaceServer, ServerOptions
from tests.contract.vast_cli.market import KEY, WORLD, Market, market, running
from tests.contract.vast_cli.official import Official, official


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Official]:
    """Return the official CLI; its import asks a simulator of its own for the names of GPUs."""
    server = MarketplaceServer(ServerOptions(api_key=KEY, world=WORLD))
    with (
        running(server) as (names, _),
        official(tmp_path_factory.mktemp("vastai"), names.url.replace("127.0.0.1", "localhost")) as ready,
    ):
        ready.commands()
        yield ready


@pytest.fixture
def shop(cli: Official) -> Iterator[Market]:
    """Return a quiet market with the CLI pointed at it."""
    with market(cli) as fresh:
        yield fresh
