"""From an HTTP request of a worker to its reply: path, token, body, use case, and every refusal as HTTP in one place.

A token in the `Authorization` header is checked before the body is looked at; only without that header is it taken from the body.
It may stand there as the password of a Basic header: that is how it comes from a worker that knows of no token, but whose
REPORT_ADDR has one before its host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from functions.adapters.function_url import STORE_UNAVAILABLE, HttpReply, HttpRequest, check_path, refusal
from functions.adapters.public_key_reply import PATH as PUBLIC_KEY_PATH
from functions.adapters.public_key_reply import public_key_reply
from functions.key_ports import PublicKeys
from functions.ports import StoreUnavailable
from functions.report.service import ReportPorts, authenticate, take_completions, take_report
from protocol.problem import RequestRefused
from protocol.report import REPORT_BYTES_MAX
from protocol.worker_token import WorkerIdentity

# Vast's workers send everything that has not got through yet in one body, a quarter of a kilobyte for each request.
BODY_BYTES_MAX: Final = 4 * REPORT_BYTES_MAX
PATHS: Final = {"/worker_status/": "POST", "/delete_requests/": "POST", PUBLIC_KEY_PATH: "GET"}


def answer(request: HttpRequest, *, ports: ReportPorts, public_keys: Callable[[], PublicKeys]) -> HttpReply:
    """Return the reply to any request. Raises nothing but bugs."""
    try:
        check_path(request, PATHS)
        if request.path == PUBLIC_KEY_PATH:
            return public_key_reply(request, public_keys())
        return _take(request, ports=ports)
    except RequestRefused as exc:
        return refusal(exc.problem)
    except StoreUnavailable:
        return refusal(STORE_UNAVAILABLE)


def _take(request: HttpRequest, *, ports: ReportPorts) -> HttpReply:
    sender, body = _authenticated_body(request, ports=ports)
    facts: dict[str, str | float] = {"endpoint": sender.endpoint, "worker_id": sender.worker_id}
    if request.path == "/worker_status/":
        taken = take_report(body, sender=sender, ports=ports)
        said: dict[str, str | float] = {"phase": taken.phase.value, "drain": taken.answer.drain}
        return HttpReply(status=200, body=taken.answer.wire(), outcome="reported", facts={**facts, **said})
    deleted = take_completions(body, sender=sender, ports=ports)
    return HttpReply(status=200, body={"ok": True, "deleted": deleted}, outcome="completed", facts={**facts, "deleted": deleted})


def _authenticated_body(request: HttpRequest, *, ports: ReportPorts) -> tuple[WorkerIdentity, dict[str, Any]]:
    token = request.bearer()
    if token is None:
        token = request.basic_password()
    sender = authenticate(token, ports=ports) if token is not None else None
    body = request.json_object(size_max=REPORT_BYTES_MAX if sender is not None else BODY_BYTES_MAX)
    if sender is None:
        in_body = body.get("mtoken")
        sender = authenticate(in_body if isinstance(in_body, str) else None, ports=ports)
    return sender, body
