"""When a schedule fired last, held against the time zone database and against looking at every minute."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.core.civil_time import Zone, first_epoch_s, offset_s
from functions.core.cron import Cron, last_fired_s
from functions.core.jsonable import decode
from infra.cron import cron_values
from infra.time_zone import IRREGULAR, known_zones, zone_rule

BERLIN = decode(Zone, dict(zone_rule("Europe/Berlin")))
UTC_ZONE = Zone()


def cron(text: str) -> Cron:
    """Return what the expression means, as `pulumi up` writes it."""
    return decode(Cron, {name: _listed(value) for name, value in cron_values(text).items()})


def _listed(value: object) -> object:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


def at(text: str, zone: str = "UTC") -> float:
    """Return the epoch seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()


def fired(expression: str, now: str, zone: Zone = UTC_ZONE) -> str | None:
    """Return the local time at which the expression fired last."""
    fired_s = last_fired_s(cron(expression), zone, now_s=at(now, zone.name))
    if fired_s is None:
        return None
    return datetime.fromtimestamp(fired_s, zoneinfo.ZoneInfo(zone.name)).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("expression", "now", "last"),
    [
        ("0 8 ? * MON-FRI *", "2026-11-22 12:00", "2026-11-20 08:00"),  # a Sunday
        ("0 8 ? * MON-FRI *", "2026-11-23 08:00", "2026-11-23 08:00"),
        ("0 8 ? * MON-FRI *", "2026-11-23 07:59:59", "2026-11-20 08:00"),
        ("0/15 * * * ? *", "2026-11-22 12:44", "2026-11-22 12:30"),
        ("5,50 9-17/4 * * ? *", "2026-11-22 17:49", "2026-11-22 17:05"),
        ("0 0 1 * ? *", "2026-11-22 12:00", "2026-11-01 00:00"),
        ("0 0 L * ? *", "2026-03-01 00:00", "2026-02-28 00:00"),
        ("0 0 29 2 ? *", "2026-11-22 12:00", "2024-02-29 00:00"),
        ("0 0 31 * ? *", "2026-11-22 12:00", "2026-10-31 00:00"),
        ("0 9 ? * 2#1 *", "2026-11-22 12:00", "2026-11-02 09:00"),  # the first Monday
        ("0 9 ? * FRI#5 *", "2026-11-22 12:00", "2026-10-30 09:00"),
        ("0 9 ? * 6L *", "2026-11-22 12:00", "2026-10-30 09:00"),  # the last Friday
        ("0 9 ? * L *", "2026-11-22 12:00", "2026-11-21 09:00"),  # Saturday
        ("0 9 15W * ? *", "2026-11-22 12:00", "2026-11-16 09:00"),  # the 15th is a Sunday
        ("0 9 1W * ? *", "2026-08-20 12:00", "2026-08-03 09:00"),  # the 1st is a Saturday, and July is another month
        ("0 9 LW * ? *", "2026-11-22 12:00", "2026-10-30 09:00"),  # the 31st is a Saturday
        ("30 6 24 12 ? 2025", "2026-11-22 12:00", "2025-12-24 06:30"),
        ("30 6 24 dec ? 2026-2028", "2026-11-22 12:00", None),
    ],
)
def test_the_last_time(expression: str, now: str, last: str | None) -> None:
    assert fired(expression, now) == last


def test_an_hour_that_the_clock_skips_is_skipped() -> None:
    assert fired("30 2 * * ? *", "2026-03-29 12:00", BERLIN) == "2026-03-28 02:30"


def test_an_hour_that_comes_twice_counts_the_first_time() -> None:
    first_s = at("2026-10-25 02:30", "Europe/Berlin")

    assert [last_fired_s(cron("30 2 * * ? *"), BERLIN, now_s=first_s + hours * 3600) for hours in (0, 1, 5)] == [first_s] * 3


REGULAR = sorted(known_zones() - IRREGULAR)


def differs(name: str, *, years: int, every_h: int) -> bool:
    """Tell whether the rule of a zone is not what its database says, in some years to come."""
    zone, known, begin = decode(Zone, dict(zone_rule(name))), zoneinfo.ZoneInfo(name), datetime(2027, 1, 1, tzinfo=UTC)
    moments = (begin + timedelta(hours=hours) for hours in range(0, years * 366 * 24, every_h))
    return any(moment.astimezone(known).utcoffset() != timedelta(seconds=offset_s(zone, moment.timestamp())) for moment in moments)


def test_every_zones_rule_is_what_its_database_says() -> None:
    assert [name for name in REGULAR if differs(name, years=4, every_h=24 * 21)] == []


def test_each_rule_changes_the_clock_when_its_database_does() -> None:
    one_of_each = {str({**zone_rule(name), "name": ""}): name for name in REGULAR}

    assert [name for name in one_of_each.values() if differs(name, years=1, every_h=5)] == []


FIELDS = st.tuples(
    st.sampled_from(["0", "30", "0/20", "*", "7,50"]),
    st.sampled_from(["*", "2", "8-18", "0/6"]),
    st.sampled_from([("*", "?"), ("?", "*"), ("?", "MON-FRI"), ("1,15", "?"), ("?", "SUN")]),
)


@settings(max_examples=40, deadline=None)
@given(
    fields=FIELDS,
    day=st.integers(min_value=-3, max_value=3),
    minute=st.integers(min_value=0, max_value=1_439),
    spring=st.booleans(),
)
def test_it_is_what_looking_at_every_minute_finds(
    fields: tuple[str, str, tuple[str, str]], day: int, minute: int, *, spring: bool
) -> None:
    minutes, hours, (days, weekdays) = fields
    expression = cron(f"{minutes} {hours} {days} * {weekdays} *")
    changes = datetime(2026, 3, 29, tzinfo=UTC) if spring else datetime(2026, 10, 25, tzinfo=UTC)
    now = changes + timedelta(days=day, minutes=minute)
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    found = next(
        (then for age in range(20 * 1_440) if _is_named(expression, then := (now - timedelta(minutes=age)).astimezone(berlin))),
        None,
    )

    assert last_fired_s(expression, BERLIN, now_s=now.timestamp()) == (None if found is None else found.timestamp())


def _is_named(expression: Cron, local: datetime) -> bool:
    return (
        local.fold == 0
        and (not expression.minutes or local.minute in expression.minutes)
        and (not expression.hours or local.hour in expression.hours)
        and (not expression.days or local.day in expression.days)
        and (not expression.weekdays or local.isoweekday() in dict(expression.weekdays))
    )


def test_a_time_that_the_clock_never_shows_has_no_moment() -> None:
    skipped_s = datetime(2026, 3, 29, 2, 30, tzinfo=UTC).timestamp()

    assert first_epoch_s(BERLIN, skipped_s) is None
