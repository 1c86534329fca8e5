"""Everything that one scaling decision may look at, as one value that travels as JSON.

`listing` is None when the marketplace could not be asked: nothing may then be concluded from an absence. `offers` holds the
autogroups that were searched successfully for this decision; for the others nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from functions.core.jsonable import decode, encode
from functions.core.model import Autogroup, EndpointGroup, Instance, Offer, WaitingRequest, Worker
from functions.core.scaler_state import ScalerState

OFFERS_MAX: Final = 64  # per autogroup, the first as the marketplace sorted them: enough to choose from, small in a record
RENT_CONFIRM_S: Final = 120.0
CREDIT_HOURS_MIN: Final = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The input of `decide`.

    `rent_confirm_s`: after how long a rent that the marketplace does not list is given up; `credit_hours_min`: for how many hours
    the account's credit should last. By autogroup: `secrets` is the digest of what its workers are born with that is secret,
    `updates` when it was asked last that they be replaced.
    """

    group: EndpointGroup
    autogroups: tuple[Autogroup, ...]
    workers: tuple[Worker, ...]
    waiting: tuple[WaitingRequest, ...]
    state: ScalerState
    listing: tuple[Instance, ...] | None
    offers: Mapping[str, tuple[Offer, ...]] = field(default_factory=dict)
    rent_confirm_s: float = RENT_CONFIRM_S
    credit_hours_min: float = CREDIT_HOURS_MIN
    secrets: Mapping[str, str] = field(default_factory=dict)
    updates: Mapping[str, float] = field(default_factory=dict)


def to_json(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return the JSON object of a decision record."""
    packed: Mapping[str, Any] = encode(snapshot)
    return packed


def from_json(data: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that a decision record holds. Raises jsonable.Undecodable."""
    return decode(Snapshot, data)
