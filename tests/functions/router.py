"""A router over the table in memory, with a clock of its own, as one execution environment runs it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import Any

from nacl.signing import SigningKey

from functions.adapters.key_maker import LocalKeyMaker
from functions.adapters.nacl_signer import NaclSigner
from functions.core.model import ApiKey, EndpointGroup, Scope, Worker
from functions.ports import RouteStore
from functions.route.caches import RouteCaches
from functions.route.call import Assigned, RouteCall, Waiting
from functions.route.service import RoutePorts, route
from protocol.ticket import Ticket
from tests.core.builders import NOW_S, a_condition, a_group, a_worker
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore
from tests.fakes.waker import RecordingWaker

SEED = bytes(range(32))
VERIFY_KEY = SigningKey(SEED).verify_key
RSA = LocalKeyMaker().rsa()
API_KEY = "hg-a-key-of-a-test"
READ_KEY = "hg-a-key-that-may-read"
UPDATE_KEY = "hg-a-key-that-may-update"
EXPIRED_KEY = "hg-a-key-of-last-year"
OWNER = "scaler"


def a_key(text: str, **changes: Any) -> ApiKey:
    """Return the item of a key for both groups."""
    key_sha256 = hashlib.sha256(text.encode()).hexdigest()
    return ApiKey(**{"key_sha256": key_sha256, "endpoints": frozenset({"chat", "images"})} | changes)


KEY = a_key(API_KEY)
KEYS = (
    KEY,
    a_key(READ_KEY, scopes=frozenset({Scope.READ}), label="people"),
    a_key(UPDATE_KEY, scopes=frozenset({Scope.READ, Scope.UPDATE}), label="operators"),
    a_key(EXPIRED_KEY, expires_at_s=NOW_S),
)


class Router:
    """One execution environment of the route function. Another one over the same table: `Router(store=…, clock=…)`."""

    def __init__(self, *, store: MemoryStore | None = None, clock: FakeClock | None = None, seed: int = 1) -> None:
        self.store = store or MemoryStore()
        self.clock = clock or FakeClock(NOW_S)
        self.waker = RecordingWaker()
        self.caches = RouteCaches()
        self.rng = random.Random(seed)
        for key in KEYS:
            self.store.put_key(key)

    def ports(self, **changes: Any) -> RoutePorts:
        """Return the ports that the services get."""
        store: RouteStore = self.store
        ports = RoutePorts(
            store=store,
            signing=lambda: NaclSigner(key_id="k1", seed=SEED, rsa=RSA),
            waker=self.waker,
            clock=self.clock,
            rng=self.rng,
        )
        return replace(ports, **changes)

    def ask(self, *, cost: float = 10.0, request_idx: int = 0, endpoint: str = "chat", **options: Any) -> Assigned | Waiting:
        """Route one request."""
        call = RouteCall(endpoint=endpoint, cost=cost, request_idx=request_idx, **options)
        return route(call, key=KEY, ports=self.ports(), caches=self.caches)

    def ticket(self, **call: Any) -> Ticket:
        """Route one request that must be assigned."""
        answer = self.ask(**call)
        assert isinstance(answer, Assigned), answer
        return answer.ticket

    def waits(self, **call: Any) -> Waiting:
        """Route one request that must wait."""
        answer = self.ask(**call)
        assert isinstance(answer, Waiting), answer
        return answer

    def holds(self, *workers: Worker, group: EndpointGroup | None = None) -> None:
        """Store a group and its workers; they last reported just now."""
        self.store.put_group(group or a_group())
        lease = self.store.acquire_lease("chat", owner=OWNER, now_s=self.clock.now_s(), duration_s=1e9)
        assert lease is not None
        for worker in workers:
            self.store.put_rental(lease, worker.worker_id, worker.rental)
            if worker.condition.reported_at_s:
                self.reports(worker.worker_id)

    def reports(self, worker_id: str, **changes: Any) -> None:
        """Let a worker say something now."""
        seq = self.store.worker("chat", worker_id).condition.seq + 1
        url = f"http://203.0.113.7:{40_000 + int(worker_id[-3:])}"
        said = a_condition(**{"seq": seq, "reported_at_s": self.clock.now_s(), "url": url} | changes)
        self.store.put_condition("chat", worker_id, said)

    def refresh(self) -> None:
        """Let enough time pass for the next call to read everything anew, during which every ready worker reports again."""
        self.clock.advance(5.0)
        for worker in self.store.workers("chat", range(100)):
            if worker.condition.reported_at_s:
                said = replace(worker.condition, seq=worker.condition.seq + 1, reported_at_s=self.clock.now_s())
                self.store.put_condition("chat", worker.worker_id, said)


def ready(*numbers: int) -> list[Worker]:
    """Return workers that are ready, by number, each of 100 load/s, so with a ceiling of 3,000."""
    return [a_worker(number) for number in numbers]
