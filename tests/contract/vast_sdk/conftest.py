"""One Headgate with both of Vast's workers for all tests of this folder: starting them costs seconds."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from vastai import Serverless

from functions.core.model import Worker
from protocol.report import Phase
from tests.contract.vast_sdk.headgate import Headgate
from tests.contract.vast_sdk.processes import CURRENT, LEGACY, worker_process
from tests.contract.vast_sdk.upstream import Upstream
from tests.functions.router import API_KEY
from tests.waiting import until

READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Headgate, one of Vast's workers that is ready, and the model server behind it."""

    headgate: Headgate
    upstream: Upstream
    log: Path

    def worker(self) -> Worker:
        """Return what is stored of the worker."""
        return self.headgate.worker(1)


def staged(interpreter: Path, folder: Path) -> Iterator[Stage]:
    """Run everything, and wait until the worker says that it is ready."""
    headgate, upstream = Headgate(), Upstream(folder / "model.log")
    with ExitStack() as running:
        running.enter_context(headgate.serving())
        running.enter_context(upstream.serving())
        upstream.load()
        token = headgate.rent(1)
        log = running.enter_context(
            worker_process(interpreter, upstream, report_url=headgate.url, token=token, home=folder / "home")
        )
        stage = Stage(headgate=headgate, upstream=upstream, log=log)
        until(lambda: stage.worker().condition.phase is Phase.READY, deadline_s=READY_WITHIN_S, what=f"a ready worker ({log})")
        yield stage


@pytest.fixture(scope="session")
def current(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a stage with the worker of vastai 1.9.1."""
    yield from staged(CURRENT, tmp_path_factory.mktemp("current"))


@pytest.fixture(scope="session")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a stage with the worker of vastai-sdk 0.3.1."""
    yield from staged(LEGACY, tmp_path_factory.mktemp("legacy"))


@pytest_asyncio.fixture
async def client(current: Stage) -> AsyncIterator[Any]:
    """Return the serverless client of vastai 1.9.1, pointed at Headgate and nowhere else."""
    client = Serverless(
        api_key=API_KEY, autoscaler_url=current.headgate.url, webserver_url=current.headgate.url, max_poll_interval=0.3
    )
    client._ssl_context = ssl.create_default_context()  # noqa: SLF001 - or it downloads Vast's root certificate
    async with client:
        yield client
