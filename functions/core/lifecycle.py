"""The life of a worker as the scaler sees it: one state, one writer, one table of what may follow.

    RENTING ──▶ BOOTING ──▶ READY ──▶ DRAINING ──▶ STOPPING ──▶ STOPPED ──▶ STARTING ──▶ (BOOTING)
       │           │          │          │             │            │           │
       └───────────┴──────────┴──────────┴─────▶ DESTROYING ◀───────┴───────────┘
                                                     │
                                                 DESTROYED

*Intent before effect*: RENTING, STARTING, STOPPING and DESTROYING are written before the marketplace is called, and left only
when it has confirmed (or, for RENTING, when it is certain that nothing was rented). A worker costs money in every state but
DESTROYED, and RENTING counts as if it did, because the answer to a create may be lost.

The state is the scaler's alone. What the worker says of itself is `protocol.report.Phase`, another attribute with another
writer. A route needs both: READY here and `ready` there.
"""

from __future__ import annotations

import enum
from typing import Final


class WorkerState(enum.StrEnum):
    """Where a worker stands between intent and destruction."""

    RENTING = "renting"  # intent to create written; the marketplace has not confirmed
    BOOTING = "booting"  # rented or started; pulls, loads, measures
    READY = "ready"  # reported ready in this boot; may be routed to
    DRAINING = "draining"  # no new routes; finishes what it has
    STOPPING = "stopping"  # stop asked, not confirmed
    STOPPED = "stopped"  # cold: storage billed, quick to start
    STARTING = "starting"  # start asked, not confirmed; may be queued by the marketplace
    DESTROYING = "destroying"  # destroy asked, not confirmed
    DESTROYED = "destroyed"  # confirmed gone; kept as a tombstone so that a late answer is recognised


class IllegalTransition(AssertionError):
    """A bug: the plan asked for a step that the table does not allow."""


_S = WorkerState
NEXT: Final[dict[WorkerState, frozenset[WorkerState]]] = {
    _S.RENTING: frozenset({_S.BOOTING, _S.DESTROYING, _S.DESTROYED}),
    _S.BOOTING: frozenset({_S.READY, _S.DRAINING, _S.STOPPING, _S.DESTROYING, _S.DESTROYED}),
    _S.READY: frozenset({_S.DRAINING, _S.DESTROYING, _S.DESTROYED}),
    _S.DRAINING: frozenset({_S.READY, _S.STOPPING, _S.DESTROYING, _S.DESTROYED}),
    _S.STOPPING: frozenset({_S.STOPPED, _S.DESTROYING, _S.DESTROYED}),
    _S.STOPPED: frozenset({_S.STARTING, _S.DESTROYING, _S.DESTROYED}),
    _S.STARTING: frozenset({_S.BOOTING, _S.STOPPING, _S.DESTROYING, _S.DESTROYED}),
    _S.DESTROYING: frozenset({_S.DESTROYED}),
    _S.DESTROYED: frozenset(),
}

# Held by us on the marketplace, or possibly so: counts against max_workers and the budget.
HELD: Final = frozenset(_S) - {_S.DESTROYED}
# Billed for its GPU, or about to be.
RUNNING: Final = frozenset({_S.RENTING, _S.BOOTING, _S.READY, _S.DRAINING, _S.STOPPING, _S.STARTING})
# Capacity that will serve without another decision, and with what serves now.
COMING: Final = frozenset({_S.RENTING, _S.BOOTING, _S.STARTING})
COMING_OR_SERVING: Final = COMING | {_S.READY}


def check_transition(before: WorkerState, after: WorkerState) -> None:
    """Assert that `after` may follow `before`. Raises IllegalTransition."""
    if after not in NEXT[before]:
        raise IllegalTransition(f"{before} -> {after}")
