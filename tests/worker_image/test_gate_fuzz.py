"""Tickets as a stranger's hands leave them: cut, doubled, respelled, lengthened, and late or early to the second.

What is admitted is the ticket that was signed, whatever the bytes around it; all else is refused and counts nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canonical import MalformedJson
from protocol.ticket import CLOCK_SKEW_S, TICKET_FIELDS, TicketRejected
from pyworker.clock import RouterClock
from pyworker.gate import Gate
from pyworker.keys import KeyRing
from pyworker.ledger import Ledger
from tests.worker_image.control_plane import TTL_S, WORKER_ID, FakeControlPlane

BODY_MAX = 10_000
ISSUED_S = 1_790_000_000
AGE_S = 100_000.0


class Door:
    """A gate at a time that the test sets, of a run that began long ago."""

    def __init__(self, now_s: float = ISSUED_S) -> None:
        self.control_plane = FakeControlPlane()
        self.ledger = Ledger()
        starts = [now_s - AGE_S]
        clock = RouterClock(monotonic=lambda: starts.pop() if starts else now_s, wall=lambda: now_s - AGE_S)
        keys = KeyRing(self.control_plane.fetch_keys)
        self.gate = Gate(worker_id=WORKER_ID, keys=keys, ledger=self.ledger, clock=clock, body_bytes_max=BODY_MAX)
        self.ticket = self.control_plane.ticket(cost=7.5, issued_at=ISSUED_S, expires_at=ISSUED_S + TTL_S)
        self.good = self.control_plane.sign(self.ticket)

    def body(self, **changes: Any) -> bytes:
        """Return the request's bytes with some fields of the ticket changed."""
        return json.dumps({"auth_data": {**self.good, **changes}, "payload": {}}).encode()

    async def knock(self, body: bytes) -> str:
        """Return `admitted`, or why not."""
        try:
            admitted = await self.gate.admit(await self.gate.read(body))
        except MalformedJson:
            return "malformed_json"
        except TicketRejected as exc:
            return exc.reason
        assert admitted.ticket == self.ticket
        return "admitted"


# Time: half a minute of skew is tolerated at both ends, and no second more


@pytest.mark.parametrize("now_s", [ISSUED_S - CLOCK_SKEW_S, ISSUED_S + TTL_S + CLOCK_SKEW_S])
async def test_half_a_minute_of_skew_is_tolerated(now_s: float) -> None:
    door = Door(now_s)

    assert (CLOCK_SKEW_S, await door.knock(door.body())) == (30, "admitted")


@pytest.mark.parametrize(
    ("now_s", "reason"),
    [
        (ISSUED_S - CLOCK_SKEW_S - 0.001, "ticket_from_the_future"),
        (ISSUED_S + TTL_S + CLOCK_SKEW_S + 0.001, "expired_ticket"),
    ],
)
async def test_a_moment_more_is_not(now_s: float, reason: str) -> None:
    door = Door(now_s)

    assert await door.knock(door.body()) == reason


# The corpus


def _renamed(body: bytes) -> bytes:
    return body.replace(b'"cost"', b'"Cost"')


def _doubled(field: str) -> Callable[[bytes], bytes]:
    return lambda body: body.replace(f'"{field}":'.encode(), f'"{field}": 1, "{field}":'.encode(), 1)


CORPUS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _: b"", "malformed_json"),
    "cut in half": (lambda body: body[: len(body) // 2], "malformed_json"),
    "without its last byte": (lambda body: body[:-1], "malformed_json"),
    "twice": (lambda body: body + body, "malformed_json"),
    "with something behind": (lambda body: body + b"x", "malformed_json"),
    "behind a byte order mark": (lambda body: b"\xef\xbb\xbf" + body, "malformed_json"),
    "in UTF-16": (lambda body: body.decode().encode("utf-16"), "malformed_json"),
    "in Latin-1": (lambda body: body.replace(b'"words"', b'"w\xf6rds"'), "malformed_json"),
    "oversized by blanks": (lambda body: body + b" " * BODY_MAX, "malformed_json"),
    "oversized by a field": (
        lambda body: body.replace(b'"payload"', b'"x": "' + b"x" * BODY_MAX + b'", "payload"'),
        "malformed_json",
    ),
    "with NaN for a cost": (lambda body: body.replace(b'"cost": 7.5', b'"cost": NaN'), "malformed_json"),
    "with an endless cost": (lambda body: body.replace(b'"cost": 7.5', b'"cost": 1e999'), "malformed_ticket"),
    "with a cost of 5,000 digits": (lambda body: body.replace(b'"cost": 7.5', b'"cost": ' + b"7" * 5_000), "malformed_json"),
    "with a cost as text": (lambda body: body.replace(b'"cost": 7.5', b'"cost": "7.5"'), "malformed_ticket"),
    "with less cost": (lambda body: body.replace(b'"cost": 7.5', b'"cost": 7.4999999999'), "bad_signature"),
    "with a negative zero for a number": (lambda body: re.sub(rb'"reqnum": \d+', b'"reqnum": -1', body), "malformed_ticket"),
    "with a field under another name": (_renamed, "malformed_ticket"),
    "with an altered signature": (lambda body: re.sub(rb'("signature": ")(.)', rb"\1/", body), "bad_signature"),
    "with a signature of another alphabet": (lambda body: re.sub(rb'("signature": ")..', rb"\1-_", body), "malformed_ticket"),
    "with a signature without its padding": (lambda body: body.replace(b'=="', b'"'), "malformed_ticket"),
    "with a signature in two lines": (lambda body: re.sub(rb'("signature": ".{40})', rb"\1\\n", body), "malformed_ticket"),
    "with the ticket in a list": (
        lambda body: re.sub(rb'"auth_data": (\{[^}]*\})', rb'"auth_data": [\1]', body),
        "malformed_envelope",
    ),
    "with two tickets": (lambda body: re.sub(rb'("auth_data": \{[^}]*\})', rb"\1, \1", body), "malformed_json"),
    **{f"with {field} twice": (_doubled(field), "malformed_json") for field in sorted(TICKET_FIELDS)},
}


@pytest.mark.parametrize("case", CORPUS)
async def test_a_ticket_of_another_form_is_refused(case: str) -> None:
    change, reason = CORPUS[case]
    door = Door()
    body = change(door.body())

    assert body != door.body()
    assert await door.knock(body) == reason
    assert door.ledger.totals().received_load == 0


# Any other form


EDITS = st.tuples(
    st.sampled_from(["cut", "insert", "replace", "swap", "repeat"]), st.integers(0, 10_000), st.binary(min_size=1, max_size=3)
)


def edited(body: bytes, edit: tuple[str, int, bytes]) -> bytes:
    """Return the bytes after one edit somewhere."""
    kind, place, given_bytes = edit
    at = place % len(body)
    match kind:
        case "cut":
            return body[:at] + body[at + len(given_bytes) :]
        case "insert":
            return body[:at] + given_bytes + body[at:]
        case "replace":
            return body[:at] + given_bytes + body[at + len(given_bytes) :]
        case "swap":
            return body[:at] + body[at : at + 2][::-1] + body[at + 2 :]
        case _:
            return body[:at] + body[at : at + 8] + body[at:]


@given(st.lists(EDITS, min_size=1, max_size=3))
async def test_whatever_is_edited_only_the_signed_ticket_is_admitted(edits: list[tuple[str, int, bytes]]) -> None:
    door = Door()
    body = door.body()
    for edit in edits:
        body = edited(body, edit) if body else body
    outcome = await door.knock(body)

    assert door.ledger.totals().received_load == (7.5 if outcome == "admitted" else 0.0)


@given(st.integers(0, 10_000))
async def test_no_beginning_of_a_request_is_admitted(place: int) -> None:
    door = Door()
    body = door.body()

    assert await door.knock(body[: place % len(body)]) == "malformed_json"


@given(st.sampled_from(sorted(TICKET_FIELDS - {"signature"})), st.sampled_from(sorted(TICKET_FIELDS - {"signature"})))
async def test_fields_cannot_be_exchanged(one: str, other: str) -> None:
    door = Door()
    body = door.body(**{one: door.good[other], other: door.good[one]})
    same = door.good[one] == door.good[other]

    assert (await door.knock(body) == "admitted") is same


async def test_a_ticket_for_another_run_of_numbers_does_not_open_twice() -> None:
    door = Door()
    outcomes = [await door.knock(door.body()) for _ in range(3)]

    assert outcomes == ["admitted", "replayed_ticket", "replayed_ticket"]


async def test_blanks_and_order_are_no_part_of_a_ticket() -> None:
    door = Door()
    reversed_fields = dict(reversed(door.good.items()))

    assert await door.knock(json.dumps({"payload": {}, "auth_data": reversed_fields}, indent=4).encode()) == "admitted"
