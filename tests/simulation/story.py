"""What happened, as it is told to a person: who did what, what went wrong, what was decided and why.

A world that nobody watches tells nothing (`hears` is None), which costs nothing; faults are counted in any case, so that a test can
say which of them the first seeds meet.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


class Fault(enum.StrEnum):
    """Everything that goes wrong here, in the words of DESIGN section 5."""

    ANSWER_LOST = "answer lost"  # cut off or 5xx; the effect may have happened
    ANSWER_LOST_AFTER_SUCCESS = "answer lost after a success"
    TOO_LATE = "answer too late"
    RATE_LIMITED = "429"
    CRASH = "crash"
    SUSPENDED = "process suspended"
    TABLE_DOWN = "table does not answer"
    MEMORY_LOST = "memory lost"
    SCHEDULE_MISSING = "schedule event missing"
    SCHEDULE_LATE = "schedule event late"
    SCHEDULE_TWICE = "schedule event twice"
    TWO_SCALERS = "two scalers at once"
    OVERTAKEN = "removed while a scaler is at work"
    REPORT_LOST = "report lost"
    REPORT_LATE = "report late"
    REPORT_REPEATED = "report repeated"
    REPORTS_DOWN = "no report arrives"
    CLOCK_SKEWED = "clock skewed"
    LIST_LAGS = "list lags"
    LIST_EMPTY = "list empty"
    NEVER_READY = "machine never loads"
    DEAF = "port unreachable"
    LIES = "machine lies about perf"
    SLOW = "machine slower than offered"
    SILENT = "machine falls silent"
    COMES_BACK = "machine comes back"
    GONE = "machine vanishes"
    ENDS = "container ends by itself"
    OUTBID = "outbid"
    MISRENTED = "another machine than asked for"
    TICKET_UNUSED = "ticket never used"
    TICKET_REPLAYED = "ticket used twice"
    RESCHEDULED = "schedule changes parameters"
    CEILING_LOWERED = "schedule lowers a ceiling"
    STATE_SCHEDULED = "schedule stops, suspends or wakes the group"
    CHANGED = "autogroup changed"
    CHANGED_TO_BAD = "autogroup changed to what never serves"
    CHANGED_MIDWAY = "changed while an update was under way"
    UPDATE_ASKED = "update asked for"
    UPDATE_CALLED_OFF = "update called off"


class Kind(enum.StrEnum):
    """What a line of the story is about."""

    FAULT = "fault"
    CALL = "call"
    DECISION = "decision"
    WORKER = "worker"
    REQUEST = "request"
    PHASE = "phase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened; `at_s` counts from the beginning of the story."""

    at_s: float
    who: str
    kind: Kind
    text: str


@dataclass(slots=True)
class Story:
    """Tells each line to whoever hears, and counts the faults."""

    since_s: float
    now_s: Callable[[], float]
    hears: Callable[[Line], None] | None = None
    faults: Counter[Fault] = field(default_factory=Counter)

    def tell(self, who: str, kind: Kind, text: str) -> None:
        """Tell one line."""
        if self.hears is not None:
            self.hears(Line(at_s=round(self.now_s() - self.since_s, 3), who=who, kind=kind, text=text))

    def suffers(self, who: str, fault: Fault, text: str = "") -> None:
        """Count a fault, and tell it."""
        self.faults[fault] += 1
        if self.hears is not None:
            self.tell(who, Kind.FAULT, f"{fault}: {text}" if text else fault.value)
