"""Machines that are not rented, and why: what was learned of them, and what the stack file says, which wins.

Ours alone, so every key is ours. As in the other rows no number is null: a time or an id that does not apply is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from functions.core.model import EndpointGroup
from functions.core.scaler_state import ScalerState

BY_OWNER: Final = "the blacklist of the stack file"


def machine_rows(group: EndpointGroup, state: ScalerState, *, now_s: float) -> list[dict[str, Any]]:
    """Return the machines as `POST /get_endpoint_machines/` tells them, what was learned first.

    `status` is `avoided` (until `until`, while there is any other), `allowed` (avoided, but for the stack file) or `blacklisted`.
    """
    return [*_learned(group, state, now_s=now_s), *_listed(group)]


def _learned(group: EndpointGroup, state: ScalerState, *, now_s: float) -> Iterator[dict[str, Any]]:
    for machine in state.avoided:
        if now_s < machine.until_s:
            yield {
                "machine_id": machine.machine_id,
                "host_id": machine.host_id,
                "status": "allowed" if machine.machine_id in group.blacklist.allow else "avoided",
                "fault": machine.fault,
                "reason": machine.reason,
                "worker_id": machine.worker_id,
                "since": machine.since_s,
                "until": machine.until_s,
            }


def _listed(group: EndpointGroup) -> Iterator[dict[str, Any]]:
    never = {"status": "blacklisted", "fault": "", "reason": BY_OWNER, "worker_id": "", "since": 0.0, "until": 0.0}
    yield from ({"machine_id": machine_id, "host_id": 0, **never} for machine_id in group.blacklist.machines)
    yield from ({"machine_id": 0, "host_id": host_id, **never} for host_id in group.blacklist.hosts)
