"""The table in memory: the three stores of `functions.ports` with DynamoDB's conditional semantics.

One lock around every operation, no clock of its own, no randomness: given the same calls in the same order it is in
the same state, so that a simulation can be replayed. Values are immutable, so what is returned never changes afterwards.
`tests/contract/test_store.py` holds it to what the real adapters do.

`put_group`, `put_autogroup`, `put_key` and `drop_key` are what `pulumi up` does.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from functions.core.lifecycle import WorkerState
from functions.core.model import (
    ApiKey,
    Assignments,
    Autogroup,
    Condition,
    EndpointGroup,
    Rental,
    Settlement,
    WaitingRequest,
    Worker,
    shard_of,
)
from functions.core.rate_limit import Budgets, Price, overdrawn_s, spent
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.key_ports import PublicKeys
from functions.ports import (
    FORGOTTEN_AT_ONCE_MAX,
    AssignmentRefused,
    BudgetSpent,
    GroupRecords,
    Lease,
    LeaseLost,
    NumberTaken,
    StaleReport,
    UnreadableItem,
    WorkerGone,
)
from protocol.report import Phase
from protocol.vast_report import VastReport

CALLS_KEPT: Final = 1_000

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(slots=True)
class _Group:
    """Everything stored under one endpoint name."""

    spec: EndpointGroup | None = None
    autogroups: dict[str, Autogroup] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    requests: dict[int, WaitingRequest] = field(default_factory=dict)
    state: ScalerState = field(default_factory=ScalerState)
    updates: dict[str, float] = field(default_factory=dict)
    decisions: list[DecisionRecord] = field(default_factory=list)
    lease_owner: str = ""
    lease_until_s: float | None = None
    epoch: int = 0


def _atomic(
    method: Callable[Concatenate[MemoryStore, _P], _R],
) -> Callable[Concatenate[MemoryStore, _P], _R]:
    @wraps(method)
    def locked(self: MemoryStore, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with self.lock:
            self.calls.append(method.__name__)
            return method(self, *args, **kwargs)

    return locked


class MemoryStore:
    """Implements RouteStore, ReportStore and ScaleStore. `calls` names the last operations."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.calls: deque[str] = deque(maxlen=CALLS_KEPT)
        self.rentals_written = 0
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._keys: dict[str, ApiKey] = {}
        self._budgets: dict[str, Budgets] = {}
        self._public_keys: PublicKeys | None = None

    # What pulumi writes

    def put_group(self, group: EndpointGroup) -> None:
        """Write a group's parameters."""
        self._of(group.endpoint).spec = group

    def put_autogroup(self, endpoint: str, autogroup: Autogroup) -> None:
        """Write an autogroup's parameters."""
        self._of(endpoint).autogroups[autogroup.name] = autogroup

    def put_key(self, key: ApiKey) -> None:
        """Write an API key."""
        self._keys[key.key_sha256] = key

    def drop_key(self, key: ApiKey) -> None:
        """Delete an API key."""
        del self._keys[key.key_sha256]

    # What a test looks at

    def worker(self, endpoint: str, worker_id: str) -> Worker:
        """Return one worker as it is stored."""
        return self._of(endpoint).workers[worker_id]

    def fleet(self, endpoint: str) -> Mapping[str, Worker]:
        """Return every worker by id, tombstones included: a live view, to be looked at and not kept."""
        return self._of(endpoint).workers

    def spec(self, endpoint: str) -> EndpointGroup | None:
        """Return a group's parameters, without counting as a call."""
        return self._of(endpoint).spec

    def record(self, endpoint: str, request_idx: int) -> WaitingRequest | None:
        """Return the record of a request, without counting as a call."""
        return self._of(endpoint).requests.get(request_idx)

    def lose_memory(self, endpoint: str) -> None:
        """Forget what the scaler has learned, as if its item's attribute were gone."""
        self._of(endpoint).state = ScalerState()

    def requests(self, endpoint: str) -> list[WaitingRequest]:
        """Return every record of a request, assigned or not."""
        return list(self._of(endpoint).requests.values())

    def decisions(self, endpoint: str) -> list[DecisionRecord]:
        """Return the decision records, oldest first."""
        return list(self._of(endpoint).decisions)

    # What rotate writes

    def show(self, keys: PublicKeys) -> None:
        """Show these public keys."""
        self._public_keys = keys

    # RouteStore and ReportStore

    @_atomic
    def public_keys(self) -> PublicKeys:
        """See PublicKeySource."""
        if self._public_keys is None:
            raise UnreadableItem("PUBLIC-KEYS: no key has been published")
        return self._public_keys

    # RouteStore

    @_atomic
    def api_key(self, key_sha256: str) -> ApiKey | None:
        """See RouteStore."""
        return self._keys.get(key_sha256)

    @_atomic
    def group(self, endpoint: str) -> EndpointGroup | None:
        """See RouteStore."""
        return self._of(endpoint).spec

    @_atomic
    def workers(self, endpoint: str, shards: Sequence[int]) -> list[Worker]:
        """See RouteStore."""
        workers = self._of(endpoint).workers
        return [each for name, each in sorted(workers.items()) if shard_of(name) in shards and not _is_destroyed(each)]

    @_atomic
    def waiting(self, endpoint: str, *, limit: int) -> list[WaitingRequest]:
        """See RouteStore."""
        return sorted(self._waiting(endpoint)[:limit], key=lambda each: (each.arrived_at_s, each.request_idx))

    @_atomic
    def scaler_state(self, endpoint: str) -> ScalerState:
        """See RouteStore."""
        return self._of(endpoint).state

    @_atomic
    def autogroups(self, endpoint: str) -> list[Autogroup]:
        """See RouteStore."""
        return [each for _, each in sorted(self._of(endpoint).autogroups.items())]

    @_atomic
    def recent_decisions(self, endpoint: str, *, limit: int) -> list[DecisionRecord]:
        """See RouteStore."""
        return self._of(endpoint).decisions[-limit:]

    @_atomic
    def assign(
        self,
        worker: Worker,
        *,
        cost: float,
        assigned_load_max: float,
        expires_at_s: float,
        settlement: Settlement | None = None,
    ) -> Assignments:
        """See RouteStore."""
        workers = self._of(worker.endpoint).workers
        stored = workers.get(worker.worker_id)
        if stored is None or not _takes_load(stored) or stored.assignments.assigned_load > assigned_load_max:
            raise AssignmentRefused(worker.worker_id)
        before = stored.assignments
        if settlement is not None and before.reqnum != worker.assignments.reqnum:
            raise AssignmentRefused(worker.worker_id)
        totals = replace(
            before,
            assigned_load=before.assigned_load + cost,
            reqnum=before.reqnum + 1,
            ticket_expires_at_s=expires_at_s,
            **(asdict(settlement) if settlement is not None else {}),
        )
        workers[worker.worker_id] = replace(stored, assignments=totals)
        known = totals if settlement is not None else worker.assignments
        return replace(totals, settled_load=known.settled_load, settled_finished_load=known.settled_finished_load)

    @_atomic
    def ask_update(self, endpoint: str, autogroup: str, *, asked_at_s: float, settled_s: float) -> float:
        """See RouteStore."""
        updates = self._of(endpoint).updates
        if updates.get(autogroup, -math.inf) <= asked_at_s - settled_s:
            updates[autogroup] = asked_at_s
        return updates[autogroup]

    @_atomic
    def cancel_update(self, endpoint: str, autogroup: str) -> None:
        """See RouteStore."""
        self._of(endpoint).updates.pop(autogroup, None)

    @_atomic
    def spend(self, label: str, asked: Price, *, now_s: float, known: Budgets) -> Budgets:
        """See RouteStore."""
        del known
        before = self._budgets.get(label, Budgets())
        if overdrawn_s(before, asked, now_s=now_s):
            raise BudgetSpent(before)
        self._budgets[label] = spent(before, asked, now_s=now_s)
        return self._budgets[label]

    @_atomic
    def request(self, endpoint: str, request_idx: int) -> WaitingRequest | None:
        """See RouteStore."""
        return self._of(endpoint).requests.get(request_idx)

    @_atomic
    def add_request(self, endpoint: str, request: WaitingRequest, *, expires_at_s: float) -> None:
        """See RouteStore."""
        del expires_at_s
        requests = self._of(endpoint).requests
        stored = requests.get(request.request_idx)
        if stored is not None and stored.worker_id is None:
            raise NumberTaken(str(request.request_idx))
        requests[request.request_idx] = request

    @_atomic
    def put_request(self, endpoint: str, request: WaitingRequest, *, expires_at_s: float) -> None:
        """See RouteStore. Nothing expires here: DynamoDB's TTL may take days, so nobody may rely on it."""
        del expires_at_s
        self._of(endpoint).requests[request.request_idx] = request

    @_atomic
    def forget_requests(self, endpoint: str, request_idxs: Sequence[int]) -> None:
        """See RouteStore."""
        requests = self._of(endpoint).requests
        for idx in request_idxs[:FORGOTTEN_AT_ONCE_MAX]:
            if idx in requests and requests[idx].worker_id is None:
                del requests[idx]

    # ReportStore

    @_atomic
    def put_condition(self, endpoint: str, worker_id: str, condition: Condition) -> Worker:
        """See ReportStore."""
        workers = self._of(endpoint).workers
        stored = workers.get(worker_id)
        if stored is None or _is_destroyed(stored):
            raise WorkerGone(worker_id)
        if stored.condition.run_id == condition.run_id and stored.condition.seq >= condition.seq:
            raise StaleReport(stored)
        workers[worker_id] = replace(stored, condition=condition)
        return workers[worker_id]

    @_atomic
    def merge_condition(self, endpoint: str, worker_id: str, said: VastReport, *, now_s: float) -> Worker:
        """See ReportStore."""
        workers = self._of(endpoint).workers
        stored = workers.get(worker_id)
        if stored is None or _is_destroyed(stored):
            raise WorkerGone(worker_id)
        changes = {name: value for name, value in asdict(said).items() if value is not None}
        if said.in_flight is not None:
            changes["assigned_before_load"] = stored.condition.assigned_seen_load
            changes["assigned_seen_load"] = stored.assignments.assigned_load
        workers[worker_id] = replace(stored, condition=replace(stored.condition, **changes, reported_at_s=now_s))
        return workers[worker_id]

    @_atomic
    def delete_requests(self, endpoint: str, request_idxs: Sequence[int], *, worker_id: str) -> int:
        """See ReportStore."""
        requests = self._of(endpoint).requests
        served = [idx for idx in dict.fromkeys(request_idxs) if idx in requests and requests[idx].worker_id == worker_id]
        for idx in served:
            del requests[idx]
        return len(served)

    # ScaleStore

    @_atomic
    def acquire_lease(self, endpoint: str, *, owner: str, now_s: float, duration_s: float) -> Lease | None:
        """See ScaleStore."""
        group = self._of(endpoint)
        held = group.lease_until_s is not None and group.lease_until_s >= now_s
        if held and group.lease_owner != owner:
            return None
        return _take(group, endpoint, owner, now_s + duration_s)

    @_atomic
    def overtake_lease(self, endpoint: str, *, owner: str, now_s: float, duration_s: float) -> Lease:
        """See ScaleStore."""
        return _take(self._of(endpoint), endpoint, owner, now_s + duration_s)

    @_atomic
    def renew_lease(self, lease: Lease, *, now_s: float, duration_s: float) -> Lease:
        """See ScaleStore."""
        group = self._fenced(lease)
        group.lease_until_s = now_s + duration_s
        return replace(lease, until_s=group.lease_until_s)

    @_atomic
    def release_lease(self, lease: Lease) -> None:
        """See ScaleStore."""
        group = self._of(lease.endpoint)
        if _holds(group, lease):
            group.lease_until_s = 0.0

    @_atomic
    def load(self, endpoint: str) -> GroupRecords | None:
        """See ScaleStore."""
        group = self._of(endpoint)
        if group.spec is None:
            return None
        return GroupRecords(
            group=group.spec,
            autogroups=tuple(each for _, each in sorted(group.autogroups.items())),
            workers=tuple(each for _, each in sorted(group.workers.items(), key=lambda item: (shard_of(item[0]), item[0]))),
            waiting=tuple(self._waiting(endpoint)),
            state=group.state,
            updates=dict(group.updates),
        )

    @_atomic
    def put_rental(self, lease: Lease, worker_id: str, rental: Rental) -> None:
        """See ScaleStore."""
        workers = self._fenced(lease).workers
        before = workers.get(worker_id, Worker(worker_id=worker_id, endpoint=lease.endpoint, rental=rental))
        workers[worker_id] = replace(before, rental=rental)
        self.rentals_written += 1

    @_atomic
    def forget_worker(self, lease: Lease, worker_id: str) -> None:
        """See ScaleStore."""
        workers = self._fenced(lease).workers
        if worker_id in workers and not _is_destroyed(workers[worker_id]):
            raise AssertionError(f"{worker_id} is not a tombstone")
        workers.pop(worker_id, None)
        self.rentals_written += 1

    @_atomic
    def put_state(self, lease: Lease, state: ScalerState) -> None:
        """See ScaleStore."""
        self._fenced(lease).state = state

    @_atomic
    def put_decision(self, lease: Lease, record: DecisionRecord, *, expires_at_s: float) -> None:
        """See ScaleStore."""
        del expires_at_s
        self._fenced(lease).decisions.append(record)

    def _of(self, endpoint: str) -> _Group:
        return self._groups[endpoint]

    def _waiting(self, endpoint: str) -> list[WaitingRequest]:
        return [each for _, each in sorted(self._of(endpoint).requests.items()) if each.worker_id is None]

    def _fenced(self, lease: Lease) -> _Group:
        group = self._of(lease.endpoint)
        if not _holds(group, lease):
            raise LeaseLost(lease.endpoint)
        return group


def _take(group: _Group, endpoint: str, owner: str, until_s: float) -> Lease:
    group.lease_owner, group.lease_until_s, group.epoch = owner, until_s, group.epoch + 1
    return Lease(endpoint=endpoint, owner=owner, epoch=group.epoch, until_s=until_s)


def _holds(group: _Group, lease: Lease) -> bool:
    return (group.epoch, group.lease_owner) == (lease.epoch, lease.owner)


def _is_destroyed(worker: Worker) -> bool:
    return worker.rental.state is WorkerState.DESTROYED


def _takes_load(worker: Worker) -> bool:
    return worker.rental.state is WorkerState.READY and worker.condition.phase is Phase.READY
