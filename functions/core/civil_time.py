"""What a clock on the wall shows, from a rule that is part of the stack's parameters.

A time zone's database is a file that differs from machine to machine and from year to year; a decision that read it could not be
replayed. `pulumi up` therefore writes the rule itself, which for nearly every zone is two offsets and two changes a year, as in the
last line of its file (RFC 9636, section 3.3).

Local seconds are seconds since 1970-01-01 00:00 of the wall clock: epoch seconds plus the offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

DAY_S: Final = 86_400
_CHANGES_KEPT: Final = 64
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """One change a year: on the `week`-th `weekday` (1 Monday to 7 Sunday) of a month, `at_s` seconds after that day's beginning.

    Week 5 is the last one, whether that is the fourth or the fifth. The time is that of the clock before the change, and may lie on
    another day: below zero, or above 86,400.
    """

    month: int
    week: int
    weekday: int
    at_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A time zone by its rule. Offsets are seconds east of Greenwich; without summer time the last three are None."""

    name: str = "UTC"
    offset_s: int = 0
    summer_offset_s: int | None = None
    summer_begins: ClockChange | None = None
    summer_ends: ClockChange | None = None


def day_of(local_s: float) -> date:
    """Return the date of a local time."""
    return date.fromordinal(_EPOCH_DAY + int(local_s // DAY_S))


def midnight_s(day: date) -> int:
    """Return the local seconds at which a day begins."""
    return (day.toordinal() - _EPOCH_DAY) * DAY_S


def offset_s(zone: Zone, now_s: float) -> int:
    """Return the offset that holds in the zone at an epoch time."""
    if zone.summer_offset_s is None or zone.summer_begins is None or zone.summer_ends is None:
        return zone.offset_s
    year = day_of(now_s + zone.offset_s).year
    begins_s = _change_s(zone.summer_begins, year) - zone.offset_s
    ends_s = _change_s(zone.summer_ends, year) - zone.summer_offset_s
    # South of the equator summer lasts over the turn of the year.
    is_summer = begins_s <= now_s < ends_s if begins_s < ends_s else not ends_s <= now_s < begins_s
    return zone.summer_offset_s if is_summer else zone.offset_s


def first_epoch_s(zone: Zone, local_s: float) -> float | None:
    """Return when the clock shows this for the first time; None where it skips it, as in the hour that summer time takes away."""
    offsets = {zone.offset_s, zone.offset_s if zone.summer_offset_s is None else zone.summer_offset_s}
    return min((local_s - offset for offset in offsets if offset_s(zone, local_s - offset) == offset), default=None)


@lru_cache(maxsize=_CHANGES_KEPT)
def _change_s(change: ClockChange, year: int) -> int:
    """Return the local seconds of a change, by the clock before it."""
    first = date(year, change.month, 1)
    day = 1 + (change.weekday - first.isoweekday()) % 7 + 7 * (change.week - 1)
    while day > days_in_month(year, change.month):
        day -= 7
    return midnight_s(first) + (day - 1) * DAY_S + change.at_s


def days_in_month(year: int, month: int) -> int:
    """Return how many days a month has."""
    after = date(year + month // 12, month % 12 + 1, 1)
    return (after - date(year, month, 1)).days
