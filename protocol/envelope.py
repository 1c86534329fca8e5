"""How a ticket and a request travel together in one body to the worker.

* nested: `{"auth_data": {…the whole reply of /route/…}, "payload": {…}}` (current clients; may hold more keys, among them the
  `session_id` of a request inside a session)
* flat: the ticket's fields beside the model's own (`{"signature": …, "inputs": …}`, the 2024 style)

`split` separates the two without judging either: the ticket is untrusted until its signature has been checked. `leading_auth` reads
the ticket alone, where the body begins with it, so that a large body need not be parsed for a stranger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.ticket import TICKET_FIELDS, TicketRejected

AUTH_BYTES_MAX: Final = 16_384
_LEADING_AUTH: Final = re.compile(rb'\s*\{\s*"auth_data"\s*:\s*')
_UNSIGNED_REPLY_FIELDS: Final = frozenset({"__request_id", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A body taken apart: `auth` is the untrusted ticket, `payload` what the model is asked, `session_id` empty outside one."""

    auth: Mapping[str, Any]
    payload: Mapping[str, Any]
    session_id: str = ""


def split(body: Mapping[str, Any]) -> Envelope:
    """Separate ticket and payload. Raises TicketRejected("missing_ticket") when there is no ticket at all."""
    if "auth_data" in body:
        return _nested(body)
    if "signature" not in body:
        raise TicketRejected("missing_ticket")
    auth = {key: value for key, value in body.items() if key in TICKET_FIELDS}
    payload = {key: value for key, value in body.items() if key not in TICKET_FIELDS | _UNSIGNED_REPLY_FIELDS}
    return Envelope(auth=auth, payload=payload)


def leading_auth(body: bytes) -> Mapping[str, Any]:
    """Return the `auth_data` that a body begins with, reading nothing after it. Raises TicketRejected("ticket_not_first")."""
    start = _LEADING_AUTH.match(body)
    text = body[start.end() : start.end() + AUTH_BYTES_MAX].decode(errors="replace") if start else ""
    try:
        auth, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as exc:
        raise TicketRejected("ticket_not_first") from exc
    if not isinstance(auth, dict):
        raise TicketRejected("malformed_envelope")
    return auth


def _nested(body: Mapping[str, Any]) -> Envelope:
    auth, payload, session_id = body["auth_data"], body.get("payload", {}), body.get("session_id") or ""
    if not isinstance(auth, dict) or not isinstance(payload, dict) or not isinstance(session_id, str):
        raise TicketRejected("malformed_envelope")
    return Envelope(auth=auth, payload=payload, session_id=session_id)
