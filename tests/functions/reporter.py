"""A report function over the table in memory, and a worker that may speak to it."""

from __future__ import annotations

from typing import Any

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.core.lifecycle import WorkerState
from functions.key_ports import PublicKeys
from functions.report.answer import answer
from functions.report.service import ReportPorts
from protocol.report import Phase, WorkerReport
from protocol.worker_token import WorkerIdentity, mint_worker_token
from tests.core.builders import NOW_S, a_group, a_worker, worker_id
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore
from tests.functions.events import an_event

SECRET = b"s" * 32
STACK = "test"
WORKER = worker_id(1)
PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
PUBLIC_KEYS = PublicKeys(keys=({"key_id": "k1", "algorithm": "Ed25519", "public_key": "AAAA"},), rsa=PEM)


def token(worker: str = WORKER, *, endpoint: str = "chat", stack: str = STACK, secret: bytes = SECRET) -> str:
    """Return the token of a worker."""
    return mint_worker_token(secret, stack=stack, identity=WorkerIdentity(endpoint=endpoint, worker_id=worker))


def a_report(**changes: Any) -> WorkerReport:
    """Return the report of a ready worker that has finished some load."""
    defaults: dict[str, Any] = {
        "worker_id": WORKER,
        "instance_id": 1_000_001,
        "run_id": "run-1",
        "seq": 7,
        "phase": Phase.READY,
        "url": "http://203.0.113.7:40123",
        "perf": 123.5,
        "slots": 8,
        "loadtime_s": 41.5,
        "received_load": 300.0,
        "finished_load": 250.5,
        "written_off_load": 12.0,
        "in_flight": 3,
        "finished_requests": 20,
        "failed_requests": 1,
        "error": "",
        "perf_flags": ("slow",),
    }
    return WorkerReport(**defaults | changes)


def a_report_body(**changes: Any) -> dict[str, Any]:
    """Return the body of that report, some of its wire fields as given; None removes one."""
    body = a_report().wire(token()) | changes
    return {name: value for name, value in body.items() if value is not None}


class Reporter:
    """The report function of a group with worker 1, in the state given."""

    def __init__(self, state: WorkerState = WorkerState.READY) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock(NOW_S)
        self.ports = ReportPorts(store=self.store, token_secret=lambda: SECRET, clock=self.clock, stack=STACK)
        self.store.put_group(a_group())
        self.enter(state)

    def enter(self, state: WorkerState) -> None:
        """Let the scaler put the worker into another state."""
        lease = self.store.acquire_lease("chat", owner="scaler", now_s=NOW_S, duration_s=60)
        assert lease is not None
        self.store.put_rental(lease, WORKER, a_worker(1, state).rental)
        self.store.calls.clear()

    def send(self, event: dict[str, Any]) -> HttpReply:
        """Send an event."""
        return answer(HttpRequest.of_event(event), ports=self.ports, public_keys=lambda: PUBLIC_KEYS)

    def post(self, path: str, body: Any = None, **event: Any) -> HttpReply:
        """Send a body with the worker's token."""
        return self.send(an_event(path, body, **{"bearer": token()} | event))
