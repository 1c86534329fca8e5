"""How many requests come to be open within the time that a start takes, by experience: the surge that is not yet to be seen.

What a start brings in time must have been begun before the surge began. No trend shows a burst of sixty requests in one second;
that such bursts come every other minute while about so much load arrives is a matter of record. So counts are kept of how many
requests were open at most within one lead time from then on, in steps of a third of an octave; of these a quantile is provided
for: with being short `shortage_cost` times as dear as idling, the one that is exceeded with a chance of 1 / (1 + shortage_cost), as
in `sizing`.

The distribution is conditional twice. On the *level* of load (the mean of the last five minutes, in powers of two): a busy hour
teaches nothing about quiet ones, and at no load at all it is the chance that a burst begins. And on the *state*, which is the level
and how many requests are open now: an hour of bursts has many moments at which nothing is about to come. What is known of a state
holds chance already, and no headroom is added; until COUNTED_MIN have been seen of it, the level speaks for it, and headroom is.

Counts are halved once there are COUNTED_MAX of them, so that what was long ago weighs ever less. Requests that queue because the
fleet was short are open too: who was short once provides for more the next time.

Invariants: what is kept is bounded (KEYS_MAX, STEP_MAX, WATCHES_MAX), whatever comes; a quantile is never more than was seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from functions.core.scaler_state import Surges, SurgeWatch

COUNTED_MIN: Final = 40
COUNTED_MAX: Final = 4_000
STEPS_PER_OCTAVE: Final = 3
STEP_MAX: Final = 50  # 2 ** (50 / 3): a hundred thousand requests
LEVEL_MIN: Final = -20
LEVEL_MAX: Final = 40
KEYS_MAX: Final = 200  # levels and states; beyond it the one that was counted least is forgotten
WATCHES_MAX: Final = 4
NOTHING: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How many requests to be ready for. `with_chance`: it is known of just such moments, so that no headroom is missing."""

    requests: float = 0.0
    with_chance: bool = False


def experienced(before: Surges, *, load_per_s: float, open_requests: int, horizon_s: float, now_s: float) -> Surges:
    """Return the experience with the present in it: what was watched for `horizon_s` seconds is counted, and a new watch begins."""
    watches = tuple(one if one.highest >= open_requests else replace(one, highest=open_requests) for one in before.watches)
    counts = before.counts
    for one in watches:
        if now_s - one.since_s >= horizon_s:
            step = str(_step(one.highest))
            counts = _with_count(_with_count(counts, _level_of(one.state), step), one.state, step)
    watches = tuple(one for one in watches if now_s - one.since_s < horizon_s)
    if not watches or now_s - watches[-1].since_s >= horizon_s / 2:
        watches = (*watches, SurgeWatch(since_s=now_s, state=_state(load_per_s, open_requests), highest=open_requests))
    return Surges(watches=watches[-WATCHES_MAX:], counts=counts)


def expected(surges: Surges, *, load_per_s: float, open_requests: int, share: float) -> Expected:
    """Return how many requests are open at most, with this probability, within a lead time from such a moment; 0: not known."""
    of_state = quantile(surges, _state(load_per_s, open_requests), share=share)
    if of_state is not None:
        return Expected(requests=of_state, with_chance=True)
    return Expected(requests=quantile(surges, _level(load_per_s), share=share) or 0.0)


def quantile(surges: Surges, key: str, *, share: float) -> float | None:
    """Return the open requests that this share of what was counted does not exceed; None before COUNTED_MIN were."""
    counts = surges.counts.get(key, {})
    total = sum(counts.values())
    if total < COUNTED_MIN:
        return None
    below = 0
    for step in sorted(map(int, counts)):
        below += counts[str(step)]
        if below >= share * total:
            return _open_requests(step)
    return None


def _with_count(counts: Mapping[str, Mapping[str, int]], key: str, step: str) -> Mapping[str, Mapping[str, int]]:
    of_key = dict(counts.get(key, {}))
    of_key[step] = of_key.get(step, 0) + 1
    if sum(of_key.values()) >= COUNTED_MAX:
        of_key = {name: count // 2 for name, count in of_key.items() if count > 1}
    counted = {**counts, key: of_key}
    if len(counted) > KEYS_MAX:
        del counted[min((sum(each.values()), name) for name, each in counts.items())[1]]
    return counted


def _level(load_per_s: float) -> str:
    return str(max(LEVEL_MIN, min(LEVEL_MAX, math.floor(math.log2(load_per_s))))) if load_per_s > 0 else NOTHING


def _state(load_per_s: float, open_requests: int) -> str:
    return f"{_level(load_per_s)}/{_step(open_requests)}"


def _level_of(state: str) -> str:
    return state.partition("/")[0]


def _step(open_requests: int) -> int:
    """Return the step, 0 for none open: 1 is step 1, 2 is step 4, 4 is step 7."""
    return min(STEP_MAX, 1 + math.floor(STEPS_PER_OCTAVE * math.log2(open_requests) + 1e-9)) if open_requests > 0 else 0


def _open_requests(step: int) -> float:
    return 2.0 ** ((step - 1) / STEPS_PER_OCTAVE) if step > 0 else 0.0
