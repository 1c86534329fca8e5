"""Route one request: one conditional write when everything needed is known already, and an honest answer otherwise.

A request is one of

* *new* (no number): it is last in line. Assigned at once, nothing is recorded: the number it gets names its worker
  (`protocol.request_idx`). Otherwise it is recorded, and waits.
* *waiting* (recorded, without a worker): it asks again, and keeps its place as long as it asks often enough.
* *failed* (recorded with a worker, or numbered for one): its client was sent to that worker and is back. It is routed to another
  one with a new reqnum, at most ATTEMPTS_MAX times, since Vast's clients repeat for ever and without a pause.

A client over its limit waits too, in the same form but without a record: it has no place in line, and tries anew when it asks
again.

A refusal by the table (`AssignmentRefused`) means that the snapshot is out of date: it is read again if it is not
fresh, else the worker is left out until the next one; ASSIGN_TRIES_MAX bounds the trying. What is refused writes nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from functions.core.affinity import Affinity
from functions.core.model import ApiKey, Assignments, EndpointGroup, EndpointState, WaitingRequest, Worker, fleet_shards
from functions.core.rate_limit import is_limited, told
from functions.core.routing import Candidate, assigned_load_max, is_forgotten, patience_s, settlement
from functions.core.scaler_state import ScalerState
from functions.core.schedules import InForce, in_force
from functions.core.waiting_reason import STOPPED, Place, explain
from functions.ports import AssignmentRefused, Clock, NumberTaken, RouteStore, ScaleWaker, Signer, StoreUnavailable, UnreadableItem
from functions.route.allowance import Allowance
from functions.route.caches import Found, RouteCaches
from functions.route.call import Assigned, RouteCall, Waiting, within_bounds
from functions.route.snapshot import SHARDS_READ_MAX, Snapshot, home_shard, random_shards, read_snapshot
from protocol.problem import Problem, RequestRefused
from protocol.request_idx import hinted_worker, is_unrecorded, new_direct_idx, new_recorded_idx, new_unrecorded_idx, worker_hint
from protocol.ticket import Ticket

ATTEMPTS_MAX: Final = 8
ASSIGN_TRIES_MAX: Final = 5
# 8,192 numbers a millisecond: with a hundred waiting requests in one, the first try meets another's with 1 %.
NUMBERS_TRIED_MAX: Final = 8
# A snapshot younger than this is not read again: at the ceiling, refusals are the rule and not a sign of age.
FRESH_S: Final = 0.1
RECORD_TTL_S: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePorts:
    """What the router needs of the world.

    `signing` returns the key that signs now, one for a whole ticket; it may raise StoreUnavailable. `rng` makes the request
    numbers, so it must be unpredictable in production.
    """

    store: RouteStore
    signing: Callable[[], Signer]
    waker: ScaleWaker
    clock: Clock
    rng: random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """A request on its way through. `recorded`: it has, or must get, a record; `failed`: a worker has just failed it."""

    request: WaitingRequest
    affinity: Affinity | None = None
    recorded: bool = False
    failed: bool = False


def route(call: RouteCall, *, key: ApiKey, ports: RoutePorts, caches: RouteCaches) -> Assigned | Waiting:
    """Give the request to a worker, or tell why it has to wait. Raises RequestRefused (404, 502) and StoreUnavailable."""
    now_s = ports.clock.now_s()
    known = known_group(call.endpoint, key=key, ports=ports, caches=caches)
    group = known.group
    turn = _Turn(group=group, shards=fleet_shards(known.declared.max_workers), ports=ports, caches=caches, now_s=now_s)
    if group.endpoint_state is EndpointState.STOPPED:
        return turn.stopped(call)
    asking = turn.identify(call)
    if call.session:
        asking = replace(asking, affinity=Affinity.of(call.session, max_queue_time=group.max_queue_time))
    if wait_s := turn.over_limit_s(asking, key):
        return turn.held_back(call, key, wait_s)
    signer = ports.signing()  # before anything is written: load that no ticket was made for would have to be written off
    given = turn.assign(asking)
    return turn.wait(asking) if given is None else turn.hand_out(asking, *given, signer=signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """One call in progress: the group it is for, as it is now, over how many shards it is spread, and what it may use."""

    group: EndpointGroup
    shards: int
    ports: RoutePorts
    caches: RouteCaches
    now_s: float

    def identify(self, call: RouteCall) -> _Asking:
        """Tell what the number of the call means. Raises RequestRefused (502) when it has failed often enough."""
        if not call.request_idx or is_unrecorded(call.request_idx):
            return _Asking(request=self._new(call))
        record = self.ports.store.request(self.group.endpoint, call.request_idx)
        if record is None:
            return self._unrecorded(call, self._new(call))
        # The first cost counts: some clients send none when they ask again.
        asked = replace(record, polled_at_s=self.now_s)
        if record.worker_id is not None:
            return _failed(asked, [record.worker_id])
        if is_forgotten(record, now_s=self.now_s):
            asked = replace(asked, arrived_at_s=self.now_s)  # it gave up its place
        return _Asking(request=asked, recorded=True)

    def over_limit_s(self, asking: _Asking, key: ApiKey) -> float:
        """Count the request against its client's limit; return for how many seconds that is spent, 0 if the request may pass.

        Who waits on record has been counted; who failed is served anew, and counts anew.
        """
        if asking.recorded and not asking.failed:
            return 0.0
        return over_limit_s(key, cost=asking.request.cost, ports=self.ports, caches=self.caches)

    def assign(self, asking: _Asking) -> tuple[Worker, Assignments] | None:
        """Write the request's load to the worker that may take it; None if it has to wait."""
        if asking.affinity is not None:
            home = home_shard(self._shards(), asking.affinity)
            given = None if home is None else self._assign_in(asking, home)
            if given is not None:
                return given
        return self._assign_in(asking)

    def _assign_in(self, asking: _Asking, home: int | None = None) -> tuple[Worker, Assignments] | None:
        request, rng = asking.request, self.ports.rng
        for _ in range(ASSIGN_TRIES_MAX):
            snapshot = self._snapshot(home)
            chosen = snapshot.admit(request, just_failed=asking.failed, now_s=self.now_s, rng=rng, affinity=asking.affinity)
            if chosen is None:
                if self._has_looked(snapshot, request):
                    return None
                self._forget_snapshot(home)
                continue
            try:
                totals = self.ports.store.assign(
                    chosen.worker,
                    cost=request.cost,
                    assigned_load_max=assigned_load_max(chosen, request.cost, patience_s=patience_s(request)),
                    expires_at_s=self._expires_at(),
                    settlement=settlement(chosen.worker),
                )
            except AssignmentRefused:
                self._distrust(snapshot, chosen, home)
                continue
            snapshot.assigned(chosen, totals)
            return chosen.worker, totals
        return None

    def hand_out(self, asking: _Asking, worker: Worker, totals: Assignments, *, signer: Signer) -> Assigned:
        """Sign the ticket of an assignment that is written, and remember who got it if the request has a record."""
        request = asking.request
        if asking.recorded:
            given = replace(request, worker_id=worker.worker_id, attempts=request.attempts + 1)
            self._record(given)
            self._snapshot().left(request.request_idx)
        ticket = Ticket(
            url=worker.condition.url,
            endpoint=self.group.endpoint,
            cost=request.cost,
            reqnum=totals.reqnum,
            request_idx=request.request_idx or new_direct_idx(self.ports.rng, worker_id=worker.worker_id),
            worker_id=worker.worker_id,
            assigned_load=totals.assigned_load,
            issued_at=int(self.now_s),
            expires_at=self._expires_at(),
            key_id=signer.key_id,
            cert_sha256=worker.condition.cert_sha256,
        )
        return Assigned.signed(ticket, version=worker.condition.version, signer=signer)

    def wait(self, asking: _Asking) -> Waiting:
        """Record the request, or that it asked again, wake the scaler, and say why it waits."""
        snapshot, request = self._snapshot(), asking.request
        ahead = len(snapshot.ahead_of(request, now_s=self.now_s))
        if request.request_idx:
            self._record(request)
        else:
            request = self._add(request)
        snapshot.waits(request)
        self._wake()
        reason = explain(
            self.group,
            workers=snapshot.workers,
            candidates=snapshot.candidates,
            place=Place(waiting_ahead=ahead, avoid=snapshot.avoided_by(request, just_failed=asking.failed)),
            state=self._scaler_state(),
            now_s=self.now_s,
        )
        return Waiting(endpoint=self.group.endpoint, request_idx=request.request_idx, status=reason, waiting_ahead=ahead)

    def stopped(self, call: RouteCall) -> Waiting:
        """Tell that the owner has stopped the endpoint. It is no demand: nothing is recorded and nobody is woken."""
        idx = call.request_idx or new_unrecorded_idx(self.ports.rng)
        return Waiting(endpoint=self.group.endpoint, request_idx=idx, status=STOPPED, waiting_ahead=0)

    def held_back(self, call: RouteCall, key: ApiKey, wait_s: float) -> Waiting:
        """Tell a client that it is over its limit. It is no demand, and has no place in line: nothing is recorded, nobody woken."""
        idx = call.request_idx or new_unrecorded_idx(self.ports.rng)
        reason = f"the limit of this API key is reached ({told(key)}); there is room again in {math.ceil(10 * wait_s) / 10:g} s"
        return Waiting(endpoint=self.group.endpoint, request_idx=idx, status=reason, waiting_ahead=0)

    def _unrecorded(self, call: RouteCall, new: WaitingRequest) -> _Asking:
        """A number without a record: assigned at once and failed, or not (any more) a number of ours."""
        hint = hinted_worker(call.request_idx)
        if hint is None:
            return _Asking(request=new)
        failed_it = [worker.worker_id for worker in self._snapshot().workers if worker_hint(worker.worker_id) == hint]
        return _failed(replace(new, request_idx=call.request_idx, attempts=1), failed_it)

    def _new(self, call: RouteCall) -> WaitingRequest:
        """Return a request that has just come, is last in line, and costs what its client said."""
        return WaitingRequest(
            request_idx=0,
            cost=call.cost if call.latency_s is None else within_bounds(call.latency_s * self._usual_perf()),
            arrived_at_s=self.now_s,
            polled_at_s=self.now_s,
            replay_timeout_s=call.replay_timeout_s,
        )

    def _usual_perf(self) -> float:
        """Return the load per second of the median worker: of those that serve, else of those that ever did, else 1."""
        serving = [candidate.perf for candidate in self._snapshot().candidates]
        known = serving or [learned.perf for learned in self._scaler_state().learned.values()]
        return sorted(known)[len(known) // 2] if known else 1.0

    def _snapshot(self, home: int | None = None) -> Snapshot:
        """Return the group as this environment knows it: two shards of it, or the `home` of a session."""

        def read() -> Snapshot:
            shards = random_shards(self._shards(), self.ports.rng) if home is None else (home,)
            return read_snapshot(self.ports.store, self.group, shards, now_s=self.now_s)

        return self.caches.snapshots.get_or_read(self._name_of(home), read, now_s=self.now_s)

    def _shards(self) -> Sequence[int]:
        """Return the shards that workers may be in: of a large group those that hold some, by what the scaler wrote last.

        Without that, most snapshots of a small fleet in a large group would be empty, and idle workers not be found.
        """
        every = range(self.shards)
        return every if len(every) <= SHARDS_READ_MAX else self._scaler_state().shards or every

    def _name_of(self, home: int | None) -> str:
        return self.group.endpoint if home is None else f"{self.group.endpoint}#{home}"

    def _is_fresh(self, snapshot: Snapshot) -> bool:
        return self.now_s - snapshot.read_at_s <= FRESH_S

    def _has_looked(self, snapshot: Snapshot, request: WaitingRequest) -> bool:
        """Tell whether the request may be told to wait: by a fresh view, or because others are before it anyway.

        So whoever is next waits for want of room as it is now, not as it was a second ago, at one more reading of the snapshot.
        """
        return self._is_fresh(snapshot) or bool(snapshot.ahead_of(request, now_s=self.now_s))

    def _forget_snapshot(self, home: int | None) -> None:
        self.caches.snapshots.drop(self._name_of(home))

    def _distrust(self, snapshot: Snapshot, refused: Candidate, home: int | None) -> None:
        if self._is_fresh(snapshot):
            snapshot.refused(refused)
        else:
            self._forget_snapshot(home)

    def _record(self, request: WaitingRequest) -> None:
        self.ports.store.put_request(self.group.endpoint, request, expires_at_s=self.now_s + RECORD_TTL_S)

    def _add(self, request: WaitingRequest) -> WaitingRequest:
        """Record a request that has no number yet under one that nobody has."""
        for _ in range(NUMBERS_TRIED_MAX):
            numbered = replace(request, request_idx=new_recorded_idx(self.ports.rng, now_s=self.now_s))
            with suppress(NumberTaken):
                self.ports.store.add_request(self.group.endpoint, numbered, expires_at_s=self.now_s + RECORD_TTL_S)
                return numbered
        raise StoreUnavailable(f"{NUMBERS_TRIED_MAX} request numbers in a row are taken")

    def _expires_at(self) -> int:
        return int(self.now_s) + self.group.ticket_ttl_s

    def _wake(self) -> None:
        endpoint = self.group.endpoint
        if self.group.endpoint_state is EndpointState.ACTIVE and self.caches.woken.get(endpoint, now_s=self.now_s) is None:
            self.caches.woken.put(endpoint, self.now_s, now_s=self.now_s)
            self.ports.waker.wake(endpoint)

    def _scaler_state(self) -> ScalerState:
        def read() -> ScalerState:
            try:
                return self.ports.store.scaler_state(self.group.endpoint)
            except UnreadableItem:
                return ScalerState()  # the scaler will raise the alarm; a request must not fail for want of a reason

        return self.caches.states.get_or_read(self.group.endpoint, read, now_s=self.now_s)


def over_limit_s(key: ApiKey, *, cost: float, ports: RoutePorts, caches: RouteCaches) -> float:
    """Count one request of this load against the client's limit; return in how many seconds it may try again, 0 if it may pass.

    No write for a client without a limit.
    """
    if not is_limited(key):
        return 0.0
    now_s = ports.clock.now_s()
    allowance = caches.allowances.get_or_read(key.label, Allowance, now_s=now_s)
    return allowance.admit(key, cost=cost, now_s=now_s, store=ports.store)


def _failed(request: WaitingRequest, failed_it: Sequence[str]) -> _Asking:
    if request.attempts >= ATTEMPTS_MAX:
        message = f"{request.attempts} workers were tried and the request came back from each; it is not tried again"
        remedy = "look at what the worker answered, and send the request anew"
        raise RequestRefused(Problem(status=502, code="too_many_attempts", message=message, remedy=remedy))
    avoid = tuple(dict.fromkeys((*request.avoid, *failed_it)))
    return _Asking(request=replace(request, worker_id=None, avoid=avoid), recorded=True, failed=True)


def known_group(endpoint: str, *, key: ApiKey, ports: RoutePorts, caches: RouteCaches) -> InForce:
    """Return the group's parameters as they are now. At most one read every GROUP_TTL_S.

    Raises RequestRefused (404): a group that the key does not cover is not told apart from one that is not there.
    """
    if endpoint in key.endpoints:
        now_s = ports.clock.now_s()
        found = caches.groups.get_or_read(endpoint, lambda: _read_group(endpoint, ports, now_s=now_s), now_s=now_s)
        if found.value is not None:
            return found.value
    raise no_such_group(repr(endpoint), field="endpoint")


def _read_group(endpoint: str, ports: RoutePorts, *, now_s: float) -> Found[InForce]:
    group = ports.store.group(endpoint)
    return Found(value=None if group is None else in_force(group, now_s=now_s))


def no_such_group(which: str, *, field: str) -> RequestRefused:
    """Return the refusal of a group that is not there, or not for this key."""
    message = f"there is no endpoint group {which} for this API key"
    remedy = "check it, and that the key's entry in the stack file lists the group"
    return RequestRefused(Problem(status=404, code="unknown_endpoint", message=message, field=field, remedy=remedy))
