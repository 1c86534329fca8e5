"""What will happen when: a heap of typed events, so that a quiet week costs nothing to simulate.

Events are values, not callbacks: a world can be printed, and two runs of one seed compared event by event. Events of the same
microsecond come out in the order they went in.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from sandbox.marketplace.faults import Fate
from sandbox.marketplace.ledger import Tariff
from sandbox.marketplace.lifecycle import Event


@dataclass(frozen=True, slots=True)
class HostSays:
    """A host reports about a container; void when the contract has moved on since (`epoch` differs)."""

    contract_id: int
    epoch: int
    event: Event


@dataclass(frozen=True, slots=True)
class FateStrikes:
    """What was drawn for this contract at its creation comes true."""

    contract_id: int
    fate: Fate


@dataclass(frozen=True, slots=True)
class MachineReturns:
    """A machine that was silent or offline is heard again; void when another outage came in between (`outage` differs)."""

    machine_id: int
    outage: int


@dataclass(frozen=True, slots=True)
class RivalBids:
    """Somebody bids for what this contract holds; void when it lost its GPUs since (`stint` differs)."""

    contract_id: int
    stint: int


@dataclass(frozen=True, slots=True)
class TermEnds:
    """The date is reached until which the host promised the machine; void when the contract was extended meanwhile."""

    contract_id: int


@dataclass(frozen=True, slots=True)
class PriceRises:
    """The date from which an accepted price increase holds."""

    contract_id: int
    tariff: Tariff


@dataclass(frozen=True, slots=True)
class CreditEnds:
    """The account's credit is used up, unless its forecast changed since (`forecast` differs)."""

    forecast: int


@dataclass(frozen=True, slots=True)
class RivalArrives:
    """Somebody else looks for a machine, and takes an offer of this one."""

    machine_id: int


@dataclass(frozen=True, slots=True)
class RivalLeaves:
    """Somebody else gives GPUs back; void when they were lost to a higher bid."""

    machine_id: int
    hold: int


@dataclass(frozen=True, slots=True)
class HostReprices:
    """A host changes its price; contracts that exist keep theirs."""

    machine_id: int


@dataclass(frozen=True, slots=True)
class HostRenews:
    """A host's promise runs out and it promises anew; contracts that exist keep their date."""

    machine_id: int


DueToContract = FateStrikes | RivalBids | TermEnds | PriceRises
DueToMachine = MachineReturns | RivalArrives | RivalLeaves | HostReprices | HostRenews
Due = HostSays | DueToContract | DueToMachine | CreditEnds


@dataclass(slots=True)
class Agenda:
    """The heap."""

    _heap: list[tuple[int, int, Due]] = field(default_factory=list)
    _sequence: int = 0

    def put(self, at_us: int, due: Due) -> None:
        """Let `due` happen at `at_us`."""
        self._sequence += 1
        heapq.heappush(self._heap, (at_us, self._sequence, due))

    def drop(self, kind: type[Due]) -> None:
        """Forget every event of this kind."""
        self._heap = [each for each in self._heap if not isinstance(each[2], kind)]
        heapq.heapify(self._heap)

    def next_us(self) -> int | None:
        """Return when the next event is due, None if there is none."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_us: int) -> tuple[int, Due] | None:
        """Remove and return the earliest event that is due at `now_us`, with its own time."""
        if not self._heap or self._heap[0][0] > now_us:
            return None
        at_us, _, due = heapq.heappop(self._heap)
        return at_us, due
