"""The worker's books: exact, replay-proof, and never waiting for load that cannot come."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ticket import CLOCK_SKEW_S, Ticket, TicketRejected, check_window
from pyworker.ledger import Ledger, Outcome

TTL_S: Final = 60
NOW_S: Final = 1_800_000_000


def ticket(reqnum: int, *, assigned_load: float, cost: float = 10, issued_at: int = NOW_S) -> Ticket:
    return Ticket(
        url="http://worker",
        endpoint="words",
        cost=cost,
        reqnum=reqnum,
        request_idx=1,
        worker_id="w0-a",
        assigned_load=assigned_load,
        issued_at=issued_at,
        expires_at=issued_at + TTL_S,
        key_id="k1",
    )


def test_an_admitted_request_is_received_and_in_flight() -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)

    totals = ledger.totals()
    assert (totals.received_load, totals.finished_load, totals.in_flight) == (10, 0, 1)


def test_a_finished_request_is_no_longer_in_flight() -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)
    ledger.finish(1, Outcome.SUCCESS)

    totals = ledger.totals()
    assert (totals.finished_load, totals.in_flight, totals.finished_requests) == (10, 0, 1)


@pytest.mark.parametrize(
    ("outcome", "failed"), [(Outcome.SUCCESS, 0), (Outcome.ERROR, 1), (Outcome.CANCELLED, 0), (Outcome.REJECTED, 0)]
)
def test_only_what_the_server_failed_is_a_failure(outcome: Outcome, failed: int) -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)
    ledger.finish(1, outcome)

    assert ledger.totals().failed_requests == failed


def test_to_finish_a_request_twice_is_a_bug() -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)
    ledger.finish(1, Outcome.SUCCESS)

    with pytest.raises(KeyError):
        ledger.finish(1, Outcome.SUCCESS)


def test_a_ticket_is_good_once() -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)
    ledger.finish(1, Outcome.SUCCESS)

    with pytest.raises(TicketRejected, match="replayed_ticket"):
        ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)


def test_a_replay_counts_nothing() -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)
    with pytest.raises(TicketRejected):
        ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)

    assert ledger.totals().received_load == 10


def test_tickets_may_arrive_in_any_order() -> None:
    ledger = Ledger()
    ledger.admit(ticket(3, assigned_load=30), now_s=NOW_S)
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)

    assert ledger.in_flight == 2


def test_load_that_may_still_arrive_is_not_written_off() -> None:
    ledger = Ledger()
    ledger.admit(ticket(3, assigned_load=30), now_s=NOW_S)
    ledger.settle(now_s=NOW_S + TTL_S + CLOCK_SKEW_S)

    assert ledger.totals().written_off_load == 0


def test_load_that_can_no_longer_arrive_is_written_off() -> None:
    """Of 30 assigned up to ticket 3, only its own 10 came."""
    ledger = Ledger()
    ledger.admit(ticket(3, assigned_load=30), now_s=NOW_S)
    ledger.settle(now_s=NOW_S + TTL_S + CLOCK_SKEW_S + 1)

    assert ledger.totals().written_off_load == 20


def test_load_of_an_earlier_run_is_written_off_with_the_first_ticket_that_expires() -> None:
    ledger = Ledger()
    ledger.admit(ticket(9_001, assigned_load=5_000_010), now_s=NOW_S)
    ledger.settle(now_s=NOW_S + 1000)

    assert ledger.totals().written_off_load == 5_000_000


def test_a_request_still_running_when_its_ticket_expires_is_not_written_off() -> None:
    ledger = Ledger()
    ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)
    ledger.settle(now_s=NOW_S + 1000)

    totals = ledger.totals()
    assert (totals.in_flight, totals.written_off_load) == (1, 0)


def test_what_was_written_off_cannot_arrive() -> None:
    ledger = Ledger()
    ledger.admit(ticket(3, assigned_load=30), now_s=NOW_S)
    ledger.settle(now_s=NOW_S + 1000)

    with pytest.raises(TicketRejected, match="expired_ticket"):
        ledger.admit(ticket(2, assigned_load=20), now_s=NOW_S + 1000)


def test_a_used_number_stays_refused_after_it_is_forgotten() -> None:
    ledger = Ledger()
    ledger.admit(ticket(3, assigned_load=30), now_s=NOW_S)
    ledger.settle(now_s=NOW_S + 1000)

    with pytest.raises(TicketRejected, match="expired_ticket"):
        ledger.admit(ticket(3, assigned_load=30), now_s=NOW_S + 1000)


def test_the_memory_of_numbers_is_bounded_and_fails_closed() -> None:
    ledger = Ledger(remembered_max=2)
    for reqnum in (1, 2, 3):
        ledger.admit(ticket(reqnum, assigned_load=10.0 * reqnum), now_s=NOW_S)

    with pytest.raises(TicketRejected, match="expired_ticket"):
        ledger.admit(ticket(1, assigned_load=10), now_s=NOW_S)


def test_tenths_add_up_to_wholes() -> None:
    ledger = Ledger()
    for reqnum in range(1, 1001):
        ledger.admit(ticket(reqnum, cost=0.1, assigned_load=float(Decimal("0.1") * reqnum)), now_s=NOW_S)

    assert ledger.totals().received_load == 100


@dataclasses.dataclass
class Router:
    """Assigns tickets as the router does: numbered, with the running total."""

    now_s: int = NOW_S
    total: Decimal = Decimal(0)
    tickets: list[Ticket] = dataclasses.field(default_factory=list)

    def assign(self, cost: Decimal) -> Ticket:
        """Give the worker one more request."""
        self.total += cost
        made = ticket(len(self.tickets) + 1, cost=float(cost), assigned_load=float(self.total), issued_at=self.now_s)
        self.tickets.append(made)
        return made


COSTS = st.decimals(min_value=0, max_value=1000, places=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), COSTS),
        st.tuples(st.just("arrive"), st.integers(0, 30)),
        st.tuples(st.just("finish"), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.integers(1, 50)),
    ),
    max_size=80,
)


class Life:
    """A worker's ledger driven by steps, with the plainest possible books beside it."""

    def __init__(self, remembered_max: int) -> None:
        self.router = Router()
        self.ledger = Ledger(remembered_max=remembered_max)
        self.received: dict[int, Decimal] = {}
        self.finished: set[int] = set()
        self.refused_in_time: list[int] = []

    def step(self, name: str, value: Decimal | int) -> None:
        """Let one thing happen; what cannot happen now does not."""
        if name == "assign":
            self.router.assign(Decimal(value))
        elif name == "pass":
            self.router.now_s += int(value)
            self.ledger.settle(now_s=self.router.now_s)
        elif name == "arrive" and value < len(self.router.tickets):
            self.arrive(self.router.tickets[int(value)])
        elif name == "finish":
            self.finish(int(value) + 1)

    def arrive(self, arriving: Ticket) -> None:
        """Put a ticket on the worker, as its client would."""
        try:
            check_window(arriving, now_s=self.router.now_s)
        except TicketRejected:
            return
        try:
            self.ledger.admit(arriving, now_s=self.router.now_s)
        except TicketRejected as exc:
            if exc.reason == "expired_ticket":
                self.refused_in_time.append(arriving.reqnum)
        else:
            assert arriving.reqnum not in self.received
            self.received[arriving.reqnum] = Decimal(repr(arriving.cost))

    def finish(self, reqnum: int) -> None:
        """End a request that runs."""
        if reqnum in self.received and reqnum not in self.finished:
            self.finished.add(reqnum)
            self.ledger.finish(reqnum, Outcome.SUCCESS)


@given(STEPS)
def test_the_books_agree_with_the_plainest_possible_ones(steps: list[tuple[str, Decimal | int]]) -> None:
    life = Life(remembered_max=10_000)
    for step in steps:
        life.step(*step)

    totals = life.ledger.totals()
    assert totals.received_load == float(sum(life.received.values(), Decimal(0)))
    assert totals.finished_load == float(sum((life.received[reqnum] for reqnum in life.finished), Decimal(0)))
    assert totals.in_flight == len(life.received) - len(life.finished)


@given(STEPS)
def test_a_ticket_in_its_lifetime_is_never_refused_as_expired(steps: list[tuple[str, Decimal | int]]) -> None:
    """With one lifetime for all, what the floor refuses the window has refused before."""
    life = Life(remembered_max=10_000)
    for step in steps:
        life.step(*step)

    assert life.refused_in_time == []


@given(STEPS, st.integers(1, 5))
def test_everything_assigned_is_in_the_end_received_or_written_off(
    steps: list[tuple[str, Decimal | int]], remembered_max: int
) -> None:
    """Also when the memory of numbers is far too small."""
    life = Life(remembered_max=remembered_max)
    for step in steps:
        life.step(*step)
    life.arrive(life.router.assign(Decimal(1)))
    life.step("pass", 10 * TTL_S)

    totals = life.ledger.totals()
    assert Decimal(repr(totals.received_load)) + Decimal(repr(totals.written_off_load)) == life.router.total


@given(STEPS)
def test_totals_never_shrink(steps: list[tuple[str, Decimal | int]]) -> None:
    life = Life(remembered_max=4)
    seen = [life.ledger.totals()]
    for step in steps:
        life.step(*step)
        seen.append(life.ledger.totals())

    for name in ("received_load", "finished_load", "written_off_load", "finished_requests"):
        values = [getattr(totals, name) for totals in seen]
        assert values == sorted(values)
