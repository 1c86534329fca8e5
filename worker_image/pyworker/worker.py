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
import gc
import json
import logging
import random
import signal
from collections.abc import Coroutine
from typing import Any, Final

from protocol.report import Phase
from protocol.ticket import Ticket
from pyworker.certificate import make_certificate
from pyworker.child import ServerProcess, bound_log
from pyworker.clock import RouterClock
from pyworker.controlplane import ControlPlane
from pyworker.front import Front
from pyworker.gate import Gate
from pyworker.gauges import watch_gauges
from pyworker.keys import KeyRing
from pyworker.lastwords import CannotRun
from pyworker.ledger import Ledger, Outcome
from pyworker.listener import Listener, listen
from pyworker.logwatch import LogWatch
from pyworker.metrics import Gauges
from pyworker.perfcache import Kept, cache_key, engine_flags, keep, load_kept
from pyworker.perftest import PerfTestFailed, measure
from pyworker.readiness import NeverReady, wait_until_serving, watch_health
from pyworker.reporter import Reporter
from pyworker.sessions import Sessions
from pyworker.settings import Identity, Settings, Tls
from pyworker.slots import SlotQueue
from pyworker.standing import Standing
from pyworker.tail import LogTail, follow
from pyworker.upstream import Upstream, UpstreamFailed

LAST_WORDS_S: Final = 3.0
EXIT_SEEN_S: Final = 1.0

_log = logging.getLogger(__name__)


class PartMissing(Exception):
    """Something that every request needs does not work; the message says what."""


class Worker:
    """Everything that a worker is made of. Make it inside the running loop, and call `run` once."""

    def __init__(self, identity: Identity, settings: Settings) -> None:
        self._identity, self._settings = identity, settings
        self._clock, self._ledger = RouterClock(), Ledger()
        self._certificate = make_certificate() if settings.tls is not Tls.OFF else None
        fingerprint = self._certificate.sha256 if self._certificate is not None else ""
        self._standing = Standing(secrets=settings.secrets, cert_sha256=fingerprint)
        self._standing.peers_perf = settings.peers_perf
        self._control_plane = ControlPlane(identity)
        self._reporter = Reporter(
            identity, control_plane=self._control_plane, standing=self._standing, ledger=self._ledger, clock=self._clock
        )
        self._standing.on_change = self._changed
        self._keys = KeyRing(self._control_plane.fetch_keys)
        self._slots = SlotQueue(wait_s_max=settings.max_queue_time_s)
        self._upstream = Upstream(settings.backend, settings.model_url, headers=settings.model_headers)
        self._sessions = Sessions(
            sessions_max=settings.sessions_max,
            clock=self._clock,
            routes=frozenset(route.path for route in settings.backend.routes),
            call=lambda path, payload: self._upstream.call("POST", path, payload),
            on_end=self._finished,
        )
        self._rng = random.Random()  # noqa: S311 - makes prompts differ, guards nothing
        self._hint, self._stop, self._quiet, self._failed = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._child: ServerProcess | None = None
        self._tail, self._watch = LogTail(settings.model_log), self._make_watch()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bringing_up: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises CannotRun."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._control_plane.close)
            stack.push_async_callback(self._upstream.close)
            stack.push_async_callback(self._stop_child)
            # Before the child is stopped, so that nobody takes its end for a failure.
            stack.push_async_callback(self._end_tasks)
            self._listener = await self._listen()
            stack.push_async_callback(self._listener.cleanup)
            self._start(self._reporter.run(), self._reporter.run_completions(), self._keys.run(), self._sessions.run())
            self._bringing_up = self._start(self._bring_up(stack))
            await self._stop.wait()
            await self._shut_down()

    async def _listen(self) -> Listener:
        host, port, app = self._settings.listen_host, self._settings.listen_port, self._front().application()
        tls = self._certificate.context if self._certificate is not None else None
        plain = self._settings.tls is not Tls.REQUIRED
        try:
            listener = await Listener.start(app, host=host, port=port, tls=tls, plain=plain)
        except OSError as exc:
            raise CannotRun(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
        _log.info("listening on %s:%s for backend %s, TLS: %s", host, port, self._settings.backend.name, self._settings.tls)
        return listener

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
            sessions=self._sessions,
            token=self._identity.token,
            on_admit=self._reporter.busy,
            on_finish=self._finished,
            on_update=self._stop.set,
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
            self._failed.set()
            for task in self._bringing_up:
                task.cancel()

    async def _bring_up(self, stack: contextlib.AsyncExitStack) -> None:
        started_s = self._clock.monotonic_s()
        try:
            await self._start_server(stack)
            timeout_s = self._settings.load_timeout_s
            await wait_until_serving(self._upstream, hint=self._hint, timeout_s=timeout_s, rng=self._rng)
            self._standing.measuring()
            await self._measure()
            await self._verify_parts()
            await asyncio.sleep(self._clock.seconds_to_first_issue())
            self._start(watch_gauges(self._upstream, take=self._take_gauges, busy=lambda: self._ledger.in_flight > 0))
            # What there is now stays: collections that go through all of it would stop every stream for some 40 ms.
            gc.collect()
            gc.freeze()
            self._standing.ready(loadtime_s=self._clock.monotonic_s() - started_s)
            self._standing.fail(await watch_health(self._upstream))
        except (NeverReady, PerfTestFailed, UpstreamFailed, PartMissing, OSError) as exc:
            await self._let_child_speak()
            self._standing.fail(str(exc))

    async def _let_child_speak(self) -> None:
        """Give a server that has ended the time to be found so: its exit says more than what broke off for it."""
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EXIT_SEEN_S):
                    await self._child.ended()
                    await self._failed.wait()

    async def _verify_parts(self) -> None:
        """Return when everything runs that a request needs, beside the server, which has been measured. Raises PartMissing."""
        # A ticket can be checked only with the keys, and told from one of an earlier run only with the control plane's time.
        await self._reporter.answered()
        try:
            async with asyncio.timeout(self._settings.keys_timeout_s):
                await self._keys.fetched()
        except TimeoutError as exc:
            timeout_s = self._settings.keys_timeout_s
            raise PartMissing(f"/pubkey/ of {self._identity.report_url} has served no keys for {timeout_s:g} s") from exc
        if not await self._listener.answers():
            raise PartMissing("this worker's own port does not answer")

    def _take_gauges(self, gauges: Gauges) -> None:
        self._standing.gauges = gauges

    async def _start_server(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self._settings
        if settings.backend.local_server is not None:
            runner = await listen(await settings.backend.local_server(), host="127.0.0.1", port=0)
            stack.push_async_callback(runner.cleanup)
            self._upstream.url = "http://{}:{}".format(*runner.addresses[0][:2])
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
            "flags": engine_flags(settings.launch_environment, settings.backend.name),
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
        self._standing.measured(kept)

    async def _known(self) -> dict[str, Any]:
        """Return what the server has told of itself: in its log, and on its page."""
        facts, path = self._watch.facts if self._watch is not None else {}, self._settings.backend.metrics.info_path
        try:
            info = json.loads(await self._upstream.page(path) or b"{}") if path else {}
        except ValueError as exc:
            raise UpstreamFailed(f"{path} is no JSON") from exc
        return {**facts, **(info if isinstance(info, dict) else {})}

    async def _test(self, slots: int) -> Kept:
        settings, rng = self._settings, self._rng
        weight, limit_s = settings.prompt_weight, settings.perf_limit_s
        found = await measure(self._upstream, slots=slots, prompt_weight=weight, limit_s=limit_s, rng=rng)
        _log.info("measured %s", found)
        return Kept(
            perf=found.perf,
            # An interval that is not known is as wide as the value.
            half_width=min(found.half_width, found.perf),
            slots=found.slots,
            prompt_weight=found.prompt_weight,
            flags=found.flags,
        )

    async def _shut_down(self) -> None:
        self._standing.drain(closing=True)
        self._sessions.close()
        self._quiet.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout_s):
                while self._ledger.in_flight:
                    await self._quiet.wait()
                await self._sessions.farewells()
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
