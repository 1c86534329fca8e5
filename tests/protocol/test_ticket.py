"""The route ticket: every field is signed, every malformed one is refused, and it lives as long as it says."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ticket import (
    CLOCK_SKEW_S,
    TICKET_CONTEXT,
    TICKET_FIELDS,
    Ticket,
    TicketRejected,
    check_window,
    parse_ticket,
)

SIGNATURE = bytes(range(64))
TICKET = Ticket(
    url="http://203.0.113.7:40123",
    endpoint="chat",
    cost=242.0,
    reqnum=17,
    request_idx=4_503_599_627_370_497,
    worker_id="w0-abc",
    assigned_load=1_000.5,
    issued_at=1_900_000_000,
    expires_at=1_900_000_060,
    key_id="k1",
    cert_sha256="0f" * 32,
)
names = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=40)
loads = st.floats(min_value=0, max_value=2**53)
tickets = st.builds(
    lambda lifetime_s, **given: Ticket(**given, expires_at=given["issued_at"] + lifetime_s),
    lifetime_s=st.integers(0, 3_600),
    url=names,
    endpoint=names,
    cost=loads,
    reqnum=st.integers(0, 2**53),
    request_idx=st.integers(0, 2**53),
    worker_id=names,
    assigned_load=loads,
    issued_at=st.integers(0, 2**40),
    key_id=names,
    cert_sha256=st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(bytes.hex)),
)


def wire(**changes: Any) -> dict[str, Any]:
    """Return a ticket as it travels, some fields as given."""
    return {**TICKET.wire(SIGNATURE), **changes}


def test_a_ticket_travels_and_comes_back() -> None:
    assert parse_ticket(json.loads(json.dumps(wire()))) == (TICKET, SIGNATURE)


@given(tickets)
def test_any_ticket_travels_and_comes_back_signed_alike(ticket: Ticket) -> None:
    back, _ = parse_ticket(json.loads(json.dumps(ticket.wire(SIGNATURE))))

    assert back.signed_bytes() == ticket.signed_bytes()


def test_what_is_signed_is_fixed_for_ever() -> None:
    assert TICKET.signed_bytes() == (
        b'headgate-ticket-v1\n{"assigned_load":1000.5,'
        b'"cert_sha256":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",'
        b'"cost":242,"endpoint":"chat","expires_at":1900000060,'
        b'"issued_at":1900000000,"key_id":"k1","reqnum":17,"request_idx":4503599627370497,'
        b'"url":"http://203.0.113.7:40123","worker_id":"w0-abc"}'
    )


def test_what_is_signed_is_behind_a_context_of_its_own() -> None:
    assert TICKET.signed_bytes().startswith(TICKET_CONTEXT)


@pytest.mark.parametrize("name", [field.name for field in fields(Ticket)])
def test_every_field_is_signed(name: str) -> None:
    value = getattr(TICKET, name)
    altered: Any = value + "x" if isinstance(value, str) else value + 1

    assert replace(TICKET, **{name: altered}).signed_bytes() != TICKET.signed_bytes()


@given(tickets, tickets)
def test_two_tickets_are_signed_alike_only_if_they_are_alike(one: Ticket, other: Ticket) -> None:
    assert (one.signed_bytes() == other.signed_bytes()) == (asdict(one) == asdict(other))


def test_a_javascript_client_may_drop_the_point_of_an_integral_number() -> None:
    back, _ = parse_ticket(wire(cost=242, reqnum=17.0))

    assert back.signed_bytes() == TICKET.signed_bytes()


def test_fields_that_are_not_the_tickets_are_ignored() -> None:
    assert parse_ticket(wire(__request_id="x", status="y", inputs="z")) == (TICKET, SIGNATURE)


@pytest.mark.parametrize("name", sorted(TICKET_FIELDS))
def test_no_field_may_be_missing(name: str) -> None:
    incomplete = wire()
    del incomplete[name]

    with pytest.raises(TicketRejected, match="malformed_ticket"):
        parse_ticket(incomplete)


TEXT = ["url", "endpoint", "worker_id", "key_id"]
INTEGERS = ["reqnum", "request_idx", "issued_at", "expires_at"]
LOADS = ["cost", "assigned_load"]
NO_TEXT: list[Any] = [None, 7, "", "x" * 513, "a\nb", "\ud800", ["a"], {}]
NO_INTEGER: list[Any] = [None, "7", True, -1, 0.5, 2**53 + 1, 10**400, float("nan"), 1e300, []]
NO_LOAD: list[Any] = [None, "7", True, -1, -0.5, 2**54, 10**400, float("nan"), float("inf"), []]
MALFORMED: list[tuple[str, Any]] = [
    *((name, value) for name in TEXT for value in NO_TEXT),
    *((name, value) for name in INTEGERS for value in NO_INTEGER),
    *((name, value) for name in LOADS for value in NO_LOAD),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED, ids=[f"{name} {value!r:.12}" for name, value in MALFORMED])
def test_a_field_of_the_wrong_kind_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TicketRejected, match="malformed_ticket"):
        parse_ticket(wire(**{name: value}))


def test_a_ticket_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(TicketRejected):
        parse_ticket(wire(issued_at=11, expires_at=10))


CANONICAL = base64.b64encode(SIGNATURE).decode()
SIGNATURES: dict[str, Any] = {
    "none": None,
    "no text": 7,
    "empty": "",
    "short": base64.b64encode(SIGNATURE[:63]).decode(),
    "long": base64.b64encode(SIGNATURE + b"x").decode(),
    "without padding": CANONICAL.rstrip("="),
    "with a blank": CANONICAL + " ",
    "with a line break": CANONICAL[:44] + "\n" + CANONICAL[44:],
    "of the other alphabet": base64.urlsafe_b64encode(b"\xff" * 64).decode(),
    "with stray low bits": CANONICAL[:-3] + chr(ord(CANONICAL[-3]) + 1) + "==",
    "with letters beyond ASCII": "é" + CANONICAL[1:],
    "endless": "A" * 100_000,
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_signature_has_one_text(case: str) -> None:
    with pytest.raises(TicketRejected, match="malformed_ticket"):
        parse_ticket(wire(signature=SIGNATURES[case]))


@pytest.mark.parametrize("now_s", [TICKET.issued_at - CLOCK_SKEW_S, TICKET.issued_at, TICKET.expires_at + CLOCK_SKEW_S])
def test_a_ticket_is_good_for_its_lifetime_and_the_skew_of_clocks(now_s: float) -> None:
    check_window(TICKET, now_s=now_s)


@pytest.mark.parametrize(
    ("now_s", "reason"),
    [
        (TICKET.issued_at - CLOCK_SKEW_S - 0.1, "ticket_from_the_future"),
        (TICKET.expires_at + CLOCK_SKEW_S + 0.1, "expired_ticket"),
    ],
)
def test_outside_of_it_a_ticket_is_refused(now_s: float, reason: str) -> None:
    with pytest.raises(TicketRejected, match=reason):
        check_window(TICKET, now_s=now_s)
