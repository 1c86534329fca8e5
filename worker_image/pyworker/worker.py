"""One worker, put together: what is started in which order, and what ends it.

    listen ──▶ report "starting" ──▶ start or join the inference server ──▶ wait until it serves ──▶ measure ──▶ ready
                                                 │                                                          │
                                   child's exit, fatal line of the log ──▶ error ◀── health lost ◀──────────┘

A worker that failed stays up and says so with every report, because a container that ends in silence is started again and again by
the marketplace. It ends when it is told to: SIGTERM drains (no new requests, those in flight finish within the drain timeout), says
so, tells its completions, and takes the inference server with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import signal
from collections.abc import Coroutine
from typing import Any, Final

from aiohttp import web

from protocol.report import Phase
from protocol.ticket import Ticket
from pyworker.child import ServerProcess, bound_log
from pyworker.clock import RouterClock
from pyworker.controlplane import ControlPlane
from pyworker.front import Front, listen
from pyworker.gate import Gate
from pyworker.keys import KeyRing
from pyworker.ledger import Ledger, Outcome
from pyworker.logwatch import LogWatch
from pyworker.perfcache import Kept, cache_key, keep, load_kept
from pyworker.perftest import PerfTest, PerfTestFailed
from pyworker.readiness import NeverReady, wait_until_serving, watch_health
from pyworker.reporter import Reporter
from pyworker.settings import Identity, Settings
from pyworker.slots import SlotQueue
from pyworker.standing import Standing
from pyworker.tail import LogTail, follow
from pyworker.upstream import Upstream, UpstreamFailed

LAST_WORDS_S: Final = 3.0

_log = logging.getLogger(__name__)


class CannotListen(Exception):
    """The port for clients is taken or not ours; nobody could reach this worker."""


class Worker:
    """Everything that a worker is made of. Make it inside the running loop, and call `run` once."""

    def __init__(self, identity: Identity, settings: Settings) -> None:
        self._identity, self._settings = identity, settings
        self._clock, self._ledger = RouterClock(), Ledger()
        self._standing = Standing(secrets=settings.secrets)
        self._control_plane = ControlPlane(identity)
        self._reporter = Reporter(
            identity, control_plane=self._control_plane, standing=self._standing, ledger=self._ledger, clock=self._clock
        )
        self._standing.on_change = self._changed
        self._keys = KeyRing(self._control_plane.fetch_keys)
        self._slots = SlotQueue(wait_s_max=settings.max_queue_time_s)
        self._upstream = Upstream(settings.backend, settings.model_url, headers=settings.model_headers)
        self._rng = random.Random()  # noqa: S311 - makes prompts differ, guards nothing
        self._hint, self._stop, self._quiet = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._child: ServerProcess | None = None
        self._tail, self._watch = LogTail(settings.model_log), self._make_watch()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bringing_up: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises CannotListen."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._control_plane.close)
            stack.push_async_callback(self._upstream.close)
            stack.push_async_callback(self._stop_child)
            # Before the child is stopped, so that nobody takes its end for a failure.
            stack.push_async_callback(self._end_tasks)
            stack.push_async_callback((await self._listen()).cleanup)
            self._start(self._reporter.run(), self._reporter.run_completions())
            self._bringing_up = self._start(self._bring_up(stack))
            await self._stop.wait()
            await self._shut_down()

    async def _listen(self) -> web.AppRunner:
        host, port = self._settings.listen_host, self._settings.listen_port
        try:
            front = await listen(self._front().application(), host=host, port=port)
        except OSError as exc:
            raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
        _log.info("listening on %s:%s for backend %s", host, port, self._settings.backend.name)
        return front

    def _front(self) -> Front:
        gate = Gate(
            worker_id=self._identity.worker_id,
            keys=self._keys,
            ledger=self._ledger,
            clock=self._clock,
            body_bytes_max=self._settings.body_bytes_max,
        )
        return Front(
            gate=gate,
            standing=self._standing,
            slots=self._slots,
            upstream=self._upstream,
            prompt_weight=self._settings.prompt_weight,
            on_admit=self._reporter.busy,
            on_finish=self._finished,
        )

    def _finished(self, ticket: Ticket, outcome: Outcome) -> None:
        self._ledger.finish(ticket.reqnum, outcome)
        self._reporter.finished(ticket, outcome)
        if not self._ledger.in_flight:
            self._quiet.set()

    def _changed(self) -> None:
        _log.info("phase %s%s", self._standing.phase, f": {self._standing.error}" if self._standing.error else "")
        self._reporter.urge()
        if self._standing.phase is Phase.ERROR:
            for task in self._bringing_up:
                task.cancel()

    async def _bring_up(self, stack: contextlib.AsyncExitStack) -> None:
        started_s = self._clock.monotonic_s()
        fetching = self._start(self._keys.start())
        try:
            await self._start_server(stack)
            timeout_s = self._settings.load_timeout_s
            await wait_until_serving(self._upstream, hint=self._hint, timeout_s=timeout_s, rng=self._rng)
            self._standing.measuring()
            await self._measure()
            # A ticket can be checked only with the keys, and told from one of an earlier run only with the control plane's time.
            await asyncio.wait(fetching)
            await self._reporter.answered()
            await asyncio.sleep(self._clock.seconds_to_first_issue())
            self._standing.ready(loadtime_s=self._clock.monotonic_s() - started_s)
            self._standing.fail(await watch_health(self._upstream))
        except (NeverReady, PerfTestFailed, UpstreamFailed, OSError) as exc:
            self._standing.fail(str(exc))

    async def _start_server(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self._settings
        if settings.backend.local_server is not None:
            runner = await listen(await settings.backend.local_server(), host="127.0.0.1", port=0)
            stack.push_async_callback(runner.cleanup)
            self._upstream.url = _address(runner)
            return
        if settings.launch_command:
            environment = settings.launch_environment
            self._child = await ServerProcess.start(settings.launch_command, environment=environment, log=settings.model_log)
            self._standing.loading()
            self._start(self._watch_child(self._child), bound_log(settings.model_log))
        if self._watch is not None:
            self._start(self._watch.watch(follow(self._tail)))

    def _make_watch(self) -> LogWatch | None:
        rules, standing = self._settings.backend.log_rules, self._standing
        if rules is None:
            return None
        return LogWatch(rules=rules, on_ready=self._hint.set, on_fatal=standing.fail, on_progress=standing.loading)

    async def _watch_child(self, child: ServerProcess) -> None:
        reason = f"the inference server {await child.ended()}"
        if self._watch is not None:
            for line in self._tail.finish():
                self._watch.see(line)
            reason = self._watch.explain(reason)
        self._standing.fail(reason)

    async def _measure(self) -> None:
        settings = self._settings
        capacity = settings.backend.metrics.capacity(await self._known())
        slots = settings.slots or capacity.slots
        depends_on = {
            "instance_id": self._identity.instance_id,
            "backend": settings.backend.name,
            "model_id": settings.model_id,
            "launch": list(settings.launch_command),
            "version": capacity.version,
            "slots": slots,
            "prompt_weight": settings.prompt_weight,
        }
        key = await asyncio.to_thread(cache_key, depends_on)
        kept = load_kept(settings.working_directory, key, now_s=self._clock.now_s())
        if kept is None:
            kept = await self._test(slots)
            keep(settings.working_directory, key, kept, now_s=self._clock.now_s())
        self._slots.measured(slots=kept.slots, perf=kept.perf)
        self._standing.measured(perf=kept.perf, slots=kept.slots, flags=kept.flags)

    async def _known(self) -> dict[str, Any]:
        """Return what the server has told of itself: in its log, and on its page."""
        facts, path = self._watch.facts if self._watch is not None else {}, self._settings.backend.metrics.info_path
        try:
            info = json.loads(await self._upstream.page(path) or b"{}") if path else {}
        except ValueError as exc:
            raise UpstreamFailed(f"{path} is no JSON") from exc
        return {**facts, **(info if isinstance(info, dict) else {})}

    async def _test(self, slots: int) -> Kept:
        settings = self._settings
        test = PerfTest(
            self._upstream, slots=slots, prompt_weight=settings.prompt_weight, limit_s=settings.perf_limit_s, rng=self._rng
        )
        found = await test.run()
        _log.info("measured %s", found)
        return Kept(perf=found.perf, slots=found.slots, flags=found.flags)

    async def _shut_down(self) -> None:
        self._standing.drain(closing=True)
        self._quiet.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout_s):
                while self._ledger.in_flight:
                    await self._quiet.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._reporter.report_now()
                await self._reporter.tell_completions()

    async def _stop_child(self) -> None:
        if self._child is not None:
            await self._child.stop()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tail.close()

    def _start(self, *coroutines: Coroutine[Any, Any, None]) -> set[asyncio.Task[None]]:
        started = {asyncio.create_task(self._guarded(coroutine)) for coroutine in coroutines}
        self._tasks |= started
        return started

    async def _guarded(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except Exception as exc:  # noqa: BLE001 - logged in full, and reported
            # The outermost edge of everything that runs beside requests: a bug must be reported, not end one task in silence.
            _log.exception("internal error")
            self._standing.fail(f"internal error: {type(exc).__name__}")


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
