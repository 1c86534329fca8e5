"""How much is asked of a group: load that arrives per second, load that waits, and since when nothing has.

Routers count what they assign (`assigned_load`, a total that only grows) and record what has to wait. Load arrives by one of the
two, hence `arrived = assigned + waiting` grows by every arrival and the rate is its growth over a window. It falls when
someone gives up waiting; the rate is then read too low for a moment, never below zero, and shrinking needs much longer than that.

Totals never fall: a worker whose item is deleted leaves its load in `retired_assigned_load`. Should a crash fall between the two
writes, the missing part is what the newest sample knew, and is taken back from there.

The rate is measured over RATE_WINDOW_S, short enough to see a burst; over longer, up to RATE_WINDOW_S_MAX, where so few requests
come that chance would look like a burst. What counts is its *peak* over `scale_down_window` seconds:
capacity that was needed within that time is kept, so that a lull between two bursts stops nothing. The highest rate ever is the
*record*; it fades by half every RECORD_HALF_LIFE_S, and says how large a burst the stopped workers must be good for.

Unknown is not zero: without an older sample there is no rate (None), and a group whose last demand was not seen counts as asked
just now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from functions.core.capacity import is_heard
from functions.core.model import WaitingRequest, Worker
from functions.core.routing import WAITING_FORGOTTEN_AFTER_S
from functions.core.scaler_state import DemandSample, LoadPeak
from functions.core.snapshot import Snapshot

RATE_WINDOW_S: Final = 20.0
RATE_WINDOW_S_MAX: Final = 120.0
# The rate of 25 requests is known to a fifth (Poisson), of 4 to a half.
REQUESTS_MIN: Final = 25
PEAK_INTERVALS: Final = 10  # how finely the window of peaks is cut
RECORD_HALF_LIFE_S: Final = 2 * 86_400.0
# A burst seven seconds after the first sample is no rate of a seventh of it per second.
SPAN_S_MIN: Final = 15.0
SAMPLES_MAX: Final = 64
# Of a total, far above what adding a thousand workers in another order changes and far below any request.
ROUNDING: Final = 1e-12
TOMBSTONE_KEPT_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked at one moment. `load_per_s` is None while it is unknown.

    `settled` tells that the peaks reach back over the whole window: only then is the highest of them all that was needed in it.
    """

    load_per_s: float | None
    peaks: tuple[LoadPeak, ...]
    record: LoadPeak | None
    settled: bool
    assigned_load: float  # ever
    waiting_load: float
    waiting: int
    oldest_wait_s: float
    asked_now: bool  # load arrived since the last look, waits, or is being served
    last_asked_at_s: float

    @property
    def peak_load_per_s(self) -> float:
        """The highest rate within the window, the present one included; 0 while nothing is known."""
        return max((peak.load_per_s for peak in self.peaks), default=0.0)

    @property
    def mean_load_per_s(self) -> float:
        """The mean of the peaks within the window, in which one burst does not count for all; 0 while nothing is known."""
        return sum(peak.load_per_s for peak in self.peaks) / len(self.peaks) if self.peaks else 0.0

    def record_load_per_s(self, *, now_s: float) -> float:
        """Return what is left of the highest rate ever seen."""
        if self.record is None:
            return 0.0
        return _faded(self.record, now_s=now_s)

    def idle_s(self, *, now_s: float) -> float:
        """Return for how long nothing has been asked."""
        return now_s - self.last_asked_at_s


def observe(snapshot: Snapshot, *, now_s: float) -> Demand:
    """Return the demand on the group now."""
    waiting = [request for request in snapshot.waiting if still_waits(request, now_s=now_s)]
    waiting_load = sum(request.cost for request in waiting)
    assigned_load = math.fsum((_assigned_load(snapshot.workers), retired_load(snapshot)))
    samples = snapshot.state.samples
    grew = bool(samples) and _growth(samples[-1].assigned_load, assigned_load) > 0
    asked_now = grew or bool(waiting) or _serving_something(snapshot.workers, now_s=now_s)
    last_asked_at_s = snapshot.state.last_demand_at_s
    load_per_s = _rate(samples, assigned_load + waiting_load, mean_cost=_mean_cost(snapshot.workers), now_s=now_s)
    window_s = snapshot.group.scale_down_window
    peaks = _peaks(snapshot.state.peaks, load_per_s, window_s=window_s, now_s=now_s)
    return Demand(
        load_per_s=load_per_s,
        peaks=peaks,
        record=_record(snapshot.state.record, load_per_s, now_s=now_s),
        settled=bool(peaks) and peaks[0].from_s <= now_s - window_s,
        assigned_load=assigned_load,
        waiting_load=waiting_load,
        waiting=len(waiting),
        oldest_wait_s=max((now_s - request.arrived_at_s for request in waiting), default=0.0),
        asked_now=asked_now,
        last_asked_at_s=now_s if asked_now or last_asked_at_s is None else last_asked_at_s,
    )


def still_waits(request: WaitingRequest, *, now_s: float) -> bool:
    """Tell whether someone still asks for this request: it has no worker, and was polled of late."""
    return request.worker_id is None and now_s - request.polled_at_s <= WAITING_FORGOTTEN_AFTER_S


def retired_load(snapshot: Snapshot) -> float:
    """Return the load that was assigned to workers whose items are gone."""
    known = _assigned_load(snapshot.workers)
    newest = snapshot.state.samples[-1].assigned_load if snapshot.state.samples else 0.0
    return max(snapshot.state.retired_assigned_load, newest - known)


def add_sample(samples: tuple[DemandSample, ...], demand: Demand, *, now_s: float) -> tuple[DemandSample, ...]:
    """Return the samples with the present added; of those older than the window only the newest is kept, as its beginning."""
    newest = DemandSample(at_s=now_s, assigned_load=demand.assigned_load, waiting_load=demand.waiting_load)
    begun = [index for index, sample in enumerate(samples) if sample.at_s <= now_s - RATE_WINDOW_S_MAX]
    kept = samples[begun[-1] if begun else 0 :]
    return (*kept, newest)[-SAMPLES_MAX:]


def _peaks(before: tuple[LoadPeak, ...], load_per_s: float | None, *, window_s: float, now_s: float) -> tuple[LoadPeak, ...]:
    """Return the peaks with the present rate in them; of the intervals that ended before the window none, but where it begins."""
    if load_per_s is None:
        return before
    interval_s = window_s / PEAK_INTERVALS
    kept = [peak for index, peak in enumerate(before) if index + 1 == len(before) or before[index + 1].from_s > now_s - window_s]
    if kept and now_s - kept[-1].from_s < interval_s:
        newest = kept.pop()
        return (*kept, LoadPeak(from_s=newest.from_s, load_per_s=max(newest.load_per_s, load_per_s)))
    return (*kept, LoadPeak(from_s=now_s, load_per_s=load_per_s))


def _record(before: LoadPeak | None, load_per_s: float | None, *, now_s: float) -> LoadPeak | None:
    faded = 0.0 if before is None else _faded(before, now_s=now_s)
    return LoadPeak(from_s=now_s, load_per_s=load_per_s) if load_per_s and load_per_s >= faded else before


def _faded(record: LoadPeak, *, now_s: float) -> float:
    return record.load_per_s * math.exp2((record.from_s - now_s) / RECORD_HALF_LIFE_S)


def _rate(samples: tuple[DemandSample, ...], arrived_load: float, *, mean_cost: float, now_s: float) -> float | None:
    """Return the growth over the shortest window that holds enough requests to tell a burst from chance."""
    before = [sample for sample in samples if sample.at_s < now_s]
    if not before:
        return None
    begin = before[-1]
    for sample in reversed(before):
        begin = sample
        enough = _growth(sample.assigned_load + sample.waiting_load, arrived_load) >= REQUESTS_MIN * mean_cost
        if now_s - sample.at_s >= (RATE_WINDOW_S if enough else RATE_WINDOW_S_MAX):
            break
    return _growth(begin.assigned_load + begin.waiting_load, arrived_load) / max(now_s - begin.at_s, SPAN_S_MIN)


def _mean_cost(workers: Iterable[Worker]) -> float:
    given = [worker.assignments for worker in workers]
    requests = sum(assignments.reqnum for assignments in given)
    return math.fsum(assignments.assigned_load for assignments in given) / requests if requests else 0.0


def _assigned_load(workers: Iterable[Worker]) -> float:
    return math.fsum(worker.assignments.assigned_load for worker in workers)


def _growth(before: float, after: float) -> float:
    """Return by how much a total has grown; the last digits of a sum whose terms moved about are no demand."""
    grown = after - before
    return grown if grown > ROUNDING * after else 0.0


def _serving_something(workers: Iterable[Worker], *, now_s: float) -> bool:
    return any(worker.condition.in_flight > 0 and is_heard(worker, now_s=now_s) for worker in workers)
