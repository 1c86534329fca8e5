"""The three calls that a worker makes to the control plane, as functions of bytes and values; nothing is remembered here.

The token travels in a header and appears in no error and no log.

Errors, named for what the caller does next:

    ControlPlaneError
    ├── ControlPlaneBusy      no answer, 429 or 5xx: say it again later
    ├── WorkerDisowned        410: this worker does not exist any more; stop serving
    └── ReportRefused         another 4xx: it will be refused again as it stands; say so in the log, ask rarely
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from protocol.canonical import MalformedJson, parse_object
from protocol.report import REPORT_INTERVAL_BUSY_S, ReportAnswer, WorkerReport
from pyworker.keys import KeysUnavailable
from pyworker.settings import Identity

CALL_TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 65_536
REPORT_INTERVAL_MIN_S: Final = 0.2
REPORT_INTERVAL_MAX_S: Final = 60.0


class ControlPlaneError(Exception):
    """Root of what a call may raise."""


class ControlPlaneBusy(ControlPlaneError):
    """No answer to rely on."""


class WorkerDisowned(ControlPlaneError):
    """The control plane knows this worker no more."""


class ReportRefused(ControlPlaneError):
    """The control plane read the call and said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A request that its client will not ask for again: served, or given up by its client. `status` is an `Outcome`."""

    request_idx: int
    status: str


class ControlPlane:
    """The report function's URL and the credential for it. Use inside a running loop; `close` at the end."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def fetch_keys(self) -> bytes:
        """Return the body of `GET /pubkey/`. Raises KeysUnavailable."""
        try:
            # Without the header the answer is the key of another generation of workers.
            headers = {"Accept": "application/json"}
            async with self._session.get(f"{self._identity.report_url}/pubkey/", headers=headers) as reply:
                if reply.status != 200:
                    raise KeysUnavailable(f"/pubkey/ answered {reply.status}")
                return await reply.content.read(ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise KeysUnavailable(f"/pubkey/ did not answer: {type(exc).__name__}") from exc

    async def report(self, report: WorkerReport) -> ReportAnswer:
        """Send one report. Raises ControlPlaneError."""
        return _read_answer(await self._post("/worker_status/", report.wire(self._identity.token)))

    async def delete_requests(self, completions: Sequence[Completion]) -> None:
        """Tell of requests that have ended. Raises ControlPlaneError."""
        rows = [{"request_idx": row.request_idx, "success": True, "status": row.status} for row in completions]
        body = {"worker_id": self._identity.worker_id, "mtoken": self._identity.token, "requests": rows}
        await self._post("/delete_requests/", body)

    async def _post(self, path: str, body: dict[str, Any]) -> bytes:
        headers = {"Authorization": f"Bearer {self._identity.token}", "Content-Type": "application/json"}
        try:
            # aiohttp's own limit does not cover every await of a slow read, so the deadline stands here as well.
            async with (
                asyncio.timeout(CALL_TIMEOUT_S),
                self._session.post(self._identity.report_url + path, data=json.dumps(body).encode(), headers=headers) as reply,
            ):
                answer = await reply.content.read(ANSWER_BYTES_MAX)
                _check(path, reply.status, answer)
                return answer
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise ControlPlaneBusy(f"{path} did not answer: {type(exc).__name__}") from exc


def _check(path: str, status: int, answer: bytes) -> None:
    if 200 <= status < 300:
        return
    told = f"{path} answered {status} {_error_code(answer)}".rstrip()
    if status == 410:
        raise WorkerDisowned(told)
    if status == 429 or status >= 500:
        raise ControlPlaneBusy(told)
    raise ReportRefused(told)


def _error_code(answer: bytes) -> str:
    try:
        problem = parse_object(answer, size_max=ANSWER_BYTES_MAX)
    except MalformedJson:
        return ""
    return " ".join(str(problem[name])[:64] for name in ("error", "field") if name in problem)


def _read_answer(body: bytes) -> ReportAnswer:
    try:
        wire = parse_object(body, size_max=ANSWER_BYTES_MAX)
        now_s, interval_s = float(wire["now_s"]), float(wire.get("report_interval_s", REPORT_INTERVAL_BUSY_S))
        peers_perf = float(wire.get("peers_perf", 0.0))
    except (MalformedJson, KeyError, TypeError, ValueError) as exc:
        raise ControlPlaneBusy("the answer to a report could not be read") from exc
    if not all(map(math.isfinite, (now_s, interval_s, peers_perf))):
        raise ControlPlaneBusy("the answer to a report holds a number that is not finite")
    bounded_s = min(max(interval_s, REPORT_INTERVAL_MIN_S), REPORT_INTERVAL_MAX_S)
    return ReportAnswer(now_s=now_s, report_interval_s=bounded_s, drain=wire.get("drain") is True, peers_perf=peers_perf)
