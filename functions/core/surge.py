"""How many requests come to be open within the time that a start takes, by experience: the surge that is not yet to be seen.

What a start brings in time must have been begun before the surge began. No trend shows a burst of sixty requests in one second;
that such bursts come every other minute while about so much load arrives is a matter of record. So for every *level* of load (the
mean of the last five minutes, in powers of two) counts are kept of how many requests were open at most within one lead time from
then on, in steps of a third of an octave; of these a quantile is provided for: with being short `shortage_cost` times as dear as
idling, the one that is exceeded with a chance of 1 / (1 + shortage_cost), as in `sizing`. The distribution is conditional on the
level, hence a busy hour teaches nothing about quiet ones; at no load at all it is the chance that a burst begins.

Counts of a level are halved once there are COUNTED_MAX of them, so that what was long ago weighs ever less, and nothing is said
before COUNTED_MIN. Requests that queue because the fleet was short are open too: who was short once provides for more the next
time.

Invariants: what is kept is bounded (LEVELS, STEPS, WATCHES_MAX), whatever comes; a quantile is never more than was seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from functions.core.scaler_state import Surges, SurgeWatch

COUNTED_MIN: Final = 40
COUNTED_MAX: Final = 4_000
STEPS_PER_OCTAVE: Final = 3
STEP_MAX: Final = 50  # 2 ** (50 / 3): a hundred thousand requests
LEVEL_MIN: Final = -20
LEVEL_MAX: Final = 40
WATCHES_MAX: Final = 4
NOTHING: Final = "none"


def experienced(before: Surges, *, load_per_s: float, open_requests: int, horizon_s: float, now_s: float) -> Surges:
    """Return the experience with the present in it: what was watched for `horizon_s` seconds is counted, and a new watch begins."""
    watches = tuple(one if one.highest >= open_requests else replace(one, highest=open_requests) for one in before.watches)
    over = [one for one in watches if now_s - one.since_s >= horizon_s]
    counts = before.counts
    for one in over:
        counts = _with_count(counts, one.level, str(_step(one.highest)))
    watches = tuple(one for one in watches if now_s - one.since_s < horizon_s)
    if not watches or now_s - watches[-1].since_s >= horizon_s / 2:
        watches = (*watches, SurgeWatch(since_s=now_s, level=_level(load_per_s), highest=open_requests))
    return Surges(watches=watches[-WATCHES_MAX:], counts=counts)


def quantile(surges: Surges, *, load_per_s: float, share: float) -> float:
    """Return how many requests are open at most with this probability within a lead time from such a load; 0: not known."""
    counts = surges.counts.get(_level(load_per_s), {})
    total = sum(counts.values())
    if total < COUNTED_MIN:
        return 0.0
    below = 0
    for step in sorted(map(int, counts)):
        below += counts[str(step)]
        if below >= share * total:
            return _open_requests(step)
    return 0.0


def _with_count(counts: Mapping[str, Mapping[str, int]], level: str, step: str) -> Mapping[str, Mapping[str, int]]:
    of_level = dict(counts.get(level, {}))
    of_level[step] = of_level.get(step, 0) + 1
    if sum(of_level.values()) >= COUNTED_MAX:
        of_level = {name: count // 2 for name, count in of_level.items() if count > 1}
    return {**counts, level: of_level}


def _level(load_per_s: float) -> str:
    return str(max(LEVEL_MIN, min(LEVEL_MAX, math.floor(math.log2(load_per_s))))) if load_per_s > 0 else NOTHING


def _step(open_requests: int) -> int:
    """Return the step, 0 for none open: 1 is step 1, 2 is step 4, 4 is step 7."""
    return min(STEP_MAX, 1 + math.floor(STEPS_PER_OCTAVE * math.log2(open_requests) + 1e-9)) if open_requests > 0 else 0


def _open_requests(step: int) -> float:
    return 2.0 ** ((step - 1) / STEPS_PER_OCTAVE) if step > 0 else 0.0
