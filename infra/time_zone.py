"""A time zone as the rule that its database ends with: two offsets, and the two days of a year on which they change.

The functions get the rule and not the name alone (`core.civil_time`), so that they need no database and a decision can be replayed
anywhere. EventBridge gets the name.

Source of the format: RFC 9636, section 3.3, and POSIX's TZ variable, whose offsets count west of Greenwich.
"""

from __future__ import annotations

import importlib.resources
import re
import zoneinfo
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

_OFFSET: Final = r"([+-]?\d+(?::\d\d){0,2})"
_NAME: Final = r"(?:<[^>]+>|[A-Za-z]{3,})"
_CHANGE: Final = rf",M(\d+)\.(\d)\.(\d)(?:/{_OFFSET})?"
_RULE: Final = re.compile(rf"{_NAME}{_OFFSET}(?:{_NAME}{_OFFSET}?{_CHANGE}{_CHANGE})?")
CHANGE_AT_S: Final = 2 * 3600  # where the rule does not say
# Their summer time makes room for Ramadan, whose dates are in the database one by one. A test holds all others to their rules.
IRREGULAR: Final = frozenset({"Africa/Casablanca", "Africa/El_Aaiun", "Asia/Gaza", "Asia/Hebron"})


class ZoneUnknown(ValueError):
    """There is no such zone; the message completes "the zone …"."""


class ZoneIrregular(ValueError):
    """The zone's clocks follow no rule that can be written down; the message completes "the zone …"."""


def zone_rule(name: str) -> Mapping[str, object]:
    """Return the fields of the functions' Zone. Raises ZoneUnknown and ZoneIrregular."""
    if name not in known_zones():
        raise ZoneUnknown("is not in this machine's time zone database")
    found = _RULE.fullmatch(_last_line(name))
    if found is None or name in IRREGULAR:
        raise ZoneIrregular("changes its clocks by dates that follow no rule")
    return _zone(name, *found.groups())


@cache
def known_zones() -> frozenset[str]:
    """Return the names of all zones; the whole database is looked through, once."""
    return frozenset(zoneinfo.available_timezones())


def _zone(name: str, standard: str, summer: str | None, *changes: str | None) -> dict[str, object]:
    offset_s = -_seconds(standard)
    rule: dict[str, object] = {"name": name, "offset_s": offset_s}
    if changes[0] is None:
        return rule
    return {
        **rule,
        "summer_offset_s": offset_s + 3600 if summer is None else -_seconds(summer),
        "summer_begins": _change(*changes[:4]),
        "summer_ends": _change(*changes[4:]),
    }


def _change(month: str | None, week: str | None, weekday: str | None, at: str | None) -> dict[str, int]:
    assert month is not None and week is not None and weekday is not None, "the pattern has them together"  # noqa: PT018
    # POSIX's 0 is Sunday, which is the 7 of ISO 8601.
    at_s = CHANGE_AT_S if at is None else _seconds(at)
    return {"month": int(month), "week": int(week), "weekday": int(weekday) or 7, "at_s": at_s}


def _seconds(text: str) -> int:
    hours, minutes, seconds = (*(int(part) for part in text.lstrip("+-").split(":")), 0, 0)[:3]
    size_s = hours * 3600 + minutes * 60 + seconds
    return -size_s if text.startswith("-") else size_s


def _last_line(name: str) -> str:
    for folder in zoneinfo.TZPATH:
        file = Path(folder, name)
        if file.is_file():
            return file.read_bytes().rstrip(b"\n").rpartition(b"\n")[2].decode("ascii", "replace")
    packaged = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    return packaged.read_bytes().rstrip(b"\n").rpartition(b"\n")[2].decode("ascii", "replace")
