"""How much capacity a group needs: to run now, and to hold in all, stopped workers included.

* *running* load/s = max(min_load, peak of the arriving load/s + waiting load / patience) / target_util
* *held* load/s = max(running, cold_mult * max(min_load, mean) / target_util, min_cold_load): what is rented if it is missing
* *kept* load/s = max(held, burst_reserve * record / target_util): what is not given back, though none is rented for it
* at least one worker runs while anything is asked, or always if `inactivity_timeout` is negative; at least `cold_workers` are held

What waits is to be served within `target_queue_time`, or within as long again as the oldest has waited, if that is longer: while
machines boot for minutes, what piles up meanwhile must not rent a fleet that would be idle as soon as the pile is gone. It is not
multiplied by `cold_mult` either: it is served once, and says nothing of the load to come.

Peak, mean and record are those of `demand`. A stopped worker costs a twentieth of a running one and is back in seconds where a
rented one takes minutes: what a burst once needed is kept, stopped, while another such burst is likely (the record fades).

After `inactivity_timeout` seconds without demand a group may go to zero: it then needs `min_load` alone, and holds `min_cold_load`,
`cold_workers` and what is left of the record.

Parameters and their meaning are Vast's (docs guides/serverless/serverless-parameters.mdx).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from functions.core.demand import Demand
from functions.core.model import EndpointGroup

_TARGET_QUEUE_TIME_S_MIN: Final = 1.0
_TARGET_UTIL_MIN: Final = 0.05
IDLE_S_MIN: Final = 15.0  # a timeout of 0 does not flap between two requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the group needs, loads per second. What is `kept` may not be undercut, though none is rented for it."""

    running_load: float
    running_workers: int
    kept_workers: int
    held_load: float
    kept_load: float
    held_workers: int
    idle: bool  # the inactivity timeout has passed: no need to wait for a surplus to last
    known: bool  # False: the arriving load is unknown, so that nothing may be released
    scale_down_window_s: float  # what was begun within it was needed within it
    settled: bool  # False: it has not been watched for a whole window, so that a surplus may be none


def size(group: EndpointGroup, demand: Demand, *, now_s: float) -> Need:
    """Return what the group needs under this demand."""
    util = max(group.target_util, _TARGET_UTIL_MIN)
    idle = is_idle(group, demand, now_s=now_s)
    arriving, lasting = (0.0, 0.0) if idle else (demand.peak_load_per_s, demand.mean_load_per_s)
    urgent = demand.waiting_load / max(group.target_queue_time, demand.oldest_wait_s, _TARGET_QUEUE_TIME_S_MIN)
    running_load = max(group.min_load, arriving + urgent) / util
    asked = demand.waiting > 0 or running_load > 0 or group.inactivity_timeout < 0
    running_workers = 1 if asked else 0
    held_load = max(running_load, group.cold_mult * max(group.min_load, lasting) / util, group.min_cold_load)
    return Need(
        running_load=running_load,
        running_workers=running_workers,
        kept_workers=running_workers if idle else 1,
        held_load=held_load,
        kept_load=max(held_load, group.burst_reserve * demand.record_load_per_s(now_s=now_s) / util),
        held_workers=max(group.cold_workers, running_workers),
        idle=idle,
        known=demand.load_per_s is not None,
        settled=demand.settled,
        scale_down_window_s=group.scale_down_window,
    )


def is_idle(group: EndpointGroup, demand: Demand, *, now_s: float) -> bool:
    """Tell whether nothing has been asked for so long that the group may go to zero."""
    if demand.asked_now or demand.load_per_s is None or group.inactivity_timeout < 0:
        return False
    return demand.idle_s(now_s=now_s) >= max(group.inactivity_timeout, IDLE_S_MIN)
