"""A cron expression as EventBridge Scheduler reads it: six fields, checked here, and written out as the values that they mean.

    minutes hours day-of-month month day-of-week year

EventBridge gets the text. The functions, which ask when it fired last, get the values (`core.cron`), so that they need no parser
and cannot read it differently. Weekdays count from 1 for Sunday in the text, and from 1 for Monday (ISO 8601) in the values.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

LAST: Final = -1
EXPRESSION: Final = "'minutes hours day-of-month month day-of-week year', such as '0 8 ? * MON-FRI *'"


class CronInvalid(ValueError):
    """The expression means nothing to EventBridge; the message completes "the expression …"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One field. `names` stand for numbers from `least` on."""

    title: str
    least: int
    most: int
    names: Sequence[str] = field(default=())

    def values(self, text: str) -> tuple[int, ...]:
        """Return the numbers that the field names, sorted; none for any. Raises CronInvalid."""
        if text in {"*", "?"}:
            return ()
        return tuple(sorted({number for part in text.split(",") for number in self._of_part(part)}))

    def number(self, text: str) -> int:
        """Return the number that a name or digits stand for. Raises CronInvalid."""
        if text in self.names:
            return self.least + self.names.index(text)
        if not text.isdecimal() or not self.least <= int(text) <= self.most:
            named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise CronInvalid(f"has {text!r} as {self.title}, which is not one of {self.least} to {self.most}{named}")
        return int(text)

    def _of_part(self, part: str) -> Iterator[int]:
        span, stepped, step = part.partition("/")
        first, ranged, last = span.partition("-")
        if span == "*":
            begin, end = self.least, self.most
        else:
            begin = self.number(first)
            end = self.number(last) if ranged else self.most if stepped else begin
        if end < begin:
            raise CronInvalid(f"has {span!r} as {self.title}, which ends before it begins")
        if stepped and (not step.isdecimal() or int(step) < 1):
            raise CronInvalid(f"has {part!r} as {self.title}, which steps by no number")
        yield from range(begin, end + 1, int(step) if stepped else 1)


_MONTH_NAMES: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MINUTES: Final = _Field(title="minutes", least=0, most=59)
_HOURS: Final = _Field(title="hours", least=0, most=23)
_DAYS: Final = _Field(title="day of the month", least=1, most=31)
_MONTHS: Final = _Field(title="month", least=1, most=12, names=_MONTH_NAMES)
_WEEKDAYS: Final = _Field(title="day of the week", least=1, most=7, names=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))
_YEARS: Final = _Field(title="year", least=1970, most=2199)


def cron_values(expression: str) -> Mapping[str, object]:
    """Return the fields of the functions' Cron. Raises CronInvalid."""
    parts = expression.upper().split()
    if len(parts) != 6:
        raise CronInvalid(f"has {len(parts)} fields, not 6")
    minutes, hours, days, months, weekdays, years = parts
    if (days == "?") == (weekdays == "?"):
        raise CronInvalid("must have a ? as day of the month or as day of the week, and not as both")
    for title, text in (("minutes", minutes), ("hours", hours), ("month", months), ("year", years)):
        if text == "?":
            raise CronInvalid(f"has a ? as {title}, where only * means any")
    named_days, near_days = _days(days)
    return {
        "text": " ".join(parts),
        "minutes": _MINUTES.values(minutes),
        "hours": _HOURS.values(hours),
        "days": named_days,
        "near_days": near_days,
        "months": _MONTHS.values(months),
        "weekdays": _weekdays(weekdays),
        "years": _YEARS.values(years),
    }


def _days(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the days of the month, and those that stand for the working day nearest to them."""
    if text == "L":
        return (LAST,), ()
    near = re.fullmatch(r"(L|\d+)W", text)
    if near is not None:
        return (), (LAST if near[1] == "L" else _DAYS.number(near[1]),)
    return _DAYS.values(text), ()


def _weekdays(text: str) -> tuple[tuple[int, int], ...]:
    """Return pairs of a weekday (ISO) and which one of the month: 0 every, LAST the last."""
    which = re.fullmatch(r"(\w+)#([1-5])", text)
    if which is not None:
        return ((_iso(_WEEKDAYS.number(which[1])), int(which[2])),)
    last = re.fullmatch(r"([1-7]|[A-Z]{3})L", text)
    if last is not None:
        return ((_iso(_WEEKDAYS.number(last[1])), LAST),)
    if text == "L":
        return ((_iso(_WEEKDAYS.most), 0),)
    return tuple(sorted((_iso(number), 0) for number in _WEEKDAYS.values(text)))


def _iso(weekday: int) -> int:
    """Return 1 for Monday to 7 for Sunday, of 1 for Sunday to 7 for Saturday."""
    return (weekday - 2) % 7 + 1
