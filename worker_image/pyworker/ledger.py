"""The worker's books: which tickets came, what load they brought, and what can no longer come.

Pure: time is an argument, and no method awaits, so that one event loop makes every step atomic.

Three totals that only grow (load units, exact decimals, so that a year of additions loses nothing):

* received: tickets admitted;
* finished: those of them no longer in flight, whatever their outcome;
* written off: load that routers assigned to this worker and that can no longer arrive.

*Write-off.* A ticket carries the worker's total of assigned load up to and including itself. Tickets are numbered in the order
of that total, so once ticket n has expired, everything up to n either came or never will:
`written_off(n) = assigned_load(n) - received of tickets 1..n`. The largest such n is the *floor*. Load assigned before this
run began is written off the same way, with the first ticket that expires.

*Replay.* A ticket is admitted if its number is above the floor and was not seen. So the memory of numbers is bounded by the tickets
of one lifetime, and where that is too many (TICKETS_REMEMBERED_MAX) the floor rises early: a late ticket is then refused, which
costs its client one detour, rather than a used one accepted. The same rule keeps the books exact: what was written off cannot
arrive.

Invariants: `finished <= received`; `written_off + received(numbers <= floor) == assigned_load(floor)`; a number is admitted once.
"""

from __future__ import annotations

import enum
import heapq
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from protocol.ticket import CLOCK_SKEW_S, Ticket, TicketRejected

TICKETS_REMEMBERED_MAX: Final = 65_536


class Outcome(enum.StrEnum):
    """How a request ended, in the words of `POST /delete_requests/`."""

    SUCCESS = "Success"
    ERROR = "Error"  # the inference server failed it
    CANCELLED = "Cancelled"  # the client went away
    REJECTED = "Rejected"  # admitted, but there was no room or no server for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The books at one moment. Loads in load units; counts since this run began."""

    received_load: float
    finished_load: float
    written_off_load: float
    in_flight: int
    finished_requests: int
    failed_requests: int


class Ledger:
    """Admit tickets, finish them, write off what expired."""

    def __init__(self, *, remembered_max: int = TICKETS_REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._in_flight: dict[int, Decimal] = {}
        # Admitted tickets above the floor: cost and running total by number; the heaps give the first number and the first expiry.
        self._above: dict[int, tuple[Decimal, Decimal]] = {}
        self._numbers: list[int] = []
        self._expiries: list[tuple[float, int]] = []
        self._floor = 0
        self._floor_total = Decimal(0)
        self._received = self._finished = self._written_off = Decimal(0)
        self._finished_requests = self._failed_requests = 0

    def admit(self, ticket: Ticket, *, now_s: float) -> None:
        """Count a verified ticket as received and in flight. Raises TicketRejected("replayed_ticket" or "expired_ticket")."""
        self.settle(now_s=now_s)
        if ticket.reqnum in self._above:
            raise TicketRejected("replayed_ticket")
        if ticket.reqnum <= self._floor:
            raise TicketRejected("expired_ticket")
        cost = _exact(ticket.cost)
        self._above[ticket.reqnum] = (cost, _exact(ticket.assigned_load))
        heapq.heappush(self._numbers, ticket.reqnum)
        heapq.heappush(self._expiries, (ticket.expires_at + CLOCK_SKEW_S, ticket.reqnum))
        self._in_flight[ticket.reqnum] = cost
        self._received += cost
        if len(self._above) > self._remembered_max:
            self._raise_floor(self._numbers[0])

    def finish(self, reqnum: int, outcome: Outcome) -> None:
        """Count a request as no longer in flight. To finish one twice, or one never admitted, is a bug (KeyError)."""
        self._finished += self._in_flight.pop(reqnum)
        self._finished_requests += 1
        self._failed_requests += outcome is Outcome.ERROR

    def settle(self, *, now_s: float) -> None:
        """Write off what can no longer arrive at `now_s`."""
        expired = 0
        while self._expiries and self._expiries[0][0] < now_s:
            expired = max(expired, heapq.heappop(self._expiries)[1])
        if expired > self._floor:
            self._raise_floor(expired)

    def totals(self) -> Totals:
        """Return the books as they stand; call `settle` first for an up-to-date write-off."""
        return Totals(
            received_load=float(self._received),
            finished_load=float(self._finished),
            written_off_load=float(self._written_off),
            in_flight=len(self._in_flight),
            finished_requests=self._finished_requests,
            failed_requests=self._failed_requests,
        )

    @property
    def in_flight(self) -> int:
        """How many admitted requests have not ended."""
        return len(self._in_flight)

    def _raise_floor(self, reqnum: int) -> None:
        received = Decimal(0)
        total = self._above[reqnum][1]
        while self._numbers and self._numbers[0] <= reqnum:
            received += self._above.pop(heapq.heappop(self._numbers))[0]
        # Never negative, even if a router's totals were once reset under us.
        self._written_off += max(Decimal(0), total - self._floor_total - received)
        self._floor, self._floor_total = reqnum, total


def _exact(amount: float) -> Decimal:
    # Through repr, as the table stores it: 0.1 is one tenth on both sides.
    return Decimal(repr(amount))
