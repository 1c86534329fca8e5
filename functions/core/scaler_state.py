"""What the scaler remembers of a group between ticks: demand seen, performance learned, machines to avoid.

Stored as one JSON attribute of the `SCALER` item, written by the scaler alone. Missing state is the empty state, and the empty
state never shrinks a fleet: what has not been observed is unknown, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPerf:
    """Measured performance of one autogroup on one GPU model: running mean over `samples` workers, load units per second."""

    perf: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Avoided:
    """A machine that failed us: not rented again before `until_s`."""

    machine_id: int
    until_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandSample:
    """Totals at one moment: load ever assigned and load waiting, for rates over a window."""

    at_s: float
    assigned_load: float
    waiting_load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerState:
    """Everything remembered. `learned` is keyed `<autogroup>|<gpu model>|<number of GPUs>`."""

    samples: tuple[DemandSample, ...] = ()
    learned: Mapping[str, LearnedPerf] = field(default_factory=dict)
    avoided: tuple[Avoided, ...] = ()
    last_demand_at_s: float | None = None  # None: not known, which is not "never"
    surplus_since_s: float | None = None  # since when capacity has exceeded the need without a break
    halted_until_s: float = 0.0  # no renting before: the marketplace refused, or an image fails everywhere
    halted_reason: str = ""
    retired_assigned_load: float = 0.0  # assigned load of workers that are gone, so that totals never fall
