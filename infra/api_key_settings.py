"""A client's API keys, as a stack file describes them.

A client has one entry, and in it one key or, while one replaces another, several: `keys: [v2, v1 until 2026-12-01T12:00:00Z]`. The
first is the one that is given out; the others work on until they are removed, or until the moment that stands beside them. Scopes,
groups and limits are the client's, whatever number of keys it has.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, field_validator

from infra.config_faults import STRICT, refusal
from infra.endpoint_settings import NAME_LENGTH_MAX

KEYS_MAX: Final = 4  # the one given out, the one that it replaces, and as many again for who is in a hurry
RATE_MAX: Final = 1e9

_KEY: Final = re.compile(rf"([A-Za-z0-9][A-Za-z0-9_-]{{0,{NAME_LENGTH_MAX - 1}}})(?: until (\S+))?")


class KeyVersion(NamedTuple):
    """One key of a client. `expires_at_s` is in epoch seconds, None for one without an end."""

    name: str
    expires_at_s: float | None


def key_version(text: str) -> KeyVersion:
    """Return the key that an entry such as `v1 until 2026-12-01T12:00:00Z` describes. Raises the refusal of a validator."""
    spelled = _KEY.fullmatch(text)
    if spelled is None:
        raise refusal("is neither a name nor 'name until time'", "Write 'v1', or 'v1 until 2026-12-01T12:00:00Z'")
    name, until = spelled.groups()
    return KeyVersion(name, None if until is None else _moment(until))


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise refusal("ends at no moment that can be read", "Write the end as 2026-12-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise refusal("ends at a time without its zone", "Write a Z behind it for UTC, or the offset, as in +02:00")
    return moment.timestamp()


def _checked(text: str) -> str:
    key_version(text)
    return text


class ApiKeySettings(BaseModel):
    """Whom a client's API keys let in, for what, and how much."""

    model_config = STRICT

    endpoints: tuple[str, ...] = Field(min_length=1, description="the endpoint groups that the keys open, as a list of names")
    scopes: tuple[Literal["route", "read", "update"], ...] = Field(
        default=("route",), description="what the keys are for: route, read, update or several of them, as a list"
    )
    keys: tuple[Annotated[str, AfterValidator(_checked)], ...] = Field(
        default=("v1",), max_length=KEYS_MAX, description="the client's keys, the one to give out first, as a list"
    )
    requests_per_s: float | None = Field(
        default=None,
        gt=0,
        le=RATE_MAX,
        description="how many requests per second the client may send, above 0, or nothing for no limit",
    )
    load_per_s: float | None = Field(
        default=None,
        gt=0,
        le=RATE_MAX,
        description="how much load per second the client may send, above 0, or nothing for no limit",
    )

    @property
    def versions(self) -> tuple[KeyVersion, ...]:
        """The client's keys, the one to give out first."""
        return tuple(map(key_version, self.keys))

    # Not by `min_length`, which counts a faulty member as missing and adds a fault of its own.
    @field_validator("scopes", "keys")
    @classmethod
    def _some(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if not members:
            raise refusal("is empty", "Name at least one, or remove the line for the default")
        return members

    @field_validator("keys")
    @classmethod
    def _distinct(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        names = [key_version(text).name for text in keys]
        if len(set(names)) != len(names):
            raise refusal("names a key twice", "Give every key a name of its own; one that was removed should not come back")
        return keys
