"""What is wrong with what a schedule sets: the group as the schedule would have it is held to the group's own rules.

So a range, or a parameter that must fit another one, is written down once, and a schedule is told of it by its own key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infra.config_faults import Fault, fault_of, key_of
from infra.endpoint_settings import EndpointSettings
from infra.schedule_settings import CEILINGS, PHYSICAL_NAME_LENGTH_MAX, SETTABLE, physical_name


def schedule_faults(endpoint: str, document: Mapping[str, object]) -> Iterator[Fault]:
    """Yield the faults of a group's schedules, beside those of a schedule by itself, which the model finds."""
    schedules = document.get("schedules")
    for name, schedule in schedules.items() if isinstance(schedules, dict) else ():
        path = ("endpoints", endpoint, "schedules", name)
        if len(physical_name(endpoint, name)) > PHYSICAL_NAME_LENGTH_MAX:
            yield Fault(
                key=key_of(*path),
                fault=f"is too long a name together with {endpoint!r}: EventBridge takes {PHYSICAL_NAME_LENGTH_MAX} characters",
                remedy="Shorten it",
            )
        changes = schedule.get("set") if isinstance(schedule, dict) else None
        if isinstance(changes, dict):
            yield from _set_faults((*path, "set"), document, changes)


def _set_faults(path: tuple[str, ...], document: Mapping[str, object], changes: Mapping[str, object]) -> Iterator[Fault]:
    for name in (name for name in changes if name not in SETTABLE):
        known = name in EndpointSettings.model_fields
        yield Fault(
            key=key_of(*path, name),
            fault="cannot be changed by a schedule" if known else "is not a key that Headgate knows",
            remedy=f"A schedule may set {', '.join(SETTABLE)}",
        )
    settable = {name: value for name, value in changes.items() if name in SETTABLE}
    own = {error["loc"] for error in _errors(document)}
    for error in _errors({**document, **settable}):
        if error["loc"][0] in settable:
            yield fault_of({**error, "loc": (*path, *error["loc"])}, lambda _path: EndpointSettings)
        elif error["loc"] not in own:  # its own, but for what is set
            fault = fault_of(error, lambda _path: EndpointSettings)
            yield Fault(key=key_of(*path), fault=f"leaves a group whose {error['loc'][0]} {fault.fault}", remedy="Set that too")
    yield from _raised_ceilings(path, document, settable)


def _raised_ceilings(path: tuple[str, ...], document: Mapping[str, object], changes: Mapping[str, object]) -> Iterator[Fault]:
    for name in CEILINGS:
        most, wanted = document.get(name), changes.get(name)
        if isinstance(most, int | float) and isinstance(wanted, int | float) and wanted > most:
            yield Fault(
                key=key_of(*path, name),
                value=repr(wanted),
                fault=f"exceeds the group's own {name} ({most:g}), which holds at all times",
                remedy="Lower it, or raise the group's own and have a schedule lower it for the other hours",
            )


def _errors(document: Mapping[str, object]) -> list[ErrorDetails]:
    plain = {name: value for name, value in document.items() if name != "schedules" and value is not None}
    try:
        EndpointSettings.model_validate_json(json.dumps(plain))
    except ValidationError as invalid:
        return invalid.errors(include_url=False)
    return []
