"""The load on one of Vast's own workers, which tells what it holds and not what it has done with.

Our worker reports totals that only grow, so what routers gave to it and what it is done with can be subtracted. Vast's workers
report gauges and amounts since the last report, and never say which tickets have reached them. So the backlog is

    what the worker held at its last report  +  what was assigned since the report before that one

A ticket that was given out before the last report but one has had a whole interval between reports (a second while the worker
is busy) to arrive: it is in the gauge, or done with, or was never used. One that was given out after it may be in the gauge as
well, and then counts twice until the next report: the backlog is read too high by what arrives in one interval, not too low.
Nothing is summed up, so no report that is lost, repeated or late has an effect that outlasts the next one.

What this cannot tell is a client that takes longer than an interval to use its ticket: its load is unknown until it arrives, and
the worker's own limit stands behind it. Nor does it ever prove that every ticket has arrived: a drain waits until the last has
expired.
"""

from __future__ import annotations

from typing import Final

from functions.core.model import Worker
from protocol.vast_signature import VERSION_NONE, is_vast

# A worker of July 2024 without requests reports by chance, one second in ten: longer silences than this are rarer than machines.
SILENT_AFTER_S_2024: Final = 180.0


def tells_gauges(worker: Worker) -> bool:
    """Tell whether the worker is one of Vast's."""
    return is_vast(worker.condition.version)


def reports_by_chance(worker: Worker) -> bool:
    """Tell whether the worker may be of a generation that is silent for minutes although it is well."""
    return worker.condition.version == VERSION_NONE


def load_in_flight(worker: Worker) -> float:
    """Return what the worker held at its last report, in load units.

    A generation that tells only how many requests it holds holds as many times the mean cost of those it was ever given.
    """
    said, given = worker.condition, worker.assignments
    if said.in_flight_load is not None:
        return said.in_flight_load
    return said.in_flight * given.assigned_load / given.reqnum if given.reqnum else 0.0


def backlog_by_gauge(worker: Worker, *, nothing_on_its_way: bool) -> float:
    """Return the load that the worker still has before it, never negative."""
    held = load_in_flight(worker)
    on_its_way = worker.assignments.assigned_load - worker.condition.assigned_before_load
    return held if nothing_on_its_way else held + max(0.0, on_its_way)
