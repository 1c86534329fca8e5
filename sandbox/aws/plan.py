"""The values of a deployment: what is planned, what exists, what happens to it, what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Unknown:
    """Stands where a value is not known before the update."""

    def __repr__(self) -> str:
        return "<unknown until the update>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedResource:
    """A resource that the program wants.

    `inputs` are under their wire names (camelCase), with secrets unwrapped: `secret_inputs` names
    those. In a preview whatever comes from another resource is `UNKNOWN` where it stands, at any
    depth, and `is_known` is false. `dependencies` are URNs.
    """

    urn: str
    type: str
    name: str
    parent: str
    dependencies: frozenset[str]
    protect: bool
    retain: bool
    inputs: Mapping[str, Any] = field(repr=False)
    secret_inputs: frozenset[str]
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(PlannedResource):
    """A resource that exists, with the id and the outputs that the provider gave it."""

    id: str = field(repr=False)
    outputs: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOutput:
    """A value that the program exports; never in a repr, because it may be a secret."""

    value: Any = field(repr=False)
    is_secret: bool


class Step(StrEnum):
    """What happens to a resource."""

    PLANNED = "planned"
    CREATING = "creating"
    CREATED = "created"
    DELETING = "deleting"
    DELETED = "deleted"
    RETAINED = "retained"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEvent:
    """A step in the life of a resource, for a person to watch.

    `elapsed_s` says how long creating or deleting took, and is 0 for the other steps.
    """

    step: Step
    type: str
    name: str
    urn: str
    elapsed_s: float = 0.0
