"""How much capacity a group needs: to run now, and to hold in all, stopped workers included.

* *load*: max(min_load, peak of the arriving load/s + waiting load / patience, what this time of day and week brings) / target_util
* *places*: for the peak of the open requests, or those to be expected when a start takes effect, with headroom, or the surge that
  experience expects of such a load (`surge`), whichever is most; a worker has places in its slots and for what it serves within
  half of `target_queue_time`
* *running* load/s is the larger of the two; a stopped worker is started for it at once, a new one is rented only for what has
  lasted: the load, a little more (LASTING_MARGIN), and the requests that have been open for half a minute
* *held* load/s = max(rented, what the time of day brings once a boot is over, cold_mult * max(min_load, lasting load/s), each over
  target_util, min_cold_load): it is rented if it is missing
* at least one worker runs while anything is asked, or always if `inactivity_timeout` is negative; at least `cold_workers` are held

*Headroom* is the newsvendor's: if being short costs `shortage_cost` times as much as being idle, capacity is to suffice with a
probability of `shortage_cost / (1 + shortage_cost)`, hence that quantile of what may be open (a Poisson number: its mean and as
many square roots of it, which is also the square-root staffing of Halfin and Whitt, doi:10.1287/opre.29.3.567).

*How long a stopped worker is kept*: until its storage has cost, since it stopped, what being short of it for one boot would
(`shortage_s` seconds of its running price). Whoever does not know when it will be needed again cannot do better than twice the best
by any rule but this one (ski rental). No memory of bursts is needed: the machine that was needed longest ago has been stopped
longest.

What waits is to be served within `target_queue_time`, or within as long again as the oldest has waited, if that is longer: while
machines boot for minutes, what piles up meanwhile must not rent a fleet that would be idle as soon as the pile is gone. It is not
multiplied by `cold_mult` either: it is served once, and says nothing of the load to come. Nor is what has not lasted: a reserve for
a burst would boot for longer than the burst lasts.

After `inactivity_timeout` seconds without demand a group may go to zero: it then needs `min_load` alone, and holds `min_cold_load`,
`cold_workers` and what has not been stopped for long.

Parameters and their meaning are Vast's (docs guides/serverless/serverless-parameters.mdx), but for `shortage_cost`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from functions.core.demand import Demand
from functions.core.lead_time import LeadTime
from functions.core.model import EndpointGroup, Worker
from functions.core.surge import quantile

_TARGET_QUEUE_TIME_S_MIN: Final = 1.0
_TARGET_UTIL_MIN: Final = 0.05
LASTING_MARGIN: Final = 1.2
IDLE_S_MIN: Final = 15.0  # a timeout of 0 does not flap between two requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the group needs, loads per second."""

    running_load: float
    rented_load: float  # as much of it as machines are rented for
    running_workers: int
    kept_workers: int
    held_load: float
    held_workers: int
    idle: bool  # the inactivity timeout has passed: no need to wait for a surplus to last
    known: bool  # False: the arriving load is unknown, so that nothing may be released
    scale_down_window_s: float  # what was begun within it was needed within it
    settled: bool  # False: it has not been watched for a whole window, so that a surplus may be none
    surge_requests: float = 0.0  # that experience says to be ready for
    shortage_s: float = 0.0  # for how many seconds of its running price a stopped worker's storage is paid; 0: it is not kept


def size(group: EndpointGroup, demand: Demand, *, place: float, boot: LeadTime, now_s: float) -> Need:
    """Return what the group needs under this demand. `place`: the load per second of one place, 0 where it is unknown."""
    util = max(group.target_util, _TARGET_UTIL_MIN)
    idle = is_idle(group, demand, now_s=now_s)
    arriving, lasting = (0.0, 0.0) if idle else (demand.peak_load_per_s, demand.lasting_load_per_s)
    urgent = demand.waiting_load / max(group.target_queue_time, demand.oldest_wait_s, _TARGET_QUEUE_TIME_S_MIN)
    surge = surge_requests(group, demand)
    beside, lastingly = (
        (0.0, 0.0) if idle else (_places(group, demand, surge) * place, _lasting_places(group, demand, surge) * place)
    )
    running_load = max(max(group.min_load, arriving + urgent, demand.soon_load_per_s) / util, beside)
    rented_load = (
        min(running_load, max(LASTING_MARGIN * max(group.min_load, arriving) / util, lastingly)) if place else running_load
    )
    asked = demand.waiting > 0 or running_load > 0 or group.inactivity_timeout < 0
    running_workers = 1 if asked else 0
    return Need(
        running_load=running_load,
        rented_load=rented_load,
        running_workers=running_workers,
        kept_workers=running_workers if idle else 1,
        held_load=max(
            rented_load,
            group.cold_mult * max(group.min_load, lasting) / util,
            group.min_cold_load,
            demand.later_load_per_s / util,
        ),
        held_workers=max(group.cold_workers, running_workers),
        idle=idle,
        known=demand.load_per_s is not None,
        settled=demand.settled,
        scale_down_window_s=group.scale_down_window,
        surge_requests=surge,
        shortage_s=group.shortage_cost * boot.mean_s,
    )


def _places(group: EndpointGroup, demand: Demand, surge: float) -> float:
    return max(_with_headroom(group, max(float(demand.peak_open_requests), demand.ahead.open_ahead)), surge)


def _lasting_places(group: EndpointGroup, demand: Demand, surge: float) -> float:
    return max(_with_headroom(group, float(demand.ahead.lasting_requests)), surge)


def _with_headroom(group: EndpointGroup, expected: float) -> float:
    return expected + headroom_deviations(group.shortage_cost) * math.sqrt(expected)


def surge_requests(group: EndpointGroup, demand: Demand) -> float:
    """Return for how many open requests experience says to be ready under the present load; 0 where idling is the dearer."""
    if group.shortage_cost <= 1:
        return 0.0
    return quantile(demand.surges, load_per_s=demand.ahead.mean_load_per_s, share=_enough(group.shortage_cost))


def _enough(shortage_cost: float) -> float:
    """Return with what probability capacity is to suffice: the newsvendor's critical ratio."""
    return shortage_cost / (1 + shortage_cost)


def headroom_deviations(shortage_cost: float) -> float:
    """Return by how many standard deviations capacity exceeds what is expected; none where idling is the dearer."""
    return NormalDist().inv_cdf(_enough(shortage_cost)) if shortage_cost > 1 else 0.0


def load_per_place(workers: Iterable[Worker], group: EndpointGroup, demand: Demand) -> float:
    """Return the load per second of one place of those workers that have said how many slots they have; 0 if none has.

    Worked example: 100 load/s in 4 slots, requests of 50 load, `target_queue_time` 10 s: 4 begin at once and 10 more within 5 s.
    """
    told = [worker.condition for worker in workers if worker.condition.slots > 0 and worker.condition.perf > 0]
    slots, perf = sum(condition.slots for condition in told), sum(condition.perf for condition in told)
    soon = perf * group.target_queue_time / 2 / demand.mean_cost if demand.mean_cost > 0 else 0.0
    return perf / (slots + soon) if slots else 0.0


def why(group: EndpointGroup, demand: Demand, need: Need) -> str:
    """Say in a sentence what was forecast and how sure that is, for the record of a decision that adds something."""
    ahead, surge = demand.ahead, need.surge_requests
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
