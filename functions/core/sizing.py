"""How much capacity a group needs: to run now, and to hold in all, stopped workers included.

* *load*: max(min_load, peak of the arriving load/s + waiting load / patience) / target_util
* *slots*: the peak of the open requests, or those to be expected when a start takes effect, and headroom; in load/s, at what a slot
  of this group's workers carries
* *running* load/s is the larger of the two
* *held* load/s = max(running, cold_mult * max(min_load, lasting load/s) / target_util, min_cold_load): it is rented if it is
  missing
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
    scale_down_window_s: float  # what was begun within it was needed within it
    settled: bool  # False: it has not been watched for a whole window, so that a surplus may be none
    shortage_s: float = 0.0  # for how many seconds of its running price a stopped worker's storage is paid; 0: it is not kept


def size(group: EndpointGroup, demand: Demand, *, load_per_slot: float, boot: LeadTime, now_s: float) -> Need:
    """Return what the group needs under this demand. `load_per_slot`: of its workers, 0 where it is not known."""
    util = max(group.target_util, _TARGET_UTIL_MIN)
    idle = is_idle(group, demand, now_s=now_s)
    arriving, lasting = (0.0, 0.0) if idle else (demand.peak_load_per_s, demand.lasting_load_per_s)
    urgent = demand.waiting_load / max(group.target_queue_time, demand.oldest_wait_s, _TARGET_QUEUE_TIME_S_MIN)
    beside = 0.0 if idle else slots_needed(group, demand) * load_per_slot
    running_load = max(max(group.min_load, arriving + urgent) / util, beside)
    asked = demand.waiting > 0 or running_load > 0 or group.inactivity_timeout < 0
    running_workers = 1 if asked else 0
    return Need(
        running_load=running_load,
        running_workers=running_workers,
        kept_workers=running_workers if idle else 1,
        held_load=max(running_load, group.cold_mult * max(group.min_load, lasting) / util, group.min_cold_load),
        held_workers=max(group.cold_workers, running_workers),
        idle=idle,
        known=demand.load_per_s is not None,
        settled=demand.settled,
        scale_down_window_s=group.scale_down_window,
        shortage_s=group.shortage_cost * boot.mean_s,
    )


def slots_needed(group: EndpointGroup, demand: Demand) -> float:
    """Return how many requests the group is to hold side by side, headroom included."""
    expected = max(float(demand.peak_open_requests), demand.ahead.open_ahead)
    return expected + headroom_deviations(group.shortage_cost) * math.sqrt(expected)


def headroom_deviations(shortage_cost: float) -> float:
    """Return by how many standard deviations capacity exceeds what is expected; none where idling is the dearer."""
    return NormalDist().inv_cdf(shortage_cost / (1 + shortage_cost)) if shortage_cost > 1 else 0.0


def load_per_slot(workers: Iterable[Worker]) -> float:
    """Return the load per second of one slot of those workers that have said how many they have; 0 if none has."""
    told = [worker.condition for worker in workers if worker.condition.slots > 0 and worker.condition.perf > 0]
    slots = sum(condition.slots for condition in told)
    return sum(condition.perf for condition in told) / slots if slots else 0.0


def is_idle(group: EndpointGroup, demand: Demand, *, now_s: float) -> bool:
    """Tell whether nothing has been asked for so long that the group may go to zero."""
    if demand.asked_now or demand.load_per_s is None or group.inactivity_timeout < 0:
        return False
    return demand.idle_s(now_s=now_s) >= max(group.inactivity_timeout, IDLE_S_MIN)
