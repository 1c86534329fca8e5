"""The demo, step by step. Every step changes something, waits until it shows, and requires that it did.

    nothing runs → the first request wakes the fleet → load ramps, the better value is preferred → a machine vanishes
    → five forgeries are refused → the load ebbs, workers drain, go cold, go → nothing runs

Nothing here reaches into the system: requests go over HTTP, machines vanish through the simulator's control API, and what
happened is read from the table, from the decision records and from the marketplace's ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from functions.core.lifecycle import COMING_OR_SERVING, WorkerState
from sandbox.scenario import attacks
from sandbox.scenario.background import Background
from sandbox.scenario.display import Display, Outcome
from sandbox.scenario.facts import Facts, StepFailed, require
from sandbox.scenario.load import LoadGenerator
from sandbox.scenario.view import WorkerRow
from sandbox.scenario.watch import Watch
from sandbox.system import HELLO, LLM, System

TOKENS: Final = 200
# Requests per second, for how many seconds: the last rate is a little more than the two machines that were measured can serve.
RAMP: Final = ((0.7, 8.0), (1.35, 20.0))
FULL_RATE_PER_S: Final = 0.8  # once the fleet follows: what has piled up is served
FIRST_RATE_PER_S: Final = 0.4
EBB_RATE_PER_S: Final = 1.0
EBB_TOKENS: Final = 50  # short and many, so that the lull is an even one
FLEET_MIN: Final = 3
PROBES: Final = 100
PROBE_WRITES_MAX: Final = 1.05  # a probe or two may have to wait, which is a write more
AUTOGROUPS: Final = 2
READS: Final = frozenset({"GetItem", "Query", "BatchGetItem", "Scan"})
LOOK_S: Final = 0.1

READY_DEADLINE_S: Final = 60.0
STREAMING_S: Final = 3.0  # a worker that was busy for so long has sent the first tokens of some request
REPLACED_DEADLINE_S: Final = 40.0
MOVED_DEADLINE_S: Final = 45.0  # begun anew, it may have to wait its turn
DRAINED_DEADLINE_S: Final = 60.0
EXPIRED_DEADLINE_S: Final = 60.0
HELD_TICKETS_MAX: Final = 12

_T = TypeVar("_T")


@dataclass(slots=True)
class Story:
    """One run of the demo over a deployed system."""

    system: System
    display: Display
    facts: Facts
    watch: Watch
    load: LoadGenerator
    _held_tickets: list[Mapping[str, Any]] = field(default_factory=list)  # unused
    _holding: bool = False
    _busy_since_s: dict[str, float] = field(default_factory=dict)  # by worker id

    def tell(self) -> None:
        """Run every step in order. Raises StepFailed at the first that does not hold."""
        self._at_zero()
        self._first_request()
        self._count_operations()
        self._ramp()
        self._vanish()
        self._abuse()
        self._ebb()
        self._to_zero()

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[list[str]]:
        """Draw a step, time it, and say how it ended; the body appends its closing words."""
        self.display.begin(title)
        words: list[str] = []
        started_s = time.monotonic()
        try:
            yield words
        except BaseException as exc:
            self.display.end(Outcome.FAILED, f"{title}: {exc}")
            raise
        finally:
            self.facts.steps.append({"step": name, "seconds": round(time.monotonic() - started_s, 2)})
        self.display.end(Outcome.DONE, "; ".join(words) or title)

    def until(self, condition: Callable[[], _T | None], what: str, *, deadline_s: float) -> _T:
        """Wait until `condition` returns something true and return that; raise StepFailed naming `what` at the deadline."""
        end_s = time.monotonic() + deadline_s
        while not (result := condition()):
            if time.monotonic() > end_s:
                raise StepFailed(f"{what}: not within {deadline_s:.0f} s")
            self._pass(LOOK_S)
        return result

    def _pass(self, duration_s: float) -> None:
        """Let time pass, unless the system dies meanwhile."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            self.system.ensure_alive()
            if self._holding:
                self._hold_tickets()
            threading.Event().wait(min(left_s, LOOK_S))

    def _at_zero(self) -> None:
        with self.step("at-zero", "Both endpoint groups at zero") as words:
            self.until(lambda: self.watch.views, "a first look at the table", deadline_s=10)
            held = self.watch.held(LLM) + self.watch.held(HELLO)
            require(held == 0, f"{held} workers are held before the first request")
            billed = self.system.marketplace.open_contracts()
            require(not billed, f"the marketplace bills instances {billed} before the first request")
            words.append("Both endpoint groups are at zero: no worker, no instance, nothing billed")

    def _first_request(self) -> None:
        title = "The first request finds nobody: it waits, wakes the scaler, and is served"
        with self.step("cold-start", title) as words:
            statuses: list[str] = []
            hello = Background(self.system.say_hello)
            served = self.system.generate(tokens=TOKENS, on_waiting=lambda status: self._waiting(statuses, status))
            require(statuses, "the first request was not told to wait")
            require(served.tokens > 0, "the first request came back without a token")
            first = self.until(lambda: self.watch.ready(LLM), "a ready worker in the table", deadline_s=10)[0]
            self.facts.record(
                zero_to_first_token_s=round(served.first_token_s, 2),
                waiting_reasons=list(dict.fromkeys(statuses)),
                first_worker={"autogroup": first.autogroup, "gpu": first.gpu, "measured_load_per_s": round(first.perf, 1)},
                hello_answered=hello.result(deadline_s=READY_DEADLINE_S),
            )
            words.append(f"From zero to the first token in {served.first_token_s:.1f} s; it was told “{statuses[0]}”")
            words.append(f"{first.gpu} measured at {first.perf:.0f} load/s")

    def _waiting(self, statuses: list[str], status: str) -> None:
        statuses.append(status)
        self.display.progress(f"waiting: {status}")

    def _count_operations(self) -> None:
        with self.step("operations", f"{PROBES} routed requests, counted at the table") as words:
            before = self.system.route_operations()
            for _ in range(PROBES):
                self.system.ticket(cost=1)
            spent = self.system.route_operations() - before
            self.facts.record(dynamodb_operations_per_route={api: round(count / PROBES, 3) for api, count in sorted(spent.items())})
            writes = sum(count for api, count in spent.items() if api not in READS)
            reads = sum(count for api, count in spent.items() if api in READS)
            require(writes <= PROBES * PROBE_WRITES_MAX, f"{PROBES} routed requests took {writes} writes")
            words.append(f"{PROBES} routed requests: {writes} DynamoDB writes, {reads} reads (the snapshot, about once a second)")

    def _ramp(self) -> None:
        with self.step("ramp", "Load ramps up, the fleet follows") as words:
            self.load.start()
            self.load.set_rate(FIRST_RATE_PER_S, tokens=TOKENS)
            self._holding = True
            self.display.progress("until every autogroup has been measured")
            self.until(lambda: self.watch.all_measured(LLM, AUTOGROUPS), "both autogroups measured", deadline_s=READY_DEADLINE_S)
            for rate, duration_s in RAMP:
                self.load.set_rate(rate, tokens=TOKENS)
                self.display.progress(f"{rate:g} requests/s")
                self._pass(duration_s)
            end_s = time.monotonic() + READY_DEADLINE_S
            self.until(lambda: self._coming_or_serving() >= FLEET_MIN, f"{FLEET_MIN} workers", deadline_s=READY_DEADLINE_S)
            self.load.set_rate(FULL_RATE_PER_S, tokens=TOKENS)
            left_s = end_s - time.monotonic()
            self.until(lambda: self.watch.peak_ready[LLM] >= FLEET_MIN, f"{FLEET_MIN} ready workers", deadline_s=left_s)
            words.append(f"The fleet grew to {self.watch.peak_ready[LLM]} ready workers")
            words.append(self._preference(self.watch.value_per_dollar(LLM)))

    def _coming_or_serving(self) -> int:
        view = self.watch.group(LLM)
        return 0 if view is None else sum(view.states[state] for state in COMING_OR_SERVING)

    def _preference(self, values: Mapping[str, float]) -> str:
        """Require that of what was rented once both autogroups were measured, most is of the better value."""
        require(len(values) > 1, f"only {', '.join(values) or 'no autogroup'} was measured")
        later = self.watch.rented_after_all_measured(LLM)
        require(later, "nothing more was rented once both autogroups had been measured")
        best = max(values, key=lambda name: values[name])
        self.facts.record(
            load_per_usd={name: round(value) for name, value in values.items()}, preferred=best, rented_once_measured=later
        )
        require(later.count(best) > len(later) / 2, f"{best} is the better value, yet these were rented: {', '.join(later)}")
        told = ", ".join(f"{name} {value:,.0f}" for name, value in sorted(values.items()))
        return f"load per dollar: {told}; {later.count(best)} of {len(later)} rented since are {best}"

    def _vanish(self) -> None:
        with self.step("vanish", "A machine vanishes with requests on it") as words:
            failed_before, moved_before = self.load.figures().failed, self.load.figures().moved
            victim = self.until(self._busiest, "a worker with requests on it", deadline_s=20)
            self.system.marketplace.vanish(self.watch.instance_of[victim.worker_id])
            self.until(lambda: self._is_gone(victim), "the scaler noticing", deadline_s=REPLACED_DEADLINE_S)
            self.until(lambda: self.load.figures().moved > moved_before, "a request served elsewhere", deadline_s=MOVED_DEADLINE_S)
            figures = self.load.figures()
            self.facts.record(requests_moved=figures.moved - moved_before)
            require(figures.failed == failed_before, f"{figures.failed - failed_before} requests failed")
            words.append(
                f"A machine vanished with requests on it: {figures.moved - moved_before} were served elsewhere, none failed"
            )

    def _busiest(self) -> WorkerRow | None:
        """Return the worker with the most to do of those that stream by now: what has not begun moves without being noticed."""
        rows, now_s = self.watch.ready(LLM), time.monotonic()
        busy = [row for row in rows if row.backlog_s > 0]
        self._busy_since_s = {row.worker_id: self._busy_since_s.get(row.worker_id, now_s) for row in busy}
        streaming = [row for row in busy if now_s - self._busy_since_s[row.worker_id] >= STREAMING_S]
        return max(streaming, key=lambda row: row.backlog_s) if len(rows) > 1 and streaming else None

    def _is_gone(self, victim: WorkerRow) -> bool:
        view = self.watch.group(LLM)
        return view is not None and all(row.worker_id != victim.worker_id for row in view.rows)

    def _abuse(self) -> None:
        with self.step("abuse", "Forged, altered, stolen, replayed and expired tickets") as words:
            held = self.until(self._expired_ticket, "an expired ticket of a worker that serves", deadline_s=EXPIRED_DEADLINE_S)
            used = self.system.ticket(cost=TOKENS)
            answer = self.system.present(used["url"], used, tokens=TOKENS)
            require(answer.status_code == 200, f"an honest ticket got {answer.status_code}: {answer.text[:200]}")
            self._holding = False
            self._present_all(used, held, words)
            self._let_the_load_ebb()

    def _hold_tickets(self) -> None:
        """Take a ticket that nobody will use, of a worker that has none yet: once it has expired, that worker must refuse it."""
        missing = set(self.watch.ready_urls(LLM)) - {str(held["url"]) for held in self._held_tickets}
        if missing and len(self._held_tickets) < HELD_TICKETS_MAX:
            self._held_tickets.append(self.system.ticket(cost=attacks.ATTACK_COST))

    def _expired_ticket(self) -> Mapping[str, Any] | None:
        """Return an expired ticket whose worker still serves."""
        serving = self.watch.ready_urls(LLM)
        old = (held for held in self._held_tickets if not attacks.seconds_until_expired(held))
        return next((held for held in old if held["url"] in serving), None)

    def _present_all(self, used: Mapping[str, Any], held: Mapping[str, Any], words: list[str]) -> None:
        fresh = self.system.ticket(cost=attacks.ATTACK_COST)
        other = next((url for url in self.watch.ready_urls(LLM) if url != fresh["url"]), None)
        tried = attacks.attacks(fresh, used=used, held=held, other_url=other)
        verdicts = [attacks.judge(one, self.system.present(one.url, one.auth, tokens=TOKENS)) for one in tried]
        self.facts.record(forgeries=[{"ticket": one.name, "status": one.status, "reason": one.reason} for one in verdicts])
        for verdict in verdicts:
            require(verdict.refused, f"the {verdict.name} ticket got {verdict.status} {verdict.reason}, not 401 {verdict.expected}")
        words.append("Refused with 401: " + ", ".join(f"{one.name} ({one.reason})" for one in verdicts))

    def _let_the_load_ebb(self) -> None:
        """Ask for less from now on; only what is seen after this counts as a consequence."""
        self.watch.forget_states()
        self.load.set_rate(EBB_RATE_PER_S, tokens=EBB_TOKENS)

    def _ebb(self) -> None:
        with self.step("ebb", "The load ebbs, workers drain and go cold") as words:
            for state in (WorkerState.DRAINING, WorkerState.STOPPED):
                self.until(lambda state=state: self.watch.saw(LLM, state), f"a {state} worker", deadline_s=DRAINED_DEADLINE_S)  # type: ignore[misc]
            words.append("With less to do, workers drained and went cold, ready to be started in seconds")

    def _to_zero(self) -> None:
        with self.step("to-zero", "Nothing is asked any more, the fleet goes to zero") as words:
            require(self.load.finish(deadline_s=30), f"{self.load.figures().in_flight} requests did not end")
            self.until(lambda: self._held() == 0, "both groups at zero", deadline_s=DRAINED_DEADLINE_S)
            self.until(lambda: not self._open(), "the marketplace confirming it", deadline_s=10)
            words.append("The inactivity timeout passed: both groups are at zero, and the marketplace bills nothing")

    def _held(self) -> int:
        return self.watch.held(LLM) + self.watch.held(HELLO)

    def _open(self) -> Sequence[int]:
        return self.system.marketplace.open_contracts()
