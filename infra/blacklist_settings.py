"""Which machines and hosts are never rented, and which are whatever was learned of them.

The short form, a list of numbers, names machines. Written as a map it may also name hosts, which own machines, and machines that
are to be rented although the scaler avoids them for a while (`allow`).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from infra.config_faults import STRICT, refusal

LISTED_MAX: Final = 256

_Id = Annotated[int, Field(gt=0)]


class BlacklistSettings(BaseModel):
    """Ids as the marketplace shows them: `machine_id` and `host_id` of an offer."""

    model_config = STRICT

    machines: tuple[_Id, ...] = Field(
        default=(), max_length=LISTED_MAX, description=f"ids of machines never to rent, as a list of at most {LISTED_MAX} numbers"
    )
    hosts: tuple[_Id, ...] = Field(
        default=(), max_length=LISTED_MAX, description=f"ids of hosts never to rent from, as a list of at most {LISTED_MAX} numbers"
    )
    allow: tuple[_Id, ...] = Field(
        default=(), max_length=LISTED_MAX, description="ids of machines to rent although they failed, as a list of numbers"
    )

    @field_validator("allow")
    @classmethod
    def _not_both(cls, allowed: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if both := sorted(set(allowed) & set(info.data.get("machines", ()))):
            raise refusal(f"machine {both[0]} is in 'machines' too", "Remove it from one of them")
        return allowed


def spelled_out(given: object) -> object:
    """Return the map that a list of machines is short for. What has passed here is Python's, to which a list is no tuple."""
    if isinstance(given, list | tuple):
        return {"machines": tuple(given)}
    if isinstance(given, dict):
        return {key: tuple(ids) if isinstance(ids, list) else ids for key, ids in given.items()}
    return given
