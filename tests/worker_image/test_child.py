"""The inference server as a child: its output, its end, and everything that it started."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from pyworker.child import ServerProcess
from tests.worker_image.waiting import until_async


@asynccontextmanager
async def started(script: str, folder: Path) -> AsyncIterator[tuple[ServerProcess, Path]]:
    log = folder / "logs" / "model.log"
    process = await ServerProcess.start(("/bin/sh", "-c", script), environment={"PATH": os.environ["PATH"]}, log=log)
    try:
        yield process, log
    finally:
        await process.stop()


async def test_its_output_and_errors_go_to_the_log(tmp_path: Path) -> None:
    async with started("echo out; echo err >&2", tmp_path) as (process, log):
        await process.ended()

        assert log.read_text().split() == ["out", "err"]


async def test_lines_of_an_earlier_run_are_gone(tmp_path: Path) -> None:
    """An old ready line would pass for this run's."""
    for _ in range(2):
        async with started("echo Connected", tmp_path) as (process, log):
            await process.ended()

    assert log.read_text().split() == ["Connected"]


@pytest.mark.parametrize(("script", "how"), [("exit 3", "exited with code 3"), ("kill -9 $$", "was killed by SIGKILL")])
async def test_its_end_is_told_in_words(tmp_path: Path, script: str, how: str) -> None:
    async with started(script, tmp_path) as (process, _):
        assert await process.ended() == how


async def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    """A server's shards are processes of their own."""
    async with started("sleep 600 & echo $!; wait", tmp_path) as (_, log):
        shard = psutil.Process(int(await until_async(lambda: log.exists() and log.read_text().strip())))

    await until_async(lambda: not shard.is_running() or shard.status() == psutil.STATUS_ZOMBIE, what="the shard has ended")


async def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        await ServerProcess.start(("/no-such-program",), environment={}, log=tmp_path / "model.log")
