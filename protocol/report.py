"""What a worker tells the control plane, and what it hears back.

`POST /worker_status/` carries a `WorkerReport`. Counters are cumulative since the run began and never reset: a report that is
lost, repeated or late cannot corrupt anything, because the next one says everything again. `seq` orders the reports of one
run; `run_id` names the run (a restarted worker counts from zero under a new one).

Load is accounted once, at the worker, in three totals (all in load units, cost as the ticket states it):
`received_load` of tickets accepted, `finished_load` of those no longer in flight whatever their outcome, and
`written_off_load` of tickets assigned to this worker that expired without arriving (see `protocol.ticket`). Hence
`received_load - finished_load` is in flight, and router-assigned minus finished minus written off is the backlog.

Field names are Vast's where the meaning is the same (`id`, `mtoken`, `loadtime`, `max_perf`, `cur_load`, `error_msg`,
`num_requests_working`, `url`, `version`); the rest are ours. Three may be absent, and then they are not known: `cert_sha256` (plain
HTTP), `queue_depth` and `cache_use` (an inference server that does not tell them).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from protocol.fingerprint import is_fingerprint

REPORT_VERSION: Final = "headgate/1"
REPORT_BYTES_MAX: Final = 65_536
REPORT_INTERVAL_BUSY_S: Final = 2.0
REPORT_INTERVAL_IDLE_S: Final = 10.0
ERROR_LENGTH_MAX: Final = 512
TEXT_LENGTH_MAX: Final = 512
COUNTER_MAX: Final = 2**53
COMPLETIONS_MAX: Final = 100

_T = TypeVar("_T")


class MalformedReport(ValueError):
    """A field of the report is missing or of the wrong type; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class Phase(enum.StrEnum):
    """Where a worker's own start-up stands. The worker alone writes it."""

    STARTING = "starting"  # pyworker is up, the inference server is not yet seen
    LOADING = "loading"  # the server downloads or loads its model
    MEASURING = "measuring"  # the performance test runs
    READY = "ready"  # measured, healthy, serving
    DRAINING = "draining"  # finishes what it has, accepts nothing new
    ERROR = "error"  # cannot serve; `error` says why; sticky until the process restarts


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """One report. `perf` is measured load per second (0 until measured); `loadtime_s` is start to ready (0 until ready)."""

    worker_id: str
    instance_id: int
    run_id: str
    seq: int
    phase: Phase
    url: str
    perf: float
    slots: int
    loadtime_s: float
    received_load: float
    finished_load: float
    written_off_load: float
    in_flight: int
    finished_requests: int
    failed_requests: int
    error: str = ""
    perf_flags: tuple[str, ...] = ()
    cert_sha256: str = ""
    queue_depth: int | None = None  # requests that the inference server holds and has not begun
    cache_use: float | None = None  # 0 to 1: how full its key-value cache is

    def wire(self, token: str) -> dict[str, Any]:
        """Return the JSON object that travels; `token` is the worker's credential."""
        return {
            "id": self.instance_id,
            "mtoken": token,
            "version": REPORT_VERSION,
            "worker_id": self.worker_id,
            "run_id": self.run_id,
            "seq": self.seq,
            "phase": self.phase.value,
            "url": self.url,
            "max_perf": self.perf,
            "slots": self.slots,
            "loadtime": self.loadtime_s,
            "cur_load": max(0.0, self.received_load - self.finished_load),
            "received_load": self.received_load,
            "finished_load": self.finished_load,
            "written_off_load": self.written_off_load,
            "num_requests_working": self.in_flight,
            "finished_requests": self.finished_requests,
            "failed_requests": self.failed_requests,
            "error_msg": self.error,
            "perf_flags": list(self.perf_flags),
            "cert_sha256": self.cert_sha256,
            "queue_depth": self.queue_depth,
            "cache_use": self.cache_use,
        }

    @classmethod
    def parse(cls, wire: Mapping[str, Any]) -> Self:
        """Read a report. Raises MalformedReport naming the first bad field. Over-long errors are cut, not refused."""
        return cls(
            worker_id=_text(wire, "worker_id"),
            instance_id=_count(wire, "id"),
            run_id=_text(wire, "run_id"),
            seq=_count(wire, "seq"),
            phase=_phase(wire),
            url=_text(wire, "url", empty=True),
            perf=_amount(wire, "max_perf"),
            slots=_count(wire, "slots"),
            loadtime_s=_amount(wire, "loadtime"),
            received_load=_amount(wire, "received_load"),
            finished_load=_amount(wire, "finished_load"),
            written_off_load=_amount(wire, "written_off_load"),
            in_flight=_count(wire, "num_requests_working"),
            finished_requests=_count(wire, "finished_requests"),
            failed_requests=_count(wire, "failed_requests"),
            error=_sentence(wire, "error_msg"),
            perf_flags=_flags(wire),
            cert_sha256=_fingerprint(wire),
            queue_depth=None if wire.get("queue_depth") is None else _count(wire, "queue_depth"),
            cache_use=None if wire.get("cache_use") is None else min(1.0, _amount(wire, "cache_use")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAnswer:
    """What a report is answered: the router's clock, when to report next while busy, and whether to stop accepting.

    `peers_perf` is the median speed of workers like this one, in load per second; 0 where it is not known.
    """

    now_s: float
    report_interval_s: float = REPORT_INTERVAL_BUSY_S
    drain: bool = False
    peers_perf: float = 0.0

    def wire(self) -> dict[str, Any]:
        """Return the JSON object of the answer."""
        told = {"ok": True, "now_s": self.now_s, "report_interval_s": self.report_interval_s, "drain": self.drain}
        return {**told, "peers_perf": self.peers_perf} if self.peers_perf else told


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """Requests that one worker has served. `POST /delete_requests/`; at most COMPLETIONS_MAX a call; repeats are harmless.

    Vast's workers send as many as there are, and the same again until they are taken. Of theirs the first COMPLETIONS_MAX are
    acted upon; the records of the others are forgotten by their age.

    Entries that say `success: false` are left out: their client will ask again, and the router must remember who failed it.
    """

    request_idxs: tuple[int, ...]

    @classmethod
    def parse(cls, wire: Mapping[str, Any]) -> Self:
        """Read either form in use: `requests: [{request_idx, …}]` or `request_idxs: [int]`. Raises MalformedReport."""
        field = "requests" if "requests" in wire else "request_idxs"
        rows = _value(wire, field, list)
        if len(rows) > COMPLETIONS_MAX:
            raise MalformedReport(field, f"{len(rows)} entries; send at most {COMPLETIONS_MAX} a call")
        return cls(request_idxs=tuple(_served(rows, wire, field)))

    @classmethod
    def parse_any_number(cls, wire: Mapping[str, Any]) -> Self:
        """Read what one of Vast's workers sends, in either form. Raises MalformedReport."""
        field = "requests" if "requests" in wire else "request_idxs"
        return cls(request_idxs=tuple(_served(_value(wire, field, list), wire, field))[:COMPLETIONS_MAX])


def _served(rows: list[Any], wire: Mapping[str, Any], field: str) -> list[int]:
    idxs = [(_request_idx(row, field), _succeeded(row if isinstance(row, dict) else wire)) for row in rows]
    return [idx for idx, succeeded in idxs if succeeded]


def _request_idx(row: Any, field: str) -> int:
    value = row.get("request_idx") if isinstance(row, dict) else row
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < COUNTER_MAX:
        raise MalformedReport(field, "every entry needs a request_idx, a positive integer below 2**53")
    return value


def _succeeded(entry: Mapping[str, Any]) -> bool:
    return entry.get("success") is not False


def _value(wire: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = wire.get(name)
    if not isinstance(value, kind):
        raise MalformedReport(name, f"a {kind.__name__} is needed")
    return value


def _text(wire: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    value = _value(wire, name, str)
    if len(value) > TEXT_LENGTH_MAX or not (value or empty) or not value.isprintable():
        raise MalformedReport(name, f"1 to {TEXT_LENGTH_MAX} printable characters are needed")
    return value


def _sentence(wire: Mapping[str, Any], name: str) -> str:
    # Whatever a crashing server printed: half a surrogate pair is replaced, since no store would take it.
    return _value(wire, name, str)[:ERROR_LENGTH_MAX].encode(errors="replace").decode()


def _amount(wire: Mapping[str, Any], name: str) -> float:
    value = wire.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedReport(name, "a number is needed")
    if not 0 <= value <= COUNTER_MAX:  # false for NaN too
        raise MalformedReport(name, "a number from 0 to 2**53 is needed")
    return float(value)


def _count(wire: Mapping[str, Any], name: str) -> int:
    value = _amount(wire, name)
    if not value.is_integer():
        raise MalformedReport(name, "a whole number is needed")
    return int(value)


def _phase(wire: Mapping[str, Any]) -> Phase:
    try:
        return Phase(wire.get("phase", ""))
    except ValueError as exc:
        raise MalformedReport("phase", "one of " + ", ".join(Phase)) from exc


def _fingerprint(wire: Mapping[str, Any]) -> str:
    value = wire.get("cert_sha256", "")
    if not is_fingerprint(value):
        raise MalformedReport("cert_sha256", "64 lowercase hexadecimal digits are needed, or nothing")
    return str(value)


def _flags(wire: Mapping[str, Any]) -> tuple[str, ...]:
    flags = _value(wire, "perf_flags", list)
    if len(flags) > 16 or not all(isinstance(flag, str) and len(flag) <= 32 and flag.isprintable() for flag in flags):
        raise MalformedReport("perf_flags", "at most 16 strings of at most 32 printable characters are needed")
    return tuple(flags)
