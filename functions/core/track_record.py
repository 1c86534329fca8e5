"""How rents went: by autogroup, because an image may be broken, and by host, because a host that failed fails again.

Counts fade: when a record holds RECORDED_MAX boots it is halved, so that a host that mends its ways is believed after as many boots
again. The records of hosts are bounded; those that were met longest ago are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from functions.core.lead_time import is_restarted
from functions.core.model import Worker
from functions.core.scaler_state import BootRecord, ScalerState

RECORDED_MAX: Final = 40.0
HOSTS_MAX: Final = 200
_NEWEST_WEIGHT: Final = 0.2  # of the newest boot time or stay in their means


def with_boot(state: ScalerState, worker: Worker, *, ready: bool, now_s: float) -> ScalerState:
    """Return the state after a boot of this worker became ready, or failed. Of a start from cold only the outcome counts."""
    rental = worker.rental
    first = not is_restarted(worker)
    took_s = now_s - rental.created_at_s if ready and first else 0.0
    boots = _with_boot(state.boots, rental.autogroup, ready=ready, took_s=took_s, now_s=now_s)
    state = replace(state, boots=boots)
    if not rental.host_id:
        return state
    return replace(state, hosts=_with_boot(state.hosts, str(rental.host_id), ready=ready, took_s=took_s, now_s=now_s))


def with_stay(state: ScalerState, worker: Worker) -> ScalerState:
    """Return the state after a worker that had been measured was forgotten: how long it stayed, from its rent to its end."""
    stayed_s = worker.rental.state_since_s - worker.rental.created_at_s
    if worker.condition.perf <= 0 or stayed_s <= 0:
        return state
    return replace(state, stay_s=_mean(state.stay_s, stayed_s))


def _with_boot(
    records: Mapping[str, BootRecord], name: str, *, ready: bool, took_s: float, now_s: float
) -> Mapping[str, BootRecord]:
    before = records.get(name, BootRecord())
    kept = 0.5 if before.ready + before.failed >= RECORDED_MAX else 1.0
    after = BootRecord(
        ready=before.ready * kept + ready,
        failed=before.failed * kept + (not ready),
        boot_s=_mean(before.boot_s, took_s) if took_s > 0 else before.boot_s,
        at_s=now_s,
    )
    known = {**records, name: after}
    while len(known) > HOSTS_MAX:
        del known[min(known, key=lambda one: known[one].at_s)]
    return known


def _mean(before: float, newest: float) -> float:
    return before + _NEWEST_WEIGHT * (newest - before) if before > 0 else newest
