"""Clients, as many as the story needs: each request is a thread that makes the two-step call as an application would.

Arrivals are an open loop (a Poisson process at a rate that the story changes), so that a slow system does not slow
its own load down. The number of requests under way is bounded; an arrival beyond the bound is counted as shed, never silently lost.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from sandbox.generated import Generated

IN_FLIGHT_MAX: Final = 48
PAUSED_LOOK_S: Final = 0.05


class RequestOnce(Protocol):
    """One whole request, from the wish to the last token. Raises whatever the client raises when it gives up."""

    def __call__(self, *, tokens: int) -> Generated:
        """Make the request for `tokens` output tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFigures:
    """Counts at one moment."""

    in_flight: int = 0
    succeeded: int = 0
    failed: int = 0
    moved: int = 0
    shed: int = 0


@dataclass(slots=True)
class LoadGenerator:
    """Issues requests at `rate_per_s` until stopped; what became of each is kept."""

    request: RequestOnce
    rng: random.Random
    served: list[Generated] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    _rate_per_s: float = 0.0
    _tokens: int = 0
    _in_flight: int = 0
    _shed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(IN_FLIGHT_MAX, thread_name_prefix="client"))
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; nothing is sent until a rate is set."""
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)
        self._thread.start()

    def set_rate(self, rate_per_s: float, *, tokens: int) -> None:
        """Change the mean arrival rate and the mean length of a request from now on."""
        self._rate_per_s, self._tokens = rate_per_s, tokens

    def halt(self) -> None:
        """Send nothing more."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def finish(self, *, deadline_s: float) -> bool:
        """Send nothing more and wait for what is under way; False if some of it still was at the deadline."""
        self._stop.set()
        end_s = time.monotonic() + deadline_s
        while self.figures().in_flight and time.monotonic() < end_s:
            threading.Event().wait(PAUSED_LOOK_S)
        return not self.figures().in_flight

    def figures(self) -> LoadFigures:
        """Count."""
        with self._lock:
            return LoadFigures(
                in_flight=self._in_flight,
                succeeded=len(self.served),
                failed=self.errors.total(),
                moved=sum(served.moves > 0 for served in self.served),
                shed=self._shed,
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._rate_per_s <= 0:
                self._stop.wait(PAUSED_LOOK_S)
            elif not self._stop.wait(self.rng.expovariate(self._rate_per_s)):
                self._arrive()

    def _arrive(self) -> None:
        with self._lock:
            if self._in_flight >= IN_FLIGHT_MAX:
                self._shed += 1
                return
            self._in_flight += 1
        # Lengths differ, or every worker would fall into step.
        self._pool.submit(self._one, round(self._tokens * self.rng.uniform(0.5, 1.5)))

    def _one(self, tokens: int) -> None:
        try:
            served = self.request(tokens=tokens)
        except Exception as exc:  # noqa: BLE001 - the outermost edge of a client: whatever it gave up on is a failed request
            error = f"{type(exc).__name__}: {exc}"
            self._count(lambda: self.errors.update([error]))
        else:
            self._count(lambda: self.served.append(served))

    def _count(self, change: Callable[[], None]) -> None:
        with self._lock:
            self._in_flight -= 1
            change()
