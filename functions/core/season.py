"""The shape of a day and of a week, once it has been seen: what load the next minutes brought yesterday and the day before.

The mean load of every quarter of an hour is kept for the last two days, and of every hour of the week for the last two weeks. A
quarter is *expected* to bring what both days brought, the lesser of the two: one day's burst is no shape, and what two agree on is.
Where two weeks have been seen, they say it instead: a Saturday is no Friday.

It is used twice (`sizing`): stopped workers are started for what the quarter brings that begins within the time of a slow start,
and what it brings that begins within the time of a slow boot is held. So a morning's ramp finds its machines running, and what an
evening lets go is stopped, not destroyed, as long as the next morning needs it. It never takes away: what is really asked counts
beside it.

Loads that are forecast twice are not added up: the larger of what is expected here and what is proven now is provided for.

Invariants: bounded (96 quarters, 168 hours); before two days have been seen nothing is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from functions.core.scaler_state import Season, SeasonSlot

DAY_S: Final = 86_400.0
QUARTER_S: Final = 900.0
HOUR_S: Final = 3_600.0
WEEK_S: Final = 7 * DAY_S
_DIGITS: Final = 4  # more would only make the record longer


def seen(before: Season, *, load_per_s: float | None, now_s: float) -> Season:
    """Return the season with the present load in it, which has been so since the last look. None: not known, nothing is added."""
    if load_per_s is None:
        return replace(before, at_s=now_s)
    span_s = min(max(0.0, now_s - before.at_s), QUARTER_S) if before.at_s else 0.0
    return Season(
        at_s=now_s,
        day=_with(before.day, load_per_s * span_s, period_s=DAY_S, slot_s=QUARTER_S, now_s=now_s),
        week=_with(before.week, load_per_s * span_s, period_s=WEEK_S, slot_s=HOUR_S, now_s=now_s),
    )


def expected_load_per_s(season: Season, *, at_s: float) -> float:
    """Return the load per second that this moment is expected to bring by its time of day and week; 0 while no shape is known."""
    weekly = _agreed(season.week, period_s=WEEK_S, slot_s=HOUR_S, at_s=at_s)
    daily = _agreed(season.day, period_s=DAY_S, slot_s=QUARTER_S, at_s=at_s)
    return (weekly if weekly is not None else daily) or 0.0


def _with(
    slots: Mapping[str, SeasonSlot], load: float, *, period_s: float, slot_s: float, now_s: float
) -> Mapping[str, SeasonSlot]:
    name, period = _slot(now_s, period_s=period_s, slot_s=slot_s)
    slot = slots.get(name, SeasonSlot(period=period))
    if slot.period == period - 1:
        slot = SeasonSlot(period=period, last=slot.load, before=slot.last)
    elif slot.period != period:
        # Nobody looked for longer than a period: what was before is no evidence of now.
        slot = SeasonSlot(period=period)
    now = SeasonSlot(period=period, load=round(slot.load + load, _DIGITS), last=slot.last, before=slot.before)
    return {**slots, name: now}


def _agreed(slots: Mapping[str, SeasonSlot], *, period_s: float, slot_s: float, at_s: float) -> float | None:
    """Return the lesser mean of the two periods before this moment's; None where not both were seen."""
    name, period = _slot(at_s, period_s=period_s, slot_s=slot_s)
    slot = slots.get(name)
    if slot is None:
        return None
    # The slot of a moment to come has not begun: what it holds is of the period before.
    both = {period: (slot.last, slot.before), period - 1: (slot.load, slot.last)}.get(slot.period, (None, None))
    last, before = both
    return None if last is None or before is None else min(last, before) / slot_s


def _slot(at_s: float, *, period_s: float, slot_s: float) -> tuple[str, int]:
    return str(int(at_s % period_s // slot_s)), int(at_s // period_s)
