"""Who may put a request on this worker: the bearer of a ticket that the control plane signed for it, once.

The order is the point. The body is read within limits and taken apart; the ticket's signature is checked before anything in it or
beside it is believed; then that it names this worker, is in its lifetime and was issued in this run; and last, its number is spent.
Only then is there a payload to speak of. A refusal counts nothing and changes nothing.

There is no way to switch this off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nacl.exceptions import BadSignatureError

from protocol.canonical import parse_object
from protocol.envelope import Envelope, leading_auth, split
from protocol.ticket import Ticket, TicketRejected, check_window, parse_ticket
from pyworker.clock import RouterClock
from pyworker.keys import KeyRing
from pyworker.ledger import Ledger

UNSIGNED_BYTES_MAX: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request whose ticket was good and is now spent: it is in flight until the ledger finishes it."""

    ticket: Ticket
    signature: bytes
    auth_data: Mapping[str, Any]  # the ticket as its bearer wrote it
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The one way in."""

    worker_id: str
    keys: KeyRing
    ledger: Ledger
    clock: RouterClock
    body_bytes_max: int

    async def read(self, body: bytes) -> Envelope:
        """Take a body apart, believing nothing in it. Raises MalformedJson (400) and TicketRejected (401).

        A large one is parsed only behind a good signature, which must come first in it: parsing holds up everybody.
        """
        if len(body) > UNSIGNED_BYTES_MAX:
            await self._check_signature(*parse_ticket(leading_auth(body)))
        return split(self.parse(body))

    def parse(self, body: bytes) -> dict[str, Any]:
        """Read a body as the JSON object that it must be. Raises MalformedJson."""
        return parse_object(body, size_max=self.body_bytes_max)

    async def admit(self, envelope: Envelope) -> Admitted:
        """Check and spend a request's ticket. Raises TicketRejected (401)."""
        ticket, signature = parse_ticket(envelope.auth)
        await self._check_signature(ticket, signature)
        if ticket.worker_id != self.worker_id:
            raise TicketRejected("wrong_worker")
        now_s = self.clock.now_s()
        check_window(ticket, now_s=now_s)
        if ticket.issued_at < self.clock.first_issue_s:
            raise TicketRejected("issued_before_start")
        self.ledger.admit(ticket, now_s=now_s)
        return Admitted(ticket=ticket, signature=signature, auth_data=envelope.auth, payload=envelope.payload)

    async def _check_signature(self, ticket: Ticket, signature: bytes) -> None:
        key = await self.keys.find(ticket.key_id)
        if key is None:
            raise TicketRejected("unknown_key")
        try:
            key.verify(ticket.signed_bytes(), signature)
        except BadSignatureError as exc:
            raise TicketRejected("bad_signature") from exc
