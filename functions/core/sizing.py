"""How much capacity a group needs: to run now, and to hold in all, stopped workers included.

* *running* load/s = max(min_load, arriving load/s + waiting load / patience) / target_util
* *held* load/s = max(running, cold_mult * max(min_load, arriving load/s) / target_util, min_cold_load)
* at least one worker runs while anything is asked, or always if `inactivity_timeout` is negative; at least `cold_workers` are held

What waits is to be served within `target_queue_time`, or within as long again as the oldest has waited, if that is longer: while
machines boot for minutes, what piles up meanwhile must not rent a fleet that would be idle as soon as the pile is gone. It is not
multiplied by `cold_mult` either: it is served once, and says nothing of the load to come.

After `inactivity_timeout` seconds without demand a group may go to zero: it then needs `min_load` alone, and holds `min_cold_load`
and `cold_workers`. The window over which load is measured must be empty too, so a timeout of 0 does not flap between two requests.

Parameters and their meaning are Vast's (docs guides/serverless/serverless-parameters.mdx).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from functions.core.demand import Demand
from functions.core.model import EndpointGroup

_TARGET_QUEUE_TIME_S_MIN: Final = 1.0
_TARGET_UTIL_MIN: Final = 0.05
RECORD_MULT: Final = 1.2  # the next burst is larger than the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the group needs. `load` in load units per second; `kept_workers` may not be undercut, though none is rented for it."""

    running_load: float
    running_workers: int
    kept_workers: int
    held_load: float
    held_workers: int
    idle: bool  # the inactivity timeout has passed: no need to wait for a surplus to last
    known: bool  # False: the arriving load is unknown, so that nothing may be released


def size(group: EndpointGroup, demand: Demand, *, now_s: float) -> Need:
    """Return what the group needs under this demand."""
    util = max(group.target_util, _TARGET_UTIL_MIN)
    idle = is_idle(group, demand, now_s=now_s)
    arriving = demand.peak_load_per_s
    urgent = demand.waiting_load / max(group.target_queue_time, demand.oldest_wait_s, _TARGET_QUEUE_TIME_S_MIN)
    running_load = max(group.min_load, arriving + urgent) / util
    asked = demand.waiting > 0 or running_load > 0 or group.inactivity_timeout < 0
    running_workers = 1 if asked else 0
    reserve = max(group.cold_mult * max(group.min_load, demand.mean_load_per_s), RECORD_MULT * demand.record_load_per_s(now_s=now_s))
    return Need(
        running_load=running_load,
        running_workers=running_workers,
        kept_workers=running_workers if idle else 1,
        held_load=max(running_load, reserve / util, group.min_cold_load),
        held_workers=max(group.cold_workers, running_workers),
        idle=idle,
        known=demand.load_per_s is not None and demand.settled,
    )


def is_idle(group: EndpointGroup, demand: Demand, *, now_s: float) -> bool:
    """Tell whether nothing has been asked for so long that the group may go to zero."""
    if demand.asked_now or demand.load_per_s != 0 or group.inactivity_timeout < 0:
        return False
    return demand.idle_s(now_s=now_s) >= group.inactivity_timeout
