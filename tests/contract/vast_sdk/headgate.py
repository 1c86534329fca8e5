"""Headgate's own route and report functions over one table in memory, behind one address on loopback.

Keys are made by the rotate function's own use case, and every request is the event that a Function URL would make of it. The scaler
is not here: a worker's rental says READY, and what the worker itself reports decides whether it is routed to.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from functions.adapters.clock import SystemClock
from functions.adapters.function_url import HttpRequest
from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.key_vault import encode_keys
from functions.adapters.nacl_signer import signing_key
from functions.adapters.public_keys import public_halves
from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.report.answer import PATHS as REPORT_PATHS
from functions.report.answer import answer as report_answer
from functions.report.service import ReportPorts
from functions.rotate.service import Command, RotatePorts, rotate
from functions.route.answer import answer as route_answer
from functions.route.caches import RouteCaches
from functions.route.service import RoutePorts
from protocol.worker_token import WorkerIdentity, mint_worker_token
from tests.contract.function_url import function_url
from tests.core.builders import a_group, a_worker, an_autogroup, worker_id
from tests.fakes.keys import MemoryBoard, MemoryVault
from tests.fakes.store import MemoryStore
from tests.fakes.waker import RecordingWaker
from tests.functions.router import KEYS

ENDPOINT: Final = "chat"
_SECRET: Final = b"s" * 32
_STACK: Final = "contract"


class Headgate:
    """A control plane of one group. `url` is where it is while it serves."""

    def __init__(self) -> None:
        self.url = ""
        self.store = MemoryStore()
        self.store.put_group(a_group(max_queue_time=30.0))
        self.store.put_autogroup(ENDPOINT, an_autogroup("fast"))
        for key in KEYS:
            self.store.put_key(key)
        clock, vault = SystemClock(), MemoryVault()
        ports = RotatePorts(vault=vault, board=MemoryBoard(), maker=LocalKeyMaker(), clock=clock, every_s=0.0)
        keys = rotate(Command.ADVANCE, ports=ports).keys
        signer = signing_key(json.loads(encode_keys(keys)))
        self.public_keys = public_halves(keys)
        self._route = RoutePorts(
            store=self.store, signing=lambda: signer, waker=RecordingWaker(), clock=clock, rng=random.SystemRandom()
        )
        self._report = ReportPorts(store=self.store, token_secret=lambda: _SECRET, clock=clock, stack=_STACK)
        self._caches = RouteCaches()
        self._lock = threading.Lock()

    def rent(self, number: int) -> str:
        """Let there be a worker that has not reported yet, and return its token."""
        lease = self.store.acquire_lease(ENDPOINT, owner="scaler", now_s=0.0, duration_s=1e12)
        assert lease is not None
        self.store.put_rental(lease, worker_id(number), a_worker(number, WorkerState.READY).rental)
        return mint_worker_token(_SECRET, stack=_STACK, identity=WorkerIdentity(endpoint=ENDPOINT, worker_id=worker_id(number)))

    def worker(self, number: int) -> Worker:
        """Return what is stored of a worker."""
        return self.store.worker(ENDPOINT, worker_id(number))

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the function that an event is for answers, one at a time as in an execution environment."""
        request = HttpRequest.of_event(event)
        with self._lock:
            if request.path in REPORT_PATHS:
                return report_answer(request, ports=self._report, public_keys=lambda: self.public_keys).result()
            return route_answer(request, ports=self._route, caches=self._caches, public_keys=lambda: self.public_keys).result(
                __request_id="a-request"
            )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Listen on a free port for the block."""
        with function_url(self.answer) as self.url:
            yield
