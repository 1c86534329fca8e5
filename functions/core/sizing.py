"""How much capacity a group needs: to run now, and to hold in all, stopped workers included.

* *load*: max(min_load, peak of the arriving load/s + waiting load / patience, what this time of day and week brings) / target_util
* *places*: for the peak of the open requests, or those to be expected when a start takes effect, or the surge that experience
  expects of such a moment (`surge`), whichever is most, and with headroom where there is no such experience; a worker has places
  in its slots and for what it serves within half of `target_queue_time`
* *running* load/s is the larger of the two
* *held* load/s = max(running, what the time of day brings once a boot is over, cold_mult * max(min_load, lasting load/s), each over
  target_util, min_cold_load): it is rented if it is missing
* at least one worker runs while anything is asked, or always if `inactivity_timeout` is negative; at least `cold_workers` are held

*Headroom* is the newsvendor's: if being short costs `shortage_cost` times as much as being idle, capacity is to suffice with a
probability of `shortage_cost / (1 + shortage_cost)`, hence that quantile of what may be open (a Poisson number: its mean and as
many square roots of it, which is also the square-root staffing of Halfin and Whitt, doi:10.1287/opre.29.3.567).

*How much is kept stopped* beyond that follows from the bursts of late, and from what storage costs against `shortage_s` seconds of
the running price: see `standby`.

What waits is to be served within `target_queue_time`, or within as long again as the oldest has waited, if that is longer: while
machines boot for minutes, what piles up meanwhile must not rent a fleet that would be idle as soon as the pile is gone. It is not
multiplied by `cold_mult` either: it is served once, and says nothing of the load to come. Nor is what has not lasted an hour or so.

After `inactivity_timeout` seconds without demand a group may go to zero: it then needs `min_load` alone, and holds `min_cold_load`,
`cold_workers` and what `standby` keeps.

Parameters and their meaning are Vast's (docs guides/serverless/serverless-parameters.mdx), but for `shortage_cost`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from functions.core.demand import Demand
from functions.core.lead_time import LeadTime
from functions.core.model import EndpointGroup
from functions.core.scaler_state import Bursts
from functions.core.standby import STANDBY_MARGIN
from functions.core.surge import Expected, expected

_TARGET_QUEUE_TIME_S_MIN: Final = 1.0
_TARGET_UTIL_MIN: Final = 0.05
IDLE_S_MIN: Final = 15.0  # a timeout of 0 does not flap between two requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the group needs, loads per second."""

    running_load: float
    running_workers: int
    kept_workers: int
    held_load: float
    held_workers: int
    idle: bool  # the inactivity timeout has passed: no need to wait for a surplus to last
    known: bool  # False: the arriving load is unknown, so that nothing may be released
    settled: bool  # False: it has not been watched for a whole window, so that a surplus may be none
    surge: Expected
    bursts: Bursts
    standby_margin: float  # times the load of a burst is kept, stopped, while it counts
    shortage_s: float  # for how many seconds of its running price a stopped worker's storage is paid; 0: it is not kept


def size(group: EndpointGroup, demand: Demand, *, boot: LeadTime, now_s: float) -> Need:
    """Return what the group needs under this demand."""
    util = max(group.target_util, _TARGET_UTIL_MIN)
    idle = is_idle(group, demand, now_s=now_s)
    arriving, lasting = (0.0, 0.0) if idle else (demand.peak_load_per_s, demand.lasting_load_per_s)
    urgent = demand.waiting_load / max(group.target_queue_time, demand.oldest_wait_s, _TARGET_QUEUE_TIME_S_MIN)
    surge = _surge(group, demand)
    beside = 0.0 if idle else _places(group, demand, surge) * demand.place
    running_load = max(max(group.min_load, arriving + urgent, demand.soon_load_per_s) / util, beside)
    asked = demand.waiting > 0 or running_load > 0 or group.inactivity_timeout < 0
    running_workers = 1 if asked else 0
    return Need(
        running_load=running_load,
        running_workers=running_workers,
        kept_workers=running_workers if idle else 1,
        held_load=max(
            running_load,
            group.cold_mult * max(group.min_load, lasting) / util,
            group.min_cold_load,
            demand.later_load_per_s / util,
        ),
        held_workers=max(group.cold_workers, running_workers),
        idle=idle,
        known=demand.load_per_s is not None,
        settled=demand.settled,
        surge=surge,
        bursts=demand.bursts,
        standby_margin=STANDBY_MARGIN / util,
        shortage_s=group.shortage_cost * boot.mean_s,
    )


def _places(group: EndpointGroup, demand: Demand, surge: Expected) -> float:
    open_requests = max(float(demand.peak_open_requests), demand.ahead.open_ahead)
    return max(open_requests if surge.with_chance else _with_headroom(group, open_requests), surge.requests)


def _with_headroom(group: EndpointGroup, expected: float) -> float:
    return expected + headroom_deviations(group.shortage_cost) * math.sqrt(expected)


def _surge(group: EndpointGroup, demand: Demand) -> Expected:
    """Return for how many open requests experience says to be ready; for none where idling is the dearer."""
    if group.shortage_cost <= 1:
        return Expected()
    load_per_s, open_requests, share = demand.ahead.mean_load_per_s, demand.ahead.open_requests, _enough(group.shortage_cost)
    return expected(demand.surges, load_per_s=load_per_s, open_requests=open_requests, share=share)


def _enough(shortage_cost: float) -> float:
    """Return with what probability capacity is to suffice: the newsvendor's critical ratio."""
    return shortage_cost / (1 + shortage_cost)


def headroom_deviations(shortage_cost: float) -> float:
    """Return by how many standard deviations capacity exceeds what is expected; none where idling is the dearer."""
    return NormalDist().inv_cdf(_enough(shortage_cost)) if shortage_cost > 1 else 0.0


def why(group: EndpointGroup, demand: Demand, need: Need) -> str:
    """Say in a sentence what was forecast and how sure that is, for the record of a decision that adds something."""
    ahead, surge = demand.ahead, need.surge.requests
    mean = f"{ahead.mean_load_per_s:.1f} in the mean, {demand.peak_load_per_s:.1f} at the peak of {group.scale_down_window:.0f} s"
    known = ahead.load_per_s is not None
    arriving = f"{ahead.load_per_s:.1f} load/s arrive as far as is proven ({mean})" if known else "what arrives is not known yet"
    open_now = f"open requests: {ahead.open_requests} now, {ahead.open_ahead:.0f} expected in {ahead.lead_s:.0f} s"
    experience = f", and by experience {surge:.0f} at most with a chance of {_enough(group.shortage_cost):.0%}" if surge else ""
    return f"Needed are {need.running_load:.1f} load/s: {arriving}; {open_now}{experience}."


def is_idle(group: EndpointGroup, demand: Demand, *, now_s: float) -> bool:
    """Tell whether nothing has been asked for so long that the group may go to zero."""
    if demand.asked_now or demand.load_per_s is None or group.inactivity_timeout < 0:
        return False
    return demand.idle_s(now_s=now_s) >= max(group.inactivity_timeout, IDLE_S_MIN)
