"""What a person should know of, because the scaler cannot mend it: a figure for each alarm, and a sentence for the record.

What is told without a figure that changes from tick to tick is recorded once, however long it lasts.

`budget_reached` and `no_offers` are found by `growing`, where they arise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from functions.core.credit import hours_left
from functions.core.lifecycle import WorkerState
from functions.core.model import Worker
from functions.core.scaler_state import ScalerState

# The marketplace removes an instance within seconds, and is asked again every few of them.
RELEASE_OVERDUE_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What to tell. What is unknown has no fact."""

    facts: Mapping[str, float]
    sentences: tuple[str, ...] = field(default=())


def attention(state: ScalerState, workers: Iterable[Worker], *, credit_hours_min: float, now_s: float) -> Attention:
    """Return what to tell of a group that the decision leaves in this state. Credit for fewer hours than that is low."""
    workers = tuple(workers)
    going = (worker for worker in workers if worker.rental.state is WorkerState.DESTROYING)
    overdue = [worker for worker in going if now_s - worker.rental.state_since_s > RELEASE_OVERDUE_S]
    hours = hours_left(state, workers, now_s=now_s)
    facts = {
        "halted_autogroups": float(sum(now_s < halt.until_s for halt in state.halted_autogroups.values())),
        "releases_unconfirmed": float(len(overdue)),
        **({} if hours is None else {"credit_hours": hours}),
    }
    low = () if hours is None or hours >= credit_hours_min else (_credit_is_low(hours),)
    return Attention(facts=facts, sentences=(*map(_unconfirmed, overdue), *low))


def _unconfirmed(worker: Worker) -> str:
    return f"The marketplace does not confirm that instance {worker.rental.instance_id} ({worker.worker_id}) is gone: it may bill."


def _credit_is_low(hours: float) -> str:
    return f"The account's credit lasts for less than {max(1, math.ceil(hours))} h at what is spent now."
