"""What service shows of a worker and its own tests cannot: whether requests reach it, whether it fails them, how fast it really is.

A worker is watched for a window of its reports. All figures are totals that only grow within one run of the worker, so the
difference of two reports is what happened between them, whatever was lost or late in between.

* *Unreachable*: it reports well, routers have sent SENT_MIN requests, and ARRIVAL_S later none has arrived: its port is closed, or
  its address is wrong, which the worker cannot notice. A crowd of clients that never use their tickets looks the same, so there
  must be a second witness: either others are reached meanwhile, and they are at least as many, or clients came back to be sent
  elsewhere.
* *Failing*: the inference server answers more than FAILED_SHARE of the requests with an error of its own, and those of the others
  do not. One that nobody can be compared with is left to the health checks of the worker itself.
* *Real use*: where more requests were there than slots at every look, the server never stood idle, and what it finished in the
  window is what it can do with real requests. It counts beside the performance test, by how many requests it is the mean of.

Unreachable and failing workers are drained at once: whatever is sent to them is lost, so they carry nothing. No write is added to a
route or a report: routers count what they assign anyway, and workers what arrives.

Bounded: at most WATCHED_MAX workers are watched at a time. In a larger fleet the watch goes round.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from functions.core.capacity import is_serving
from functions.core.expecting import key_of, with_sample
from functions.core.lifecycle import WorkerState
from functions.core.model import WaitingRequest, Worker
from functions.core.plan import Drain, Fault
from functions.core.replacing import is_settled
from functions.core.scaler_state import LearnedPerf, ObservedPerf, ScalerState, Watch
from functions.core.vast_load import tells_gauges

WATCHED_MAX: Final = 64
OBSERVED_MAX: Final = 128
WINDOW_S: Final = 120.0
WINDOW_S_MAX: Final = 3_600.0
SENT_MIN: Final = 5
ARRIVAL_S: Final = 30.0  # of 100 clients, 85 use a ticket within seconds
CLIENTS_BACK_MIN: Final = 2
TAUGHT_EVERY_S: Final = 3_600.0
FINISHED_MIN: Final = 20
FAILED_MIN: Final = 10
FAILED_SHARE: Final = 0.5
OTHERS_FAILED_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What this look at the watched workers taught, and whom to take out of service."""

    state: ScalerState
    drains: tuple[Drain, ...]


def watch(state: ScalerState, workers: tuple[Worker, ...], waiting: Iterable[WaitingRequest], *, now_s: float) -> Watched:
    """Return the state after a look at the workers in service, and whom to take out of it."""
    serving = {one.worker_id: one for one in workers if is_serving(one, now_s=now_s) and not tells_gauges(one)}
    seen = {
        worker_id: _looked(before, serving[worker_id])
        for worker_id, before in state.watched.items()
        if worker_id in serving and before.run_id == serving[worker_id].condition.run_id
    }
    unreached = _unreached(seen, serving, waiting)
    failing = _failing(seen, serving)
    observed = _observed(state.observed, seen, serving, workers, now_s=now_s)
    over = {worker_id for worker_id, one in seen.items() if _is_over(one, serving[worker_id])} | unreached.keys() | failing.keys()
    kept = {worker_id: one for worker_id, one in seen.items() if worker_id not in over}
    begun = _begin(kept, serving, after=state.watched_last)
    still = _still_unreached(state.unreached, seen, serving)
    if not begun and (kept, observed, still) == (state.watched, state.observed, state.unreached):
        return Watched(state=state, drains=())
    state = replace(
        state,
        watched={**kept, **begun},
        watched_last=next(reversed(begun), state.watched_last),
        observed=observed,
        learned=_taught(state, observed, serving, now_s=now_s),
        unreached=still,
    )
    return Watched(state=state, drains=(*_drains(unreached, Fault.UNREACHABLE), *_drains(failing, Fault.SERVICE)))


def _looked(before: Watch, worker: Worker) -> Watch:
    said = worker.condition
    waits_for_answer = worker.assignments.reqnum - before.reqnum >= SENT_MIN and not _arrived(before, worker)
    queued = before.queued and said.in_flight > said.slots > 0
    sent_at_s = (before.sent_at_s or said.reported_at_s) if waits_for_answer else 0.0
    same = queued == before.queued and sent_at_s == before.sent_at_s
    return before if same else replace(before, queued=queued, sent_at_s=sent_at_s)


def _arrived(watched: Watch, worker: Worker) -> bool:
    return worker.condition.received_load > watched.received_load


def _is_over(watched: Watch, worker: Worker) -> bool:
    lasted_s = worker.condition.reported_at_s - watched.at_s
    # As long as nothing arrives, nothing has been learned; and for ever nobody is watched for nothing.
    return lasted_s >= WINDOW_S_MAX or (lasted_s >= WINDOW_S and _arrived(watched, worker))


def _begin(kept: Mapping[str, Watch], serving: Mapping[str, Worker], *, after: str) -> dict[str, Watch]:
    """Return the watches that begin now: those next in the round."""
    places = WATCHED_MAX - len(kept)
    if places <= 0:
        return {}
    idle = sorted(worker_id for worker_id in serving if worker_id not in kept)
    order = [*(one for one in idle if one > after), *(one for one in idle if one <= after)]
    return {worker_id: _watch_of(serving[worker_id]) for worker_id in order[:places]}


def _watch_of(worker: Worker) -> Watch:
    said = worker.condition
    return Watch(
        at_s=said.reported_at_s,
        run_id=said.run_id,
        received_load=said.received_load,
        finished_load=said.finished_load,
        finished_requests=said.finished_requests,
        failed_requests=said.failed_requests,
        reqnum=worker.assignments.reqnum,
        queued=said.in_flight > said.slots > 0,
    )


# Unreachable


def _unreached(seen: Mapping[str, Watch], serving: Mapping[str, Worker], waiting: Iterable[WaitingRequest]) -> dict[str, str]:
    unanswered = {
        worker_id: serving[worker_id].assignments.reqnum - one.reqnum
        for worker_id, one in seen.items()
        if one.sent_at_s and serving[worker_id].condition.reported_at_s - one.sent_at_s >= ARRIVAL_S
    }
    if not unanswered:
        return {}
    came_back = Counter(worker_id for request in waiting for worker_id in set(request.avoid))
    reached = sum(_is_reached(worker, seen.get(worker_id)) for worker_id, worker in serving.items() if worker_id not in unanswered)
    return {
        worker_id: f"unreachable: it reports well, and of {sent} requests that were sent to it none has arrived"
        for worker_id, sent in unanswered.items()
        if reached >= len(unanswered) or came_back[worker_id] >= CLIENTS_BACK_MIN
    }


def _still_unreached(before: Mapping[str, int], seen: Mapping[str, Watch], serving: Mapping[str, Worker]) -> Mapping[str, int]:
    """Return the counts of the autogroups of which nobody was reached now either."""
    if not before:
        return before
    reached = {serving[worker_id].rental.autogroup for worker_id, one in seen.items() if _arrived(one, serving[worker_id])}
    return {name: count for name, count in before.items() if name not in reached}


def _is_reached(worker: Worker, watched: Watch | None) -> bool:
    return worker.condition.in_flight > 0 or (watched is not None and _arrived(watched, worker))


# Failing


def _failing(seen: Mapping[str, Watch], serving: Mapping[str, Worker]) -> dict[str, str]:
    found: dict[str, str] = {}
    for worker_id, one in seen.items():
        said = serving[worker_id].condition
        lately, of = said.failed_requests - one.failed_requests, said.finished_requests - one.finished_requests
        if lately >= FAILED_MIN and lately > FAILED_SHARE * of and not _others_fail(worker_id, serving):
            found[worker_id] = f"its inference server failed {lately} of {of} requests, where the others fail few"
    return found


def _others_fail(worker_id: str, serving: Mapping[str, Worker]) -> bool:
    """Tell whether the others fail too many of their requests, or have finished too few to tell."""
    others = [worker.condition for worker in serving.values() if worker.worker_id != worker_id]
    finished, failed = sum(said.finished_requests for said in others), sum(said.failed_requests for said in others)
    return finished < FINISHED_MIN or failed > OTHERS_FAILED_SHARE * finished


# Real use


def _observed(
    before: Mapping[str, ObservedPerf],
    seen: Mapping[str, Watch],
    serving: Mapping[str, Worker],
    workers: tuple[Worker, ...],
    *,
    now_s: float,
) -> Mapping[str, ObservedPerf]:
    held = {worker.worker_id for worker in workers if worker.rental.state is not WorkerState.DESTROYED} if before else set()
    found = {worker_id: one for worker_id, one in before.items() if worker_id in held}
    for worker_id, one in seen.items():
        rate = _rate(one, serving[worker_id])
        if rate is not None:
            found[worker_id] = _with_rate(found.get(worker_id), *rate, now_s=now_s)
    while len(found) > OBSERVED_MAX:
        del found[min(found, key=lambda worker_id: found[worker_id].at_s)]
    return found


def _rate(watched: Watch, worker: Worker) -> tuple[float, int] | None:
    """Return the load per second of a window in which the server never stood idle, and of how many requests; None if it did."""
    if not watched.queued or not _is_over(watched, worker):
        return None
    said = worker.condition
    lasted_s = said.reported_at_s - watched.at_s
    finished, failed = said.finished_requests - watched.finished_requests, said.failed_requests - watched.failed_requests
    done = said.finished_load - watched.finished_load
    if finished < FINISHED_MIN or failed > OTHERS_FAILED_SHARE * finished:
        return None
    return (done / lasted_s, finished) if done > 0 else None


def _taught(
    state: ScalerState, observed: Mapping[str, ObservedPerf], serving: Mapping[str, Worker], *, now_s: float
) -> Mapping[str, LearnedPerf]:
    """Return what is known of GPU models with what real requests showed now, of each worker once in TAUGHT_EVERY_S."""
    learned = dict(state.learned)
    for worker_id, now in observed.items():
        before, worker = state.observed.get(worker_id), serving.get(worker_id)
        if now.at_s < now_s or worker is None or (before is not None and now_s // TAUGHT_EVERY_S == before.at_s // TAUGHT_EVERY_S):
            continue
        key = key_of(worker.rental)
        if key in learned and is_settled(worker, state, now_s=now_s):
            learned[key] = with_sample(learned[key], perf=now.perf, dlperf=worker.rental.dlperf, now_s=now_s)
    return learned


def _with_rate(before: ObservedPerf | None, perf: float, requests: int, *, now_s: float) -> ObservedPerf:
    if before is None:
        return ObservedPerf(perf=perf, requests=requests, at_s=now_s)
    kept = before.requests / 2  # what was seen earlier fades
    share = requests / (kept + requests)
    mean = math.exp((1 - share) * math.log(before.perf) + share * math.log(perf))
    return ObservedPerf(perf=mean, requests=int(kept + requests), at_s=now_s)


def _drains(found: Mapping[str, str], fault: Fault) -> Iterable[Drain]:
    return (
        Drain(worker_id=worker_id, to=WorkerState.DESTROYING, reason=reason, fault=fault)
        for worker_id, reason in sorted(found.items())
    )
