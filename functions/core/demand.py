"""How much is asked of a group: load that arrives per second, requests that are open, load that waits, and since when nothing has.

Routers count what they assign (`assigned_load`, a total that only grows) and record what has to wait. Load arrives by one of the
two, hence `arrived = assigned + waiting` grows by every arrival and the rate is its growth over a window. It falls when
someone gives up waiting; the rate is then read too low for a moment, never below zero, and shrinking needs much longer than that.

Totals never fall: a worker whose item is deleted leaves its load in `retired_assigned_load`. Should a crash fall between the two
writes, the missing part is what the newest sample knew, and is taken back from there.

What the samples of the last minutes prove of the next seconds is said by `forecast`. What counts is its *peak* over
`scale_down_window` seconds: capacity that was needed within that time is kept, so that a lull between two bursts stops nothing.
What has *lasted* is the mean over LOAD_LASTING_S, and no more than is asked now: only for that more is held than runs.

Unknown is not zero: without an older sample there is no rate (None), and a group whose last demand was not seen counts as asked
just now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from functions.core.capacity import is_heard, load_per_place
from functions.core.forecast import RATE_WINDOWS_S, Forecast, forecast, growth
from functions.core.lead_time import boot_time, start_time
from functions.core.model import Assignments, WaitingRequest
from functions.core.routing import WAITING_FORGOTTEN_AFTER_S
from functions.core.scaler_state import Bursts, DemandSample, LastingLoad, LoadPeak, ScalerState, Season, Surges
from functions.core.season import expected_load_per_s, seen
from functions.core.snapshot import Snapshot
from functions.core.standby import burst_load_per_s, with_burst
from functions.core.surge import experienced

PEAK_INTERVALS: Final = 10  # how finely the window of peaks is cut
LOAD_LASTING_S: Final = 3_600.0
SAMPLE_SPACING_S: Final = 5.0  # ticks that a waiting request wakes come closer
SAMPLES_MAX: Final = 64
ROOM_S_MIN: Final = 1.0  # where requests are to begin at once
TOMBSTONE_KEPT_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked at one moment.

    `settled` tells that the peaks reach back over the whole window: only then is the highest of them all that was needed in it.
    """

    ahead: Forecast
    mean_cost: float  # of a request, 0 while it is not known
    place: float  # the load per second of one place, 0 while it is not known: see `load_per_place`
    surges: Surges
    bursts: Bursts
    season: Season
    soon_load_per_s: float  # that the season expects once a slow start takes effect
    later_load_per_s: float  # and once a slow boot does
    peaks: tuple[LoadPeak, ...]
    lasting: LastingLoad | None
    settled: bool
    assigned_load: float  # ever
    retired_load: float  # of it, what workers had whose items are gone
    waiting_load: float
    waiting: int
    oldest_wait_s: float
    asked_now: bool  # load arrived since the last look, waits, or is being served
    last_asked_at_s: float

    @property
    def load_per_s(self) -> float | None:
        """The arriving load as far as it is proven; None while it is unknown."""
        return self.ahead.load_per_s

    @property
    def peak_load_per_s(self) -> float:
        """The highest rate within the window, the present one included; 0 while nothing is known."""
        return max((peak.load_per_s for peak in self.peaks), default=0.0)

    @property
    def peak_open_requests(self) -> int:
        """The most requests that were open at once within the window, now included."""
        return max((peak.open_requests for peak in self.peaks), default=self.ahead.open_requests)

    @property
    def lasting_load_per_s(self) -> float:
        """What has arrived for long and still does; 0 while nothing is known."""
        return min(self.lasting.load_per_s, self.load_per_s or 0.0) if self.lasting is not None else 0.0

    def idle_s(self, *, now_s: float) -> float:
        """Return for how long nothing has been asked."""
        return now_s - self.last_asked_at_s


def observe(snapshot: Snapshot, *, now_s: float) -> Demand:
    """Return the demand on the group now."""
    waiting = [request for request in snapshot.waiting if still_waits(request, now_s=now_s)]
    waiting_load = sum(request.cost for request in waiting)
    state, given = snapshot.state, [worker.assignments for worker in snapshot.workers]
    known_load = math.fsum([assignments.assigned_load for assignments in given])
    retired_load = _retired_load(state, known_load)
    assigned_load = math.fsum((known_load, retired_load))
    serving = (worker for worker in snapshot.workers if worker.condition.in_flight and is_heard(worker, now_s=now_s))
    in_flight = sum(worker.condition.in_flight for worker in serving)
    mean_cost, start = _mean_cost(given, waiting), start_time(state)
    ahead = forecast(
        state.samples,
        arrived_load=assigned_load + waiting_load,
        open_requests=in_flight + len(waiting),
        mean_cost=mean_cost,
        lead_s=start.median_s,
        now_s=now_s,
    )
    level, place = ahead.mean_load_per_s, load_per_place(snapshot.workers, snapshot.group.target_queue_time, mean_cost)
    window_s = snapshot.group.scale_down_window
    peaks = _peaks(state.peaks, ahead, window_s=window_s, now_s=now_s)
    grew = bool(state.samples) and growth(state.samples[-1].assigned_load, assigned_load) > 0
    asked_now = grew or ahead.open_requests > 0
    return Demand(
        ahead=ahead,
        mean_cost=mean_cost,
        place=place,
        surges=experienced(
            state.surges, load_per_s=level, open_requests=ahead.open_requests, horizon_s=start.median_s, now_s=now_s
        ),
        bursts=_bursts(snapshot, assigned_load + waiting_load, mean_cost=mean_cost, place=place, now_s=now_s),
        season=seen(state.season, load_per_s=ahead.load_per_s, now_s=now_s),
        soon_load_per_s=expected_load_per_s(state.season, at_s=now_s + start.p95_s),
        later_load_per_s=expected_load_per_s(state.season, at_s=now_s + boot_time(state).p95_s),
        peaks=peaks,
        lasting=_lasting(state.lasting, ahead.load_per_s, now_s=now_s),
        settled=bool(peaks) and peaks[0].from_s <= now_s - window_s,
        assigned_load=assigned_load,
        retired_load=retired_load,
        waiting_load=waiting_load,
        waiting=len(waiting),
        oldest_wait_s=max((now_s - request.arrived_at_s for request in waiting), default=0.0),
        asked_now=asked_now,
        last_asked_at_s=now_s if asked_now or state.last_demand_at_s is None else state.last_demand_at_s,
    )


def still_waits(request: WaitingRequest, *, now_s: float) -> bool:
    """Tell whether someone still asks for this request: it has no worker, and was polled of late."""
    return request.worker_id is None and now_s - request.polled_at_s <= WAITING_FORGOTTEN_AFTER_S


def _retired_load(state: ScalerState, known_load: float) -> float:
    """Return the load that was assigned to workers whose items are gone, `known_load` being that of those there are."""
    newest = state.samples[-1].assigned_load if state.samples else 0.0
    return max(state.retired_assigned_load, newest - known_load)


def add_sample(samples: tuple[DemandSample, ...], demand: Demand, *, now_s: float) -> tuple[DemandSample, ...]:
    """Return the samples with the present added; of those older than all windows only the newest is kept, as their beginning.

    The newest is always the present one: it replaces the one before where that came within SAMPLE_SPACING_S of its own.
    """
    newest = DemandSample(
        at_s=now_s,
        assigned_load=demand.assigned_load,
        waiting_load=demand.waiting_load,
        open_requests=demand.ahead.open_requests,
    )
    oldest_s = now_s - max(RATE_WINDOWS_S)
    begun = [index for index, sample in enumerate(samples) if sample.at_s <= oldest_s]
    kept = samples[begun[-1] if begun else 0 :]
    if len(kept) > 1 and kept[-1].at_s - kept[-2].at_s < SAMPLE_SPACING_S:
        kept = kept[:-1]
    return (*kept, newest)[-SAMPLES_MAX:]


def _bursts(snapshot: Snapshot, arrived_load: float, *, mean_cost: float, place: float, now_s: float) -> Bursts:
    room_s = mean_cost / place if place > 0 else max(snapshot.group.target_queue_time / 2, ROOM_S_MIN)
    load_per_s = burst_load_per_s(snapshot.state.samples, arrived_load=arrived_load, room_s=room_s, now_s=now_s)
    return with_burst(snapshot.state.bursts, load_per_s, now_s=now_s)


def _peaks(before: tuple[LoadPeak, ...], ahead: Forecast, *, window_s: float, now_s: float) -> tuple[LoadPeak, ...]:
    """Return the peaks with the present in them; of the intervals that ended before the window none, but where it begins."""
    if ahead.load_per_s is None:
        return before
    interval_s = window_s / PEAK_INTERVALS
    kept = [peak for index, peak in enumerate(before) if index + 1 == len(before) or before[index + 1].from_s > now_s - window_s]
    now = LoadPeak(from_s=now_s, load_per_s=ahead.load_per_s, open_requests=ahead.open_requests)
    if kept and now_s - kept[-1].from_s < interval_s:
        return (*kept[:-1], _higher(kept[-1], now))
    return (*kept, now)


def _higher(before: LoadPeak, now: LoadPeak) -> LoadPeak:
    return LoadPeak(
        from_s=before.from_s,
        load_per_s=max(before.load_per_s, now.load_per_s),
        open_requests=max(before.open_requests, now.open_requests),
    )


def _lasting(before: LastingLoad | None, load_per_s: float | None, *, now_s: float) -> LastingLoad | None:
    """Return the exponential mean with the present in it; what has been seen for a moment only has not lasted."""
    if load_per_s is None:
        return before
    if before is None:
        return LastingLoad(at_s=now_s, load_per_s=0.0)
    share = -math.expm1(-max(0.0, now_s - before.at_s) / LOAD_LASTING_S)
    return LastingLoad(at_s=now_s, load_per_s=before.load_per_s + share * (load_per_s - before.load_per_s))


def _mean_cost(given: Iterable[Assignments], waiting: Iterable[WaitingRequest]) -> float:
    """Return what a request costs, by all that the present workers were ever given and by all that waits; 0 while nothing was."""
    loads, costs = [each.assigned_load for each in given], [request.cost for request in waiting]
    requests = sum([each.reqnum for each in given]) + len(costs)
    return math.fsum((*loads, *costs)) / requests if requests else 0.0
