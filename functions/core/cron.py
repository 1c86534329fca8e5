"""When a schedule fired last: EventBridge's cron expressions, read backwards from a moment.

The stack file's text is parsed and checked by `pulumi up`, which writes what it means: the values of each field, sorted. Here they
are only compared. So a record holds all that a replay needs, and no text that two readers could understand differently.

As EventBridge does it: what falls into the hour that summer time takes away does not happen, and what falls into the hour that
comes twice happens once, the first time (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from functions.core.civil_time import Zone, day_of, days_in_month, first_epoch_s, midnight_s, offset_s

# A leap day comes every four years, and once a century after eight.
LOOK_BACK_DAYS: Final = 8 * 366
LAST: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """What an expression means. Empty: any; `text` is how it is written.

    `days` are those of the month, LAST for the last; `near_days` stand for the working day nearest to each of them in its month,
    LAST for the last working day. `weekdays` are pairs: 1 Monday to 7 Sunday, and which one of the month (0 every, LAST the last).
    """

    text: str
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    near_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    years: tuple[int, ...] = ()


def last_fired_s(cron: Cron, zone: Zone, *, now_s: float) -> float | None:
    """Return when it fired last, at `now_s` included, in epoch seconds; None if it never did within LOOK_BACK_DAYS."""
    local_now_s = now_s + offset_s(zone, now_s)
    # Where the clock was turned back, by the difference that summer time makes, what is past may be later on it.
    turned_back_s = 0 if zone.summer_offset_s is None else abs(zone.summer_offset_s - zone.offset_s)
    for local_s in _times(cron, before_s=local_now_s + turned_back_s):
        fired_s = first_epoch_s(zone, local_s)
        if fired_s is not None and fired_s <= now_s:
            return fired_s
    return None


def _times(cron: Cron, *, before_s: float) -> Iterator[int]:
    """Yield the local times that the expression names up to `before_s`, latest first."""
    minutes, hours = cron.minutes or tuple(range(60)), cron.hours or tuple(range(24))
    for day in _days(cron, day_of(before_s)):
        begin_s = midnight_s(day)
        for hour in reversed(hours):
            for minute in reversed(minutes):
                local_s = begin_s + hour * 3600 + minute * 60
                if local_s <= before_s:
                    yield local_s


def _days(cron: Cron, newest: date) -> Iterator[date]:
    if cron.years and newest.year < cron.years[0]:
        return
    for age in range(LOOK_BACK_DAYS):
        day = newest - timedelta(days=age)
        if (not cron.months or day.month in cron.months) and (not cron.years or day.year in cron.years) and _names(cron, day):
            yield day


def _names(cron: Cron, day: date) -> bool:
    if cron.weekdays:
        return any(day.isoweekday() == weekday and _is_which(day, which) for weekday, which in cron.weekdays)
    if not cron.days and not cron.near_days:
        return True
    last = days_in_month(day.year, day.month)
    named = {last if number == LAST else number for number in cron.days}
    return day.day in named or any(_nearest(day, number, last) == day.day for number in cron.near_days)


def _is_which(day: date, which: int) -> bool:
    if which == LAST:
        return day.day + 7 > days_in_month(day.year, day.month)
    return which in {0, (day.day - 1) // 7 + 1}


def _nearest(day: date, number: int, last: int) -> int | None:
    """Return the working day of the month that is nearest to this day of it, None if the month has no such day."""
    wanted = last if number == LAST else number
    if wanted > last:
        return None
    weekday = day.replace(day=wanted).isoweekday()
    if weekday == 6:  # Saturday
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted
