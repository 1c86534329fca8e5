"""`python -m sandbox.inference`: load, serve, and if asked to, fail. A port that was not given is written to standard output."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from sandbox.inference.dialects import DIALECTS
from sandbox.inference.engine import Engine
from sandbox.inference.journal import Journal
from sandbox.inference.options import Options, read_options
from sandbox.inference.voice import DialectVoice, TgiVoice, Voice

if TYPE_CHECKING:
    from sandbox.inference.server import InferenceServer
    from sandbox.inference.standin import StandIn

HOST: Final = "127.0.0.1"
LOAD_STEPS: Final = 4


class Crashed(Exception):
    """The server was asked to fail, and has."""


class Life:
    """One run of the server, from its first line to its last."""

    def __init__(self, options: Options, out: TextIO) -> None:
        self._options, self._out = options, out
        self._journal = Journal(out, now_s=time.time)
        self._voice = self._make_voice()
        self._listening = AsyncExitStack()

    async def run(self) -> None:
        """Serve until told to stop. Raises Crashed."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if self._options.exit_with_parent:
            # The marketplace simulator may kill an instance's first process without a word; nothing may outlive it.
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
        watches: set[asyncio.Task[Any]] = {asyncio.create_task(stop.wait()), asyncio.create_task(self._live())}
        async with self._listening:
            try:
                done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
                for watch in done:
                    watch.result()
            finally:
                for watch in watches:
                    watch.cancel()

    async def _live(self) -> NoReturn:
        voice, options = self._voice, self._options
        server = await self._listen() if voice.early else None
        await self._load()
        server = server or await self._listen()
        voice.ready()
        server.ready = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(options.crash_after_s, 1e9)):
                await server.crashed.wait()
        voice.died()
        raise Crashed

    async def _load(self) -> None:
        self._voice.begin()
        for step in range(LOAD_STEPS):
            await asyncio.sleep(min(self._options.load_s, 1e9) / LOAD_STEPS)
            self._voice.wait()
            if step == LOAD_STEPS // 2 and self._options.crash_at_load != "none":
                self._voice.out_of_memory(told=self._options.crash_at_load == "out-of-memory")
                raise Crashed

    async def _listen(self) -> InferenceServer | StandIn:
        # Imported only now: half a second of HTTP machinery that a server which fails before needs not.
        from aiohttp import web  # noqa: PLC0415

        server = self._make_server()
        runner = web.AppRunner(server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        self._listening.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, self._options.port).start()
        if not self._options.port or self._options.dialect == "tgi":
            print(f"listening on http://{HOST}:{runner.addresses[0][1]}", flush=True)
        return server

    def _make_voice(self) -> Voice:
        options = self._options
        model, slots = options.limits.model_id, options.speed.slots
        if options.dialect == "tgi":
            batch_tokens = slots * options.limits.max_total_tokens
            return TgiVoice(self._journal, model=model, load_s=options.load_s, batch_tokens=batch_tokens)
        return DialectVoice(DIALECTS[options.dialect], self._out, model=model, slots=slots, port=options.port)

    def _make_server(self) -> InferenceServer | StandIn:
        from sandbox.inference.comfyui import ComfyStandIn  # noqa: PLC0415 - as in _listen
        from sandbox.inference.server import InferenceServer  # noqa: PLC0415
        from sandbox.inference.standin import StandIn  # noqa: PLC0415

        options, engine = self._options, Engine(self._options.speed)
        if not isinstance(self._voice, DialectVoice):
            return InferenceServer(engine, limits=options.limits, journal=self._journal, fault=options.fault)
        kind = ComfyStandIn if options.dialect == "comfyui" else StandIn
        return kind(engine, dialect=DIALECTS[options.dialect], voice=self._voice, model=options.limits.model_id)


def run() -> int:
    """Return the exit status: 1 after a failure, as the real ones."""
    logging.disable()  # standard output is the log of the server that this one plays; the web framework has no line in it
    options = read_options()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(options.log.open("a", encoding="utf-8")) if options.log else sys.stdout
        try:
            asyncio.run(Life(options, out).run())
        except Crashed:
            return 1
    return 0


sys.exit(run())
