"""When to report, and what to make of the answer.

Counters are cumulative, so a report that fails needs no repeating: the next one says everything. What decides the cost of the
control plane is how often; what decides how well it routes is how soon it hears of a change:

* at once: every change of phase, and becoming idle (not sooner than IDLE_GAP_S after the last report);
* while requests are in flight: as often as the last answer asked; idle: every REPORT_INTERVAL_IDLE_S;
* until ready or failed: every LOADING_INTERVAL_S, so that a boot that hangs is seen;
* no answer: growing pauses; disowned or refused: every REFUSED_INTERVAL_S, since only a person or a restart will change that.

Completions are kept until a 2xx, in batches. Only those that end a request for its client are told: after a failure or a
refusal the client routes the same request again, and its record must still be there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import secrets
from collections import deque
from typing import Final

from protocol.report import COMPLETIONS_MAX, REPORT_INTERVAL_BUSY_S, REPORT_INTERVAL_IDLE_S, Phase, ReportAnswer, WorkerReport
from protocol.request_idx import is_recorded
from protocol.ticket import Ticket
from pyworker.clock import RouterClock
from pyworker.controlplane import Completion, ControlPlane, ControlPlaneBusy, ControlPlaneError, WorkerDisowned
from pyworker.ledger import Ledger, Outcome
from pyworker.settings import Identity
from pyworker.standing import Standing

LOADING_INTERVAL_S: Final = 3.0
IDLE_GAP_S: Final = 0.5
REFUSED_INTERVAL_S: Final = 30.0
BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
COMPLETIONS_GAP_S: Final = 1.0
COMPLETIONS_KEPT_MAX: Final = 10_000
_ENDS_A_REQUEST: Final = frozenset({Outcome.SUCCESS, Outcome.CANCELLED})

_log = logging.getLogger(__name__)


class Reporter:
    """Speaks for the worker. Run `run` as a task; call `urge`, `busy` and `finished` from anywhere on the loop."""

    def __init__(
        self, identity: Identity, *, control_plane: ControlPlane, standing: Standing, ledger: Ledger, clock: RouterClock
    ) -> None:
        self._identity = identity
        self._control_plane = control_plane
        self._standing = standing
        self._ledger = ledger
        self._clock = clock
        self._run_id = secrets.token_hex(8)
        self._seq = 0
        self._failures = 0
        self._busy_interval_s = REPORT_INTERVAL_BUSY_S
        self._reported_s = -REPORT_INTERVAL_IDLE_S
        # The next report is due at the sooner of: the turn (interval, or pause after a failure), and what happened since the
        # last was made.
        self._turn_s = 0.0
        self._wanted_s = math.inf
        self._wake = asyncio.Event()
        self._completions: deque[Completion] = deque()
        self._completed = asyncio.Event()
        self._answered = asyncio.Event()

    def urge(self) -> None:
        """Report at once: the phase has changed."""
        self._want(self._clock.monotonic_s())

    def busy(self) -> None:
        """A request was admitted."""
        if self._ledger.in_flight == 1:
            self._want(self._reported_s + self._busy_interval_s)

    def finished(self, ticket: Ticket, outcome: Outcome) -> None:
        """A request has ended."""
        if self._ledger.in_flight == 0:
            self._want(self._reported_s + IDLE_GAP_S)
        if outcome in _ENDS_A_REQUEST and ticket.request_idx and is_recorded(ticket.request_idx):
            self._keep(Completion(request_idx=ticket.request_idx, status=outcome.value))

    async def run(self) -> None:
        """Report for ever."""
        while True:
            await self._until_due()
            await self.report_now()

    async def report_now(self) -> bool:
        """Send one report, now; tell whether it was answered."""
        sent_s = self._clock.monotonic_s()
        report = self._report()
        try:
            answer = await self._control_plane.report(report)
        except ControlPlaneError as exc:
            self._not_taken(exc)
            return False
        self._taken(answer, sent_s=sent_s)
        return True

    async def answered(self) -> None:
        """Wait for the first answer of the control plane."""
        await self._answered.wait()

    async def run_completions(self) -> None:
        """Tell of completions for ever."""
        while True:
            await self._completed.wait()
            if not await self.tell_completions():
                await asyncio.sleep(BACKOFF_S[-1])
            await asyncio.sleep(COMPLETIONS_GAP_S)

    async def tell_completions(self) -> bool:
        """Send what has gathered; tell whether all of it was taken."""
        while self._completions:
            batch = [self._completions[at] for at in range(min(COMPLETIONS_MAX, len(self._completions)))]
            try:
                await self._control_plane.delete_requests(batch)
            except ControlPlaneError as exc:
                _log.warning("completions not told, kept: %s", exc)
                return False
            for _ in batch:
                self._completions.popleft()
        self._completed.clear()
        return True

    def _keep(self, completion: Completion) -> None:
        # Beyond the limit the control plane's own expiry of the record must do.
        if len(self._completions) < COMPLETIONS_KEPT_MAX:
            self._completions.append(completion)
            self._completed.set()

    def _report(self) -> WorkerReport:
        self._ledger.settle(now_s=self._clock.now_s())
        self._seq += 1
        self._wanted_s = math.inf
        totals, standing = self._ledger.totals(), self._standing
        return WorkerReport(
            worker_id=self._identity.worker_id,
            instance_id=self._identity.instance_id,
            run_id=self._run_id,
            seq=self._seq,
            phase=standing.phase,
            url=self._identity.url,
            perf=standing.perf,
            slots=standing.slots,
            loadtime_s=standing.loadtime_s,
            received_load=totals.received_load,
            finished_load=totals.finished_load,
            written_off_load=totals.written_off_load,
            in_flight=totals.in_flight,
            finished_requests=totals.finished_requests,
            failed_requests=totals.failed_requests,
            error=standing.error,
            perf_flags=standing.perf_flags,
            cert_sha256=standing.cert_sha256,
            queue_depth=standing.gauges.queue_depth,
            cache_use=standing.gauges.cache_use,
        )

    def _taken(self, answer: ReportAnswer, *, sent_s: float) -> None:
        received_s = self._clock.monotonic_s()
        self._clock.learn(answer.now_s, sent_s=sent_s, received_s=received_s)
        self._failures, self._standing.disowned = 0, False
        self._busy_interval_s = answer.report_interval_s
        self._standing.peers_perf = answer.peers_perf or self._standing.peers_perf
        self._reported_s = sent_s
        self._turn_s = sent_s + self._interval_s()
        self._answered.set()
        if answer.drain:
            self._standing.drain()
        else:
            self._standing.resume()

    def _not_taken(self, exc: ControlPlaneError) -> None:
        self._failures += 1
        now_s = self._clock.monotonic_s()
        self._standing.disowned = isinstance(exc, WorkerDisowned) or self._standing.disowned
        if isinstance(exc, ControlPlaneBusy):
            pause_s = BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1]
            self._turn_s = now_s + pause_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, guards nothing
        else:
            self._turn_s = now_s + REFUSED_INTERVAL_S
        _log.warning("report %d not taken: %s", self._seq, exc)

    def _interval_s(self) -> float:
        if self._standing.phase in {Phase.STARTING, Phase.LOADING, Phase.MEASURING}:
            return LOADING_INTERVAL_S
        return self._busy_interval_s if self._ledger.in_flight else REPORT_INTERVAL_IDLE_S

    def _want(self, due_s: float) -> None:
        if due_s < self._wanted_s:
            self._wanted_s = due_s
            self._wake.set()

    def _due_s(self) -> float:
        # While reports fail, nothing that happens makes the next one more urgent than the pause allows.
        return self._turn_s if self._failures else min(self._turn_s, self._wanted_s)

    async def _until_due(self) -> None:
        while (left_s := self._due_s() - self._clock.monotonic_s()) > 0:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
