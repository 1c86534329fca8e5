"""Taking a body apart into ticket and payload."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.envelope import AUTH_BYTES_MAX, leading_auth, split
from protocol.ticket import TicketRejected, parse_ticket
from tests.protocol.test_ticket import SIGNATURE, TICKET

REPLY = {**TICKET.wire(SIGNATURE), "__request_id": "f9ce8cee"}


def test_a_nested_body_is_taken_apart() -> None:
    envelope = split({"auth_data": REPLY, "payload": {"inputs": "hi"}, "session_id": None})

    assert (envelope.auth, envelope.payload) == (REPLY, {"inputs": "hi"})


def test_a_nested_body_without_a_payload_asks_for_nothing() -> None:
    assert split({"auth_data": REPLY}).payload == {}


def test_a_flat_body_is_taken_apart() -> None:
    envelope = split({**REPLY, "inputs": "hi", "parameters": {"max_new_tokens": 5}})

    assert envelope.payload == {"inputs": "hi", "parameters": {"max_new_tokens": 5}}
    assert parse_ticket(envelope.auth) == (TICKET, SIGNATURE)


def test_what_is_nested_counts_before_what_is_flat() -> None:
    assert split({**REPLY, "auth_data": {"signature": "x"}}).auth == {"signature": "x"}


def test_a_body_without_any_ticket_is_refused() -> None:
    with pytest.raises(TicketRejected, match="missing_ticket"):
        split({"inputs": "hi"})


@pytest.mark.parametrize(
    "body", [{"auth_data": None}, {"auth_data": "x"}, {"auth_data": {}, "payload": []}, {"auth_data": [REPLY]}]
)
def test_a_nested_body_of_the_wrong_kind_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(TicketRejected, match="malformed_envelope"):
        split(body)


@pytest.mark.parametrize("text", ['{"auth_data": {"a": 1}, "payload": broken', ' {\n"auth_data":{"a":1}'])
def test_a_leading_ticket_is_read_alone(text: str) -> None:
    assert leading_auth(text.encode()) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"payload": {}, "auth_data": {}}', '{"auth_data": {"a": ' + '"x' * AUTH_BYTES_MAX, '{"auth_data": ' + "[" * 9999],
)
def test_a_ticket_that_does_not_lead_is_refused(text: str) -> None:
    with pytest.raises(TicketRejected, match="ticket_not_first"):
        leading_auth(text.encode())
