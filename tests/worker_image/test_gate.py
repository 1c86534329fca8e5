"""What gets in: a ticket signed for this worker, in its time, once. Everything else counts nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from protocol.canonical import MalformedJson
from protocol.ticket import TICKET_FIELDS, TicketRejected
from pyworker.gate import UNSIGNED_BYTES_MAX, Gate
from pyworker.keys import KeyRing
from pyworker.ledger import Ledger
from tests.worker_image.clocks import aged_clock
from tests.worker_image.control_plane import TTL_S, WORKER_ID, FakeControlPlane

BODY_MAX = 10_000


class Door:
    """A gate whose run began an hour ago, and the control plane that signs for it."""

    def __init__(self, *, body_bytes_max: int = BODY_MAX) -> None:
        self.control_plane = FakeControlPlane()
        self.ledger = Ledger()
        keys = KeyRing(self.control_plane.fetch_keys)
        self.gate = Gate(worker_id=WORKER_ID, keys=keys, ledger=self.ledger, clock=aged_clock(), body_bytes_max=body_bytes_max)

    async def knock(self, body: Any) -> None:
        """Send a request."""
        await self.gate.admit(await self.gate.read(body if isinstance(body, bytes) else json.dumps(body).encode()))

    async def refusal(self, body: Any) -> str:
        """Send a request that must be refused and count nothing; return why it was."""
        with pytest.raises(TicketRejected) as refused:
            await self.knock(body)
        assert self.ledger.totals().received_load == 0
        return refused.value.reason


async def test_a_good_ticket_opens_and_its_cost_is_counted() -> None:
    door = Door()
    await door.knock(door.control_plane.body({"inputs": "hi"}, cost=7))

    assert door.ledger.totals().received_load == 7


async def test_the_payload_is_what_was_sent_beside_the_ticket() -> None:
    door = Door()
    body = json.dumps(door.control_plane.body({"inputs": "hi"})).encode()
    admitted = await door.gate.admit(await door.gate.read(body))

    assert admitted.payload == {"inputs": "hi"}


async def test_the_flat_form_is_accepted_too() -> None:
    door = Door()
    ticket = door.control_plane.sign(door.control_plane.ticket())
    admitted = await door.gate.admit(await door.gate.read(json.dumps({**ticket, "inputs": "hi"}).encode()))

    assert admitted.payload == {"inputs": "hi"}


@pytest.mark.parametrize("field", sorted(TICKET_FIELDS - {"signature", "key_id"}))
async def test_no_field_of_a_ticket_can_be_altered(field: str) -> None:
    door = Door()
    body = door.control_plane.body({})
    value = body["auth_data"][field]
    altered = "0f" * 32 if field == "cert_sha256" else value - 1 if isinstance(value, int | float) else value + "x"
    body["auth_data"][field] = altered

    assert await door.refusal(body) == "bad_signature"


@pytest.mark.parametrize("field", sorted(TICKET_FIELDS))
async def test_no_field_of_a_ticket_can_be_left_out(field: str) -> None:
    door = Door()
    body = door.control_plane.body({})
    del body["auth_data"][field]

    assert await door.refusal(body) == "malformed_ticket"


async def test_a_ticket_signed_with_another_key_is_forged() -> None:
    door = Door()
    ticket = door.control_plane.ticket()
    forged = ticket.wire(SigningKey.generate().sign(ticket.signed_bytes()).signature)

    assert await door.refusal({"auth_data": forged, "payload": {}}) == "bad_signature"


async def test_a_key_that_nobody_serves_is_unknown() -> None:
    door = Door()

    assert await door.refusal(door.control_plane.body({}, key_id="k9")) == "unknown_key"


async def test_a_ticket_for_another_worker_is_refused() -> None:
    door = Door()

    assert await door.refusal(door.control_plane.body({}, worker_id="w0-another")) == "wrong_worker"


async def test_an_expired_ticket_is_refused() -> None:
    door = Door()
    issued_at = int(time.time()) - 600

    assert await door.refusal(door.control_plane.body({}, issued_at=issued_at, expires_at=issued_at + TTL_S)) == "expired_ticket"


async def test_a_ticket_from_the_future_is_refused() -> None:
    door = Door()
    issued_at = int(time.time()) + 600

    reason = await door.refusal(door.control_plane.body({}, issued_at=issued_at, expires_at=issued_at + TTL_S))
    assert reason == "ticket_from_the_future"


async def test_a_ticket_issued_before_this_run_is_refused() -> None:
    door = Door()
    issued_at = int(time.time()) - 7200

    reason = await door.refusal(door.control_plane.body({}, issued_at=issued_at, expires_at=issued_at + 100_000))
    assert reason == "issued_before_start"


async def test_a_replayed_ticket_is_refused() -> None:
    door = Door()
    body = door.control_plane.body({})
    await door.knock(body)

    with pytest.raises(TicketRejected, match="replayed_ticket"):
        await door.knock(body)


async def test_a_request_without_a_ticket_is_refused() -> None:
    door = Door()

    assert await door.refusal({"inputs": "hi"}) == "missing_ticket"


@pytest.mark.parametrize("body", [{"auth_data": 5}, {"auth_data": None}, {"auth_data": {}, "payload": []}])
async def test_an_envelope_of_another_shape_is_refused(body: dict[str, Any]) -> None:
    door = Door()

    assert await door.refusal(body) in {"malformed_envelope", "malformed_ticket"}


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"{" * 50_000, b'"' + b"x" * BODY_MAX])
async def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    door = Door()

    with pytest.raises(MalformedJson):
        await door.knock(body)


ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "\ud800", "é" * 600, "k1", "=" * 88, "A" * 88, [], {}, [[]], 10**400]),
)


@given(st.dictionaries(st.sampled_from(sorted(TICKET_FIELDS)), ODD_VALUES, min_size=1, max_size=11))
async def test_whatever_a_stranger_makes_of_a_ticket_the_answer_is_a_refusal(fields: dict[str, Any]) -> None:
    door = Door()
    good = door.control_plane.sign(door.control_plane.ticket())
    altered = {**good, **fields}
    body = json.dumps({"auth_data": altered, "payload": {}}).encode()

    if altered != good:
        with pytest.raises((TicketRejected, MalformedJson)):
            await door.gate.admit(await door.gate.read(body))


async def test_a_large_body_is_read_behind_a_good_signature() -> None:
    door = Door(body_bytes_max=2 * UNSIGNED_BYTES_MAX)
    await door.knock(door.control_plane.body({"image": "x" * UNSIGNED_BYTES_MAX}, cost=7))

    assert door.ledger.totals().received_load == 7


async def test_a_large_body_without_one_is_not_parsed() -> None:
    """It is not even JSON, and nobody notices."""
    door = Door(body_bytes_max=2 * UNSIGNED_BYTES_MAX)
    body = door.control_plane.body({})
    body["auth_data"]["cost"] = 1

    assert await door.refusal(json.dumps(body).encode()[:-1] + b"{" * UNSIGNED_BYTES_MAX) == "bad_signature"


async def test_a_large_body_must_begin_with_its_ticket() -> None:
    door = Door(body_bytes_max=2 * UNSIGNED_BYTES_MAX)
    body = door.control_plane.body({"image": "x" * UNSIGNED_BYTES_MAX})

    assert await door.refusal({"payload": body["payload"], "auth_data": body["auth_data"]}) == "ticket_not_first"
