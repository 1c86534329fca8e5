"""`python -m sandbox.inference`: load, serve, and if asked to, fail. The port is written to standard output once it is bound."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from typing import Any, Final, NoReturn

from aiohttp import web

from sandbox.inference.engine import Engine
from sandbox.inference.journal import Journal
from sandbox.inference.options import Options, read_options
from sandbox.inference.server import InferenceServer

HOST: Final = "127.0.0.1"
LOAD_STEPS: Final = 4


class Crashed(Exception):
    """The server was asked to fail, and has."""


async def main(options: Options, journal: Journal) -> None:
    """Serve until told to stop. Raises Crashed."""
    server = InferenceServer(Engine(options.speed), limits=options.limits, journal=journal, fault=options.fault)
    runner = web.AppRunner(server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, HOST, options.port).start()
    print(f"listening on http://{HOST}:{runner.addresses[0][1]}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watches: set[asyncio.Task[Any]] = {asyncio.create_task(stop.wait()), asyncio.create_task(_live(server, options, journal))}
    if options.exit_with_parent:
        # The marketplace simulator may kill an instance's first process without a word; nothing may outlive it.
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    try:
        done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
        for watch in done:
            watch.result()
    finally:
        for watch in watches:
            watch.cancel()
        await runner.cleanup()


async def _live(server: InferenceServer, options: Options, journal: Journal) -> NoReturn:
    await _load(options, journal)
    server.ready = True
    await asyncio.sleep(min(options.crash_after_s, 1e9))
    journal.launcher("Shard process was signaled to shutdown with signal 9 rank=0", level="ERROR")
    journal.launcher("Shard 0 crashed", level="ERROR")
    journal.plain("Error: ShardFailed")
    raise Crashed


async def _load(options: Options, journal: Journal) -> None:
    model = options.limits.model_id
    journal.launcher(f"Starting check and download process for {model}")
    journal.launcher("Files are already present on the host. Skipping download.")
    journal.launcher(f"Successfully downloaded weights for {model}")
    journal.launcher("Starting shard")
    for step in range(LOAD_STEPS):
        await asyncio.sleep(min(options.load_s, 1e9) / LOAD_STEPS)
        journal.launcher("Waiting for shard to be ready...")
        if step == LOAD_STEPS // 2 and options.crash_at_load != "none":
            _crash_at_load(options, journal)
    journal.launcher(f"Shard ready in {options.load_s:.9g}s")
    journal.launcher("Starting Webserver")
    journal.router("Warming up model", line=171)
    journal.router(f"Setting max batch total tokens to {options.speed.slots * options.limits.max_total_tokens}", line=205)
    journal.router("Connected", line=2302)


def _crash_at_load(options: Options, journal: Journal) -> NoReturn:
    if options.crash_at_load == "out-of-memory":
        journal.plain("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
    journal.launcher("Shard 0 failed to start", level="ERROR")
    journal.launcher("Shutting down shards")
    journal.plain("Error: ShardCannotStart")
    raise Crashed


def run() -> int:
    """Return the exit status: 1 after a failure, as TGI's launcher."""
    options = read_options()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.log.open("a", encoding="utf-8")) if options.log else sys.stdout
        try:
            asyncio.run(main(options, Journal(out, now_s=time.time)))
        except Crashed:
            return 1
    return 0


sys.exit(run())
