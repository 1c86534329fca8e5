"""The route ticket: permission for one client to put one request on one worker, once, before it expires.

The router issues it, the client carries it, the worker checks it. *Every* field is signed (Ed25519 over the canonical JSON,
behind a context string so that no other message of ours can ever be replayed as a ticket), hence nothing in it can be altered, and
it names the worker, so that it is useless on any other.

`assigned_load` is the running total of load ever assigned to the worker, this request included. It lets the worker account for
tickets that their clients never used: when ticket n arrives, the worker knows the total up to n; what it has not received of
that total once those tickets have expired can no longer arrive, and is *written off*. Without it, backlog lost to
clients that went away could only be discovered while the worker is idle.

`cert_sha256` is the fingerprint of the certificate that the worker made for itself and reported: the client pins it, so that TLS to
a rented machine needs no certificate authority. It is empty for a worker that serves plain HTTP.

Invariants: `issued_at <= expires_at`; `reqnum` grows by one a ticket per worker; `cost` is within COST_MIN..COST_MAX.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from protocol.canonical import canonical_bytes
from protocol.fingerprint import is_fingerprint

TICKET_CONTEXT: Final = b"headgate-ticket-v1\n"
CLOCK_SKEW_S: Final = 30
COST_MAX: Final = 1e9
# The router raises a smaller cost to this: only if every ticket adds to the totals do equal totals prove that all have arrived.
COST_MIN: Final = 1e-3
INTEGER_MAX: Final = 2**53  # beyond it a JavaScript client would alter the number it forwards
TEXT_LENGTH_MAX: Final = 512
SIGNATURE_BYTES: Final = 64


class TicketRejected(Exception):
    """The ticket does not entitle its bearer to this request; answer 401 with `reason`, a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One routed request. Times are whole epoch seconds; `cost` and `assigned_load` are load units."""

    url: str
    endpoint: str
    cost: float
    reqnum: int
    request_idx: int
    worker_id: str
    assigned_load: float
    issued_at: int
    expires_at: int
    key_id: str
    cert_sha256: str = ""

    def signed_bytes(self) -> bytes:
        """Return the exact bytes that the signature covers."""
        return TICKET_CONTEXT + canonical_bytes(self._fields())

    def wire(self, signature: bytes) -> dict[str, Any]:
        """Return the JSON object that travels: every field and the signature in base64."""
        return {**self._fields(), "signature": base64.b64encode(signature).decode()}

    def _fields(self) -> dict[str, Any]:
        # Every field, whatever is added later; `dataclasses.asdict` copies deeply, which nothing here needs.
        return {name: getattr(self, name) for name in _SIGNED_FIELDS}


_SIGNED_FIELDS: Final = tuple(field.name for field in fields(Ticket))
TICKET_FIELDS: Final = frozenset(_SIGNED_FIELDS) | {"signature"}


def parse_ticket(wire: Mapping[str, Any]) -> tuple[Ticket, bytes]:
    """Return the ticket and its raw signature. Raises TicketRejected("malformed_ticket").

    Fields that are not the ticket's are ignored (the reply of `/route/` also carries `__request_id`, and a flat envelope the
    request itself): they are not signed, so nothing may ever be read from them.
    """
    if not set(wire) >= TICKET_FIELDS:
        raise TicketRejected("malformed_ticket")
    ticket = Ticket(
        url=_text(wire["url"]),
        endpoint=_text(wire["endpoint"]),
        cost=_load(wire["cost"]),
        reqnum=_integer(wire["reqnum"]),
        request_idx=_integer(wire["request_idx"]),
        worker_id=_text(wire["worker_id"]),
        assigned_load=_load(wire["assigned_load"]),
        issued_at=_integer(wire["issued_at"]),
        expires_at=_integer(wire["expires_at"]),
        key_id=_text(wire["key_id"]),
        cert_sha256=_fingerprint(wire["cert_sha256"]),
    )
    if ticket.issued_at > ticket.expires_at:
        raise TicketRejected("malformed_ticket")
    return ticket, _signature(wire["signature"])


def check_window(ticket: Ticket, *, now_s: float) -> None:
    """Refuse a ticket outside its lifetime, tolerating CLOCK_SKEW_S between the router's clock and the worker's."""
    if now_s > ticket.expires_at + CLOCK_SKEW_S:
        raise TicketRejected("expired_ticket")
    if now_s < ticket.issued_at - CLOCK_SKEW_S:
        raise TicketRejected("ticket_from_the_future")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX or not value.isprintable():
        raise TicketRejected("malformed_ticket")
    return value


def _fingerprint(value: Any) -> str:
    if not is_fingerprint(value):
        raise TicketRejected("malformed_ticket")
    return str(value)


def _integer(value: Any) -> int:
    # A client in another language may forward 17 as 17.0; the canonical form is the same.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INTEGER_MAX:
        raise TicketRejected("malformed_ticket")
    return value


def _load(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TicketRejected("malformed_ticket")
    if not 0 <= value <= INTEGER_MAX:  # false for NaN too
        raise TicketRejected("malformed_ticket")
    return value


def _signature(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * SIGNATURE_BYTES:
        raise TicketRejected("malformed_ticket")
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise TicketRejected("malformed_ticket") from exc
    # The standard decoder ignores stray low bits of the last character: only the one canonical text is accepted.
    if len(raw) != SIGNATURE_BYTES or base64.b64encode(raw).decode() != value:
        raise TicketRejected("malformed_ticket")
    return raw
