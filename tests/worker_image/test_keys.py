"""The keys that tickets are checked with: fetched until they are there, and not at a stranger's bidding."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from nacl.signing import SigningKey

from pyworker.keys import REFETCH_GAP_S, KeyRing, KeysUnavailable, read_keys

KEY = SigningKey(bytes(32)).verify_key


def served(*key_ids: str, algorithm: str = "Ed25519") -> bytes:
    text = base64.b64encode(bytes(KEY)).decode()
    return json.dumps({"keys": [{"key_id": key_id, "algorithm": algorithm, "public_key": text} for key_id in key_ids]}).encode()


class Source:
    """A control plane's `/pubkey/` and a clock."""

    def __init__(self, *answers: bytes | KeysUnavailable) -> None:
        self.answers = list(answers)
        self.fetches = 0
        self.now_s = 1000.0
        self.ring = KeyRing(self.fetch, monotonic=lambda: self.now_s)

    async def first_fetch(self) -> None:
        """Let the ring fetch until it has keys."""
        running = asyncio.create_task(self.ring.run())
        await self.ring.fetched()
        running.cancel()

    async def fetch(self) -> bytes:
        """Answer as `/pubkey/` would."""
        self.fetches += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, KeysUnavailable):
            raise answer
        return answer


async def test_a_served_key_is_found() -> None:
    source = Source(served("k1"))
    await source.first_fetch()

    assert await source.ring.find("k1") == KEY


async def test_a_key_that_is_not_served_is_not_found() -> None:
    source = Source(served("k1"))
    await source.first_fetch()

    assert await source.ring.find("k2") is None


async def test_a_key_of_a_rotation_is_fetched_when_a_ticket_names_it() -> None:
    source = Source(served("k1"), served("k1", "k2"))
    await source.first_fetch()
    source.now_s += REFETCH_GAP_S

    assert await source.ring.find("k2") == KEY


async def test_a_key_that_is_served_no_longer_is_trusted_no_longer() -> None:
    source = Source(served("k1"), served("k2"))
    await source.first_fetch()
    source.now_s += REFETCH_GAP_S
    await source.ring.find("k2")

    assert await source.ring.find("k1") is None


async def test_strangers_cannot_make_the_worker_fetch_all_the_time() -> None:
    source = Source(served("k1"))
    await source.first_fetch()
    source.now_s += REFETCH_GAP_S
    await asyncio.gather(*[source.ring.find(f"unknown{number}") for number in range(50)])
    await source.ring.find("another")

    assert source.fetches == 2


async def test_everybody_who_asks_during_a_fetch_gets_its_result() -> None:
    source = Source(served("k1"), served("k1", "k2"))
    await source.first_fetch()
    source.now_s += REFETCH_GAP_S

    assert await asyncio.gather(*[source.ring.find("k2") for _ in range(5)]) == [KEY] * 5


async def test_a_failed_fetch_keeps_the_keys_that_are_there() -> None:
    source = Source(served("k1"), KeysUnavailable("gone"))
    await source.first_fetch()
    source.now_s += REFETCH_GAP_S
    await source.ring.find("k2")

    assert await source.ring.find("k1") == KEY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 5}',
        b'{"keys": []}',
        b'{"keys": [5]}',
        served("k1", algorithm="RSA"),
        b'{"keys": [{"algorithm": "Ed25519", "key_id": "k", "public_key": "AA=="}]}',
    ],
)
def test_an_answer_without_a_good_key_is_no_answer(body: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        read_keys(body)
