"""Take one message of a worker, ours or one of Vast's: authenticate, parse, one write.

The token names the group and the worker and is checked without a read, so a stranger costs nothing. What a worker says may only
change its own record: the id in the message must be the token's. A worker that is gone is told so and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from functions.core.lifecycle import WorkerState
from functions.core.model import Condition, Worker
from functions.ports import Clock, ReportStore, StaleReport, WorkerGone
from protocol.problem import Problem, RequestRefused
from protocol.report import Completions, MalformedReport, Phase, ReportAnswer, WorkerReport
from protocol.vast_report import VastReport, is_ours
from protocol.worker_token import InvalidWorkerToken, WorkerIdentity, verify_worker_token

URL_SCHEMES: Final = ("http://", "https://")
# States in which a worker must finish what it has and take nothing new.
LEAVING: Final = frozenset({WorkerState.DRAINING, WorkerState.STOPPING, WorkerState.STOPPED, WorkerState.DESTROYING})

_T = TypeVar("_T")
_TAKEN_OVER: Final = frozenset(field.name for field in fields(Condition)) & {field.name for field in fields(WorkerReport)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPorts:
    """What the report function needs of the world. `token_secret` returns the secret of the worker tokens."""

    store: ReportStore
    token_secret: Callable[[], bytes]
    clock: Clock
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A report that was kept: what the worker is answered, and where its start-up stands by it."""

    answer: ReportAnswer
    phase: Phase


def authenticate(token: str | None, *, ports: ReportPorts) -> WorkerIdentity:
    """Return the worker that the token speaks for. Raises RequestRefused (401)."""
    try:
        return verify_worker_token(ports.token_secret(), token or "", stack=ports.stack)
    except InvalidWorkerToken as exc:
        raise RequestRefused(_INVALID_TOKEN) from exc


def take_report(body: Mapping[str, Any], *, sender: WorkerIdentity, ports: ReportPorts) -> Taken:
    """Keep what a worker of any kind reports. Raises RequestRefused (400, 403, 410) and StoreUnavailable."""
    take = _take_ours if is_ours(body) else _take_theirs
    now_s = ports.clock.now_s()
    try:
        worker = take(body, sender=sender, ports=ports, now_s=now_s)
    except WorkerGone as exc:
        raise RequestRefused(_GONE) from exc
    return Taken(answer=ReportAnswer(now_s=now_s, drain=_must_leave(worker)), phase=worker.condition.phase)


def _take_ours(body: Mapping[str, Any], *, sender: WorkerIdentity, ports: ReportPorts, now_s: float) -> Worker:
    """Replace what the worker said last, unless that is newer."""
    report = _parsed(WorkerReport.parse, body)
    _check_sender(report.worker_id, sender)
    if report.url and not report.url.startswith(URL_SCHEMES):
        raise _invalid("url", "an http or https URL is needed")
    try:
        return ports.store.put_condition(sender.endpoint, sender.worker_id, condition_of(report, now_s=now_s))
    except StaleReport as exc:
        return exc.stored


def _take_theirs(body: Mapping[str, Any], *, sender: WorkerIdentity, ports: ReportPorts, now_s: float) -> Worker:
    """Merge what one of Vast's workers says: it may be a part, and its ids are the marketplace's, so the token alone speaks."""
    said = _parsed(VastReport.parse, body)
    return ports.store.merge_condition(sender.endpoint, sender.worker_id, said, now_s=now_s)


def take_completions(body: Mapping[str, Any], *, sender: WorkerIdentity, ports: ReportPorts) -> int:
    """Forget the records of the requests that the worker served; return how many there were. Raises as `take_report`."""
    parse = Completions.parse
    if isinstance(body.get("worker_id"), int):  # Vast's worker names itself by its instance: the token alone speaks
        parse = Completions.parse_any_number
    else:
        _check_sender(body.get("worker_id"), sender)
    served = _parsed(parse, body).request_idxs
    return ports.store.delete_requests(sender.endpoint, served, worker_id=sender.worker_id)


def condition_of(report: WorkerReport, *, now_s: float) -> Condition:
    """Return what a report says, as it is kept; the time is ours, not the worker's."""
    return Condition(**{name: getattr(report, name) for name in _TAKEN_OVER}, reported_at_s=now_s)


def _must_leave(worker: Worker) -> bool:
    return worker.rental.state in LEAVING


def _check_sender(worker_id: Any, sender: WorkerIdentity) -> None:
    if worker_id != sender.worker_id:
        message = "worker_id is not the worker that the token was made for"
        remedy = "send HEADGATE_WORKER_ID of the environment that the token came from"
        raise RequestRefused(Problem(status=403, code="wrong_worker", message=message, field="worker_id", remedy=remedy))


def _parsed(parse: Callable[[Mapping[str, Any]], _T], body: Mapping[str, Any]) -> _T:
    try:
        return parse(body)
    except MalformedReport as exc:
        raise _invalid(exc.field, str(exc)) from exc


def _invalid(field: str, message: str) -> RequestRefused:
    remedy = "send the fields of docs/protocol.md; this worker may be older or newer than the stack"
    return RequestRefused(Problem(status=400, code="invalid_field", message=message, field=field, remedy=remedy))


_INVALID_TOKEN: Final = Problem(
    status=401,
    code="invalid_worker_token",
    message="the worker token is missing or was not made by this stack",
    remedy="send the MASTER_TOKEN of the worker's environment as `Authorization: Bearer` or as `mtoken`",
)
_GONE: Final = Problem(
    status=410, code="worker_gone", message="this worker has been released; its reports change nothing any more", remedy="stop"
)
