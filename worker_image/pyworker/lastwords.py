"""A worker that cannot run says why, with nothing but Python itself.

What is broken may be the environment, a library, the port: whatever it is, an error must reach the control plane, since a container
that ends in silence is started again and again, and rented all the while. So this imports no HTTP library and needs no event loop,
and it goes on until it is told to stop.
"""

from __future__ import annotations

import http.client
import json
import logging
import secrets
import signal
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from protocol.report import REPORT_INTERVAL_IDLE_S, Phase, WorkerReport

if TYPE_CHECKING:
    from pyworker.settings import Identity

CALL_TIMEOUT_S: Final = 10.0

_log = logging.getLogger(__name__)


class CannotRun(Exception):
    """This worker cannot serve anybody; the message says why, and is fit for a report."""


def report_failure(identity: Identity, reason: str) -> None:
    """Report an error until SIGTERM or SIGINT. For the main thread."""
    stop, run_id, seq = threading.Event(), secrets.token_hex(8), 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    while not stop.is_set():
        seq += 1
        _send(identity, _report(identity, reason, run_id=run_id, seq=seq))
        stop.wait(REPORT_INTERVAL_IDLE_S)


def _report(identity: Identity, reason: str, *, run_id: str, seq: int) -> WorkerReport:
    return WorkerReport(
        worker_id=identity.worker_id,
        instance_id=identity.instance_id,
        run_id=run_id,
        seq=seq,
        phase=Phase.ERROR,
        url=identity.url,
        perf=0.0,
        slots=0,
        loadtime_s=0.0,
        received_load=0.0,
        finished_load=0.0,
        written_off_load=0.0,
        in_flight=0,
        finished_requests=0,
        failed_requests=0,
        error=reason,
    )


def _send(identity: Identity, report: WorkerReport) -> None:
    headers = {"Authorization": f"Bearer {identity.token}", "Content-Type": "application/json"}
    body = json.dumps(report.wire(identity.token)).encode()
    # `settings` has checked that the address is one of HTTP.
    request = urllib.request.Request(f"{identity.report_url}/worker_status/", data=body, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S):  # noqa: S310 - as above
            pass
    except urllib.error.HTTPError as exc:
        _log.warning("the error report was answered %s", exc.code)
    except (OSError, http.client.HTTPException) as exc:
        _log.warning("the error report was not taken: %s", type(exc).__name__)
