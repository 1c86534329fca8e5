"""Which of a group's parameters hold now: those of the stack file, changed by the schedules that fired last.

What holds is a function of the schedules and the time. Nothing is remembered of an event, so none can be lost, come twice or out of
order, and nothing has to be undone: an event is the call to look. It follows that

* at a deployment what holds is what would hold had the schedules always been there;
* a parameter that several schedules set has the value of the one that fired last, and after its end that of the one before (of two
  that fired in the same minute, the name that sorts last wins);
* a parameter that no schedule holds has the group's own value, so removing a schedule ends what it set;
* an event that comes late, or never, costs the time until the next look: a minute.

The ceilings that the group declares hold at all times: a schedule can lower them and never raise them. So does its state: a group
that its owner has stopped is not woken by a schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from functions.core.civil_time import Zone, day_of, midnight_s, offset_s
from functions.core.cron import last_fired_s
from functions.core.model import EndpointGroup, EndpointState, Schedule, ScheduledParameters
from functions.core.pricing import MICRO_USD_PER_USD

CEILINGS: Final = ("max_workers", "max_hourly_cost_micro_usd")
_LEAST_FIRST: Final = (EndpointState.STOPPED, EndpointState.SUSPENDED, EndpointState.ACTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One schedule that holds now: since when, until when (None: until another sets the same), and which parameters are its."""

    name: str
    zone: Zone
    since_s: float
    until_s: float | None
    sets: Mapping[str, Any]

    @property
    def sentence(self) -> str:
        """Say it the same way at every look, so that it is recorded once."""
        end = "" if self.until_s is None else f" until {_shown(self.until_s, self.zone)}"
        told = ", ".join(_told(name, value) for name, value in self.sets.items())
        return f"Schedule {self.name} holds since {_shown(self.since_s, self.zone)}{end} ({self.zone.name}): {told}."


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The parameters of a group at one moment. `declared` is the group as the stack file has it, `group` as it is now."""

    declared: EndpointGroup
    group: EndpointGroup
    holdings: tuple[Holding, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say which schedules hold."""
        return tuple(holding.sentence for holding in self.holdings)


def in_force(group: EndpointGroup, *, now_s: float) -> InForce:
    """Return the group's parameters as they are now."""
    if not group.schedules:
        return InForce(declared=group, group=group)
    fired = sorted(_fired(group, now_s=now_s))
    # A later one takes over what it sets from those before it.
    holders = {parameter: name for _, name in fired for parameter in _sets(group.schedules[name])}
    now = {parameter: _bounded(group, parameter, _sets(group.schedules[name])[parameter]) for parameter, name in holders.items()}
    holdings = tuple(
        _holding(group.schedules[name], name, since_s, {each: now[each] for each, holder in holders.items() if holder == name})
        for since_s, name in fired
        if name in holders.values()
    )
    numbers = {f"scheduled_{name}": float(value) for name, value in now.items() if not isinstance(value, EndpointState)}
    return InForce(
        declared=group,
        group=replace(group, **now),
        holdings=holdings,
        facts={"schedules_in_force": float(len(holdings)), **numbers},
    )


def _fired(group: EndpointGroup, *, now_s: float) -> Iterator[tuple[float, str]]:
    for name, schedule in group.schedules.items():
        since_s = last_fired_s(schedule.cron, schedule.zone, now_s=now_s)
        if since_s is not None and (schedule.for_s is None or now_s < since_s + schedule.for_s):
            yield since_s, name


def _sets(schedule: Schedule) -> dict[str, Any]:
    values = {each.name: getattr(schedule.sets, each.name) for each in fields(ScheduledParameters)}
    return {name: value for name, value in values.items() if value is not None}


def _bounded(group: EndpointGroup, parameter: str, value: Any) -> Any:
    if isinstance(value, EndpointState):
        return min(value, group.endpoint_state, key=_LEAST_FIRST.index)
    return min(value, getattr(group, parameter)) if parameter in CEILINGS else value


def _holding(schedule: Schedule, name: str, since_s: float, sets: Mapping[str, Any]) -> Holding:
    until_s = None if schedule.for_s is None else since_s + schedule.for_s
    return Holding(name=name, zone=schedule.zone, since_s=since_s, until_s=until_s, sets=sets)


def _shown(at_s: float, zone: Zone) -> str:
    local_s = at_s + offset_s(zone, at_s)
    day = day_of(local_s)
    minute = int(local_s - midnight_s(day)) // 60
    return f"{day.isoformat()} {minute // 60:02d}:{minute % 60:02d}"


def _told(name: str, value: Any) -> str:
    if name == "max_hourly_cost_micro_usd":
        return f"max_hourly_cost_usd {value / MICRO_USD_PER_USD:g}"
    return f"{name} {value}" if isinstance(value, EndpointState) else f"{name} {value:g}"
