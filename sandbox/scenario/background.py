"""One call in a thread, whose result, or error, is asked for later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Generic, TypeVar

from sandbox.scenario.facts import StepFailed

_T = TypeVar("_T")


class Background(Generic[_T]):
    """Starts the call at once."""

    def __init__(self, call: Callable[[], _T]) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._future: Future[_T] = pool.submit(call)
        pool.shutdown(wait=False)

    def result(self, *, deadline_s: float) -> _T:
        """Return what the call returned, or raise what it raised. Raises StepFailed at the deadline."""
        try:
            return self._future.result(timeout=deadline_s)
        except FutureTimeout as exc:
            raise StepFailed(f"a request did not end within {deadline_s:.0f} s") from exc
