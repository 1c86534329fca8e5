"""Where a request may go: backlog, ceiling, order of service, choice.

*Backlog* is the load given to a worker and not yet finished: the total that routers assigned (theirs to write) minus the totals
that the worker finished and wrote off (its own to report). All three only grow within one run of the worker, so a stale
snapshot overstates the backlog and can only be too strict: what was finished since is not yet known, and what was
assigned since is caught by the condition of the write (`assigned_load_max`).

*Settling.* A ticket that its client never used, and everything that was given to an earlier run of the worker (a cold one that
starts again counts from zero), stay in that difference until the worker can write them off, which takes until its next
ticket has expired. But once every ticket has expired (and the skew of clocks has passed) before the worker's last report, nothing
can be on its way, and what it holds is all there is. The router that assigns next notes how much was done with by then. Neither
"finished plus written off" nor "settled plus finished since" is ever more than what is really done, so the larger counts.

*Vast's own workers* tell what they hold, and no totals: see `core.vast_load`.

*Ceiling* is what a worker may hold: what its slots serve side by side (`slots - 1` requests of the worker's mean cost, half done on
average), which nobody waits for, and a queue of `max_queue_time` seconds at its measured performance. Without the first part a
server that batches 64 answers of 8,000 tokens at 1,000 tokens a second would be given three, and stand idle for nine tenths. An
idle worker takes one request whatever it costs, or a request dearer than the ceiling could never be served. A request whose client
gives up on a worker after some seconds (`replay_timeout`) is not given a longer queue than that: it would be executed there and,
once more, elsewhere.

*Affinity*: a request that names its session goes to that session's worker as long as the bounds of `core.affinity` allow.

*Order*: a request may only use the room that is left once everyone who arrived before has been placed, greedily and in
order; a newcomer is last. One who fits nowhere is placed over the ceiling on the worker that would serve it soonest, which closes
that worker to all who came later, so that it drains until the dear request fits. Hence the first in line is
never worse off because of someone behind it, and since everybody becomes first, nobody starves.

A router sees those who wait as of its snapshot, so it may pass one that began to wait elsewhere within the second that a snapshot
lives, and nobody who has waited longer. Even that takes more than bad luck: the write passes only if the room was there
in the snapshot and has not been taken since, so whoever was told to wait meanwhile either needs more room than that, or has others
before it and looked at an older snapshot; the first in line looks again before it is told to wait (`route.service`).
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from functions.core.affinity import Affinity
from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, EndpointGroup, Settlement, WaitingRequest, Worker
from functions.core.vast_load import SILENT_AFTER_S_2024, backlog_by_gauge, reports_by_chance, tells_gauges
from protocol.report import Phase
from protocol.ticket import CLOCK_SKEW_S

# A busy worker reports every 2 s and an idle one every 10 s: this is four lost reports in a row.
WORKER_SILENT_AFTER_S: Final = 45.0
# Vast's clients poll at least every 5 s: this is three polls that did not come.
WAITING_FORGOTTEN_AFTER_S: Final = 15.0
# Some clients call the average time of their requests their patience; a queue shorter than the pause between two polls would idle.
PATIENCE_S_MIN: Final = 10.0
# How many of those ahead are placed, which bounds the work of one decision (1,000 x 128 workers take about 30 ms).
PLACED_AHEAD_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A worker that may be routed to now. Load in load units, `perf` in load units per second.

    `taken` tells that someone ahead has been placed on it, so that it is not idle even if that request costs nothing.
    """

    worker: Worker
    perf: float
    backlog: float
    ceiling: float
    in_service_load: float = 0.0  # of the ceiling, what nobody waits for
    taken: bool = False


def backlog(worker: Worker) -> float:
    """Return the load that the worker still has before it, never negative."""
    said, given = worker.condition, worker.assignments
    if tells_gauges(worker):
        return backlog_by_gauge(worker, nothing_on_its_way=_nothing_on_its_way(worker))
    if _nothing_on_its_way(worker):
        return max(0.0, said.received_load - said.finished_load)
    done = max(said.finished_load + said.written_off_load, given.settled_load + said.finished_load - given.settled_finished_load)
    return max(0.0, given.assigned_load - done)


def settlement(worker: Worker) -> Settlement | None:
    """Return what the next assignment should note; None if something is on its way, or the totals agree anyway."""
    said, given = worker.condition, worker.assignments
    if tells_gauges(worker):
        return None
    if not _nothing_on_its_way(worker) or said.finished_load + said.written_off_load >= given.assigned_load:
        return None
    return Settlement(settled_load=given.assigned_load - backlog(worker), settled_finished_load=said.finished_load)


def is_routable(worker: Worker, *, now_s: float) -> bool:
    """Tell whether the worker is in service, and has said so lately."""
    return is_in_service(worker) and not is_silent(worker, now_s=now_s)


def is_in_service(worker: Worker) -> bool:
    """Tell whether the scaler wants the worker used, and the worker said last that it serves."""
    said = worker.condition
    return worker.rental.state is WorkerState.READY and said.phase is Phase.READY and said.perf > 0 and bool(said.url)


def is_silent(worker: Worker, *, now_s: float) -> bool:
    """Tell whether the worker has not been heard for longer than it may be silent."""
    silence_s = now_s - worker.condition.reported_at_s
    if silence_s <= WORKER_SILENT_AFTER_S:
        return False
    return silence_s > SILENT_AFTER_S_2024 or not reports_by_chance(worker)


def candidates(workers: Iterable[Worker], *, group: EndpointGroup, now_s: float) -> list[Candidate]:
    """Return the workers that may be routed to now, with what they have before them."""
    return [_candidate(worker, group) for worker in workers if is_routable(worker, now_s=now_s)]


def with_assignments(candidate: Candidate, assignments: Assignments) -> Candidate:
    """Return the candidate after a write has told its new totals."""
    worker = replace(candidate.worker, assignments=assignments)
    return replace(candidate, worker=worker, backlog=backlog(worker), taken=False)


def fits(candidate: Candidate, cost: float, *, patience_s: float = math.inf) -> bool:
    """Tell whether the worker may take `cost` on top of what it has: within its ceiling and the client's patience, or idle."""
    idle = candidate.backlog == 0 and not candidate.taken
    return idle or candidate.backlog + cost <= _ceiling(candidate, patience_s)


def completion_s(candidate: Candidate, cost: float) -> float:
    """Return the expected seconds until the worker would have finished `cost`."""
    return (candidate.backlog + cost) / candidate.perf


def patience_s(request: WaitingRequest) -> float:
    """Return for how many seconds' work the request may be queued at a worker."""
    return math.inf if request.replay_timeout_s is None else max(request.replay_timeout_s, PATIENCE_S_MIN)


def assigned_load_max(candidate: Candidate, cost: float, *, patience_s: float = math.inf) -> float:
    """Return the total at which the write must refuse: others may have given the worker load since the snapshot.

    Worked example: assigned 900, backlog 100, ceiling 300, cost 50: the write passes while the total is at most 1,050.
    """
    spare = max(0.0, _ceiling(candidate, patience_s) - candidate.backlog - cost)
    total = candidate.worker.assignments.assigned_load + spare
    # The table adds in decimal and we in binary: without slack, one unit in the last place could make a worker refuse for ever.
    return total + 4 * math.ulp(total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaning:
    """What decides among the workers that have room.

    `age_s` is how old the snapshot is. What other routers have assigned in that time is not known, so a smaller difference means
    nothing, and all who know of the same best worker would go there at once. Measured: docs/routing-study.md.
    """

    age_s: float = 0.0
    affinity: Affinity | None = None


def choose(
    candidates: Iterable[Candidate],
    *,
    cost: float,
    avoid: Collection[str],
    rng: random.Random,
    patience_s: float = math.inf,
    leaning: Leaning = Leaning(),
) -> Candidate | None:
    """Return any of the fitting workers with the least expected completion, give or take the snapshot's age; None if nobody fits.

    With an affinity, the one that the session belongs to, of those that would finish soon enough after the first.
    """
    fitting = [each for each in candidates if fits(each, cost, patience_s=patience_s) and each.worker.worker_id not in avoid]
    if not fitting:
        return None
    expected = [(each.backlog + cost) / each.perf for each in fitting]
    affinity = leaning.affinity
    latest_s = min(expected) + (leaning.age_s if affinity is None else affinity.extra_s_max)
    near = [each for each, when_s in zip(fitting, expected, strict=True) if when_s <= latest_s]
    return rng.choice(near) if affinity is None else max(near, key=lambda each: affinity.weight(each.worker.worker_id, each.perf))


def admit(
    candidates: Sequence[Candidate],
    request: WaitingRequest,
    *,
    ahead: Sequence[WaitingRequest],
    avoid: Collection[str],
    rng: random.Random,
    leaning: Leaning = Leaning(),
) -> Candidate | None:
    """Return the worker that `request` may take now, with the room of those `ahead` taken out; None: it has to wait."""
    if len(ahead) > PLACED_AHEAD_MAX:
        return None
    places = reserve(candidates, ahead)
    return choose(places, cost=request.cost, avoid=avoid, rng=rng, patience_s=patience_s(request), leaning=leaning)


def reserve(candidates: Sequence[Candidate], ahead: Iterable[WaitingRequest]) -> Sequence[Candidate]:
    """Return the candidates with the backlog that they will have once everyone `ahead` has been placed, in order."""
    places = list(candidates)
    for request in ahead:
        if not any(fits(place, 0.0) for place in places):
            break  # nobody has room left, not even for nothing: placing the others changes no answer
        index = _place(places, request)
        place = places[index]
        places[index] = replace(place, backlog=place.backlog + request.cost, taken=True)
    return places


def to_avoid(request: WaitingRequest, candidates: Sequence[Candidate], *, just_failed: bool) -> frozenset[str]:
    """Return the workers that failed the request.

    They are allowed again when nobody else is there, but never in answer to the failure itself: a client that is sent straight
    back to a dead worker comes back without a pause.
    """
    failed = frozenset(request.avoid)
    others = any(candidate.worker.worker_id not in failed for candidate in candidates)
    return failed if others or just_failed else frozenset()


def is_forgotten(request: WaitingRequest, *, now_s: float) -> bool:
    """Tell whether its client has stopped asking."""
    return now_s - request.polled_at_s > WAITING_FORGOTTEN_AFTER_S


def still_waiting(requests: Iterable[WaitingRequest], *, now_s: float) -> list[WaitingRequest]:
    """Return those that wait and still ask, in order of arrival."""
    kept = [each for each in requests if each.worker_id is None and not is_forgotten(each, now_s=now_s)]
    return sorted(kept, key=_order)


def ahead_of(request: WaitingRequest, waiting: Sequence[WaitingRequest]) -> list[WaitingRequest]:
    """Return those of `waiting` (in order) that arrived before `request`; a newcomer without a number is last."""
    if not request.request_idx:
        return list(waiting)
    return list(waiting[: bisect_left(waiting, _order(request), key=_order)])


def _nothing_on_its_way(worker: Worker) -> bool:
    return worker.assignments.ticket_expires_at_s + CLOCK_SKEW_S < worker.condition.reported_at_s


def _order(request: WaitingRequest) -> tuple[float, int]:
    return request.arrived_at_s, request.request_idx


def _candidate(worker: Worker, group: EndpointGroup) -> Candidate:
    perf = worker.condition.perf
    served = _in_service_load(worker)
    ceiling = served + group.max_queue_time * perf
    return Candidate(worker=worker, perf=perf, backlog=backlog(worker), ceiling=ceiling, in_service_load=served)


def _in_service_load(worker: Worker) -> float:
    """Return how much of a full worker's backlog is served beside the next to end; 0 while slots or costs are unknown."""
    given = worker.assignments
    mean_cost = given.assigned_load / given.reqnum if given.reqnum else 0.0
    return max(0, worker.condition.slots - 1) * mean_cost / 2


def _ceiling(candidate: Candidate, patience_s: float) -> float:
    return min(candidate.ceiling, candidate.in_service_load + patience_s * candidate.perf)


def _place(places: Sequence[Candidate], request: WaitingRequest) -> int:
    # No randomness here: the same queue must reserve the same room at every poll.
    avoid = to_avoid(request, places, just_failed=False)
    allowed = [index for index, place in enumerate(places) if place.worker.worker_id not in avoid]
    fitting = [index for index in allowed if fits(places[index], request.cost, patience_s=patience_s(request))]
    return min(fitting or allowed, key=lambda index: completion_s(places[index], request.cost))
