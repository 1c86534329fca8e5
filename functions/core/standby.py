"""How much stopped capacity is worth its storage: as much as the demand has filled within the time that storage is paid for.

*What was filled* is not what ran: a queue that piles up while machines boot would have a fleet rented for it, and stored for days,
that nothing needed but that queue. It is the smallest fleet that would have begun every request soon, had it been there: of all
spans of the last BURST_S seconds the largest A / (w + room), where A arrived within w seconds and `room` is the work, in seconds,
that the places of a fleet take at once (the lower service curve of a token bucket; Cruz 1991, doi:10.1109/18.61109). Real starts
come late and scatter, so STANDBY_MARGIN times as much is kept.

*For how long* is ski rental: until storage has cost, since so much was filled, what being short of it for one boot would
(`shortage_cost`). Who does not know when it will be filled again cannot do better than twice the best by any rule but this one.

Only those bursts are kept that no later one has equalled, in eighths of an octave: the first of them that is young enough is the
highest of its time.

Invariants: at most BURSTS_MAX are kept, each later and lower than the one before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from functions.core.forecast import growth
from functions.core.scaler_state import Burst, Bursts, DemandSample

BURST_S: Final = 120.0
STANDBY_MARGIN: Final = 1.6
STEPS_PER_OCTAVE: Final = 8
BURSTS_MAX: Final = 64
KEPT_S_MAX: Final = 7 * 86_400.0  # where storage is free, or its price unknown


def burst_load_per_s(samples: Iterable[DemandSample], *, arrived_load: float, room_s: float, now_s: float) -> float:
    """Return the load per second of the smallest fleet that would have begun all that arrived of late.

    `room_s`: how many seconds of its work a fleet takes at once, above 0. Worked example: 3,000 load within 60 s, room for 15 s: 40
    load/s.
    """
    spans = ((now_s - one.at_s, growth(one.assigned_load + one.waiting_load, arrived_load)) for one in samples)
    return max((grown / (span_s + room_s) for span_s, grown in spans if 0 < span_s <= BURST_S), default=0.0)


def with_burst(before: Bursts, load_per_s: float, *, now_s: float) -> Bursts:
    """Return the bursts with the present one among them."""
    since_s = now_s if before.since_s is None else before.since_s
    if load_per_s <= 0:
        return Bursts(since_s=since_s, peaks=before.peaks)
    # Upwards, so that no rounding stores less than was filled.
    now = Burst(at_s=now_s, load_per_s=2.0 ** (math.ceil(STEPS_PER_OCTAVE * math.log2(load_per_s)) / STEPS_PER_OCTAVE))
    higher = (one for one in before.peaks if one.load_per_s > now.load_per_s and now_s - one.at_s < KEPT_S_MAX)
    return Bursts(since_s=since_s, peaks=(*higher, now)[:BURSTS_MAX])


def filled_since(bursts: Bursts, since_s: float) -> float:
    """Return the highest load per second of a burst that came after that moment; 0 if none did."""
    return next((one.load_per_s for one in bursts.peaks if one.at_s > since_s), 0.0)
