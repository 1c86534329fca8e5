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
from importlib.resources.abc import Traversable
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
    return _zone(name, *found.groups(default=""))


@cache
def known_zones() -> frozenset[str]:
    """Return the names of all zones; the whole database is looked through, once."""
    return frozenset(zoneinfo.available_timezones())


def _zone(name: str, standard: str, summer: str, *changes: str) -> dict[str, object]:
    """Return a zone from the parts of its rule, "" for what it leaves out; `changes` are month, week, weekday and time, twice."""
    offset_s = -_seconds(standard)
    rule: dict[str, object] = {"name": name, "offset_s": offset_s}
    if not changes[0]:
        return rule
    return {
        **rule,
        "summer_offset_s": -_seconds(summer) if summer else offset_s + 3600,
        "summer_begins": _change(*changes[:4]),
        "summer_ends": _change(*changes[4:]),
    }


def _change(month: str, week: str, weekday: str, at: str) -> dict[str, int]:
    at_s = _seconds(at) if at else CHANGE_AT_S
    # POSIX's 0 is Sunday, which is the 7 of ISO 8601.
    return {"month": int(month), "week": int(week), "weekday": int(weekday) or 7, "at_s": at_s}


def _seconds(text: str) -> int:
    hours, minutes, seconds = (*(int(part) for part in text.lstrip("+-").split(":")), 0, 0)[:3]
    size_s = hours * 3600 + minutes * 60 + seconds
    return -size_s if text.startswith("-") else size_s


def _last_line(name: str) -> str:
    return _file(name).read_bytes().rstrip(b"\n").rpartition(b"\n")[2].decode("ascii", "replace")


def _file(name: str) -> Traversable:
    for folder in zoneinfo.TZPATH:
        file = Path(folder, name)
        if file.is_file():
            return file
    # Where the system has no database, this package is what `zoneinfo` knows the name from.
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
