"""For how long the account's credit lasts: read a few times an hour, compared with what is spent.

Two figures say what is spent, and the higher one counts: what the group's own workers bill, and by how much the credit fell between
readings over at least an hour, in which everything else on the account is included. A payment in between begins a new span. The
marketplace books charges at its own pace, which is why a shorter span would see nothing and then too much.

A reading that failed is unknown, and so is an old one: neither is zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from functions.core.lifecycle import HELD, WorkerState
from functions.core.model import Worker
from functions.core.scaler_state import CreditReading, ScalerState

READ_EVERY_S: Final = 900.0
FRESH_S: Final = 2.5 * READ_EVERY_S  # one reading may fail
SPAN_S_MIN: Final = 3_600.0
READINGS_MAX: Final = 9  # two hours
HOURS_MAX: Final = 8_760.0  # a year: where nothing is spent it lasts for ever, which no metric can say
_HOUR_S: Final = 3_600.0


def is_due(state: ScalerState, *, now_s: float) -> bool:
    """Tell whether to read the credit now. A failed attempt counts too, so that it is not repeated at every look."""
    return now_s - state.credit_asked_at_s >= READ_EVERY_S


def after_reading(state: ScalerState, credit_micro_usd: int | None, *, now_s: float) -> ScalerState:
    """Return the state after the credit was asked for; None: there was no answer."""
    state = replace(state, credit_asked_at_s=now_s)
    if credit_micro_usd is None:
        return state
    paid_in = bool(state.credit) and credit_micro_usd > state.credit[-1].micro_usd
    before = () if paid_in else state.credit
    return replace(state, credit=(*before, CreditReading(at_s=now_s, micro_usd=credit_micro_usd))[-READINGS_MAX:])


def hours_left(state: ScalerState, workers: Iterable[Worker], *, now_s: float) -> float | None:
    """Return for how many hours the credit lasts at the present rate, at most HOURS_MAX; None if that is not known."""
    if not state.credit or now_s - state.credit[-1].at_s > FRESH_S:
        return None
    left_micro_usd = state.credit[-1].micro_usd
    if left_micro_usd <= 0:
        return 0.0
    spent = max(_billed_micro_usd_per_hour(workers), _measured_micro_usd_per_hour(state.credit))
    return min(HOURS_MAX, left_micro_usd / spent) if spent > 0 else HOURS_MAX


def _billed_micro_usd_per_hour(workers: Iterable[Worker]) -> float:
    held = (worker.rental for worker in workers if worker.rental.state in HELD)
    return sum(
        rental.stopped_micro_usd_per_hour if rental.state is WorkerState.STOPPED else rental.running_micro_usd_per_hour
        for rental in held
    )


def _measured_micro_usd_per_hour(readings: tuple[CreditReading, ...]) -> float:
    span_s = readings[-1].at_s - readings[0].at_s
    fell_micro_usd = readings[0].micro_usd - readings[-1].micro_usd
    return fell_micro_usd / span_s * _HOUR_S if span_s >= SPAN_S_MIN else 0.0
