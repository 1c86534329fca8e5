"""The worker's credential: names its group and worker, and cannot be altered."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.worker_token import TOKEN_LENGTH_MAX, InvalidWorkerToken, WorkerIdentity, mint_worker_token, verify_worker_token

SECRET = b"s" * 32
WHO = WorkerIdentity(endpoint="chat", worker_id="w0-abc")
TOKEN = mint_worker_token(SECRET, stack="prod", identity=WHO)


def test_a_token_tells_whom_it_speaks_for() -> None:
    assert verify_worker_token(SECRET, TOKEN, stack="prod") == WHO


endpoints = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
worker_ids = st.from_regex(r"w[0-9]-[a-z2-7]{26}", fullmatch=True)


@given(endpoints, worker_ids)
def test_any_token_tells_whom_it_speaks_for(endpoint: str, worker_id: str) -> None:
    who = WorkerIdentity(endpoint=endpoint, worker_id=worker_id)

    assert verify_worker_token(SECRET, mint_worker_token(SECRET, stack="prod", identity=who), stack="prod") == who


def test_the_same_worker_always_has_the_same_token() -> None:
    assert mint_worker_token(SECRET, stack="prod", identity=WHO) == TOKEN


def test_a_token_is_fixed_for_ever() -> None:
    assert TOKEN == "hg1.Y2hhdA.w0-abc.Am20JF8r0ETmrWQNHXB1W4ybGKrdG6BedaIA0odQGr8"


@pytest.mark.parametrize(("secret", "stack"), [(b"t" * 32, "prod"), (SECRET, "dev")])
def test_a_token_of_another_secret_or_stack_is_refused(secret: bytes, stack: str) -> None:
    with pytest.raises(InvalidWorkerToken):
        verify_worker_token(secret, TOKEN, stack=stack)


@pytest.mark.parametrize("place", range(len(TOKEN)))
def test_no_character_of_a_token_may_change(place: int) -> None:
    altered = TOKEN[:place] + ("B" if TOKEN[place] != "B" else "C") + TOKEN[place + 1 :]

    with pytest.raises(InvalidWorkerToken):
        verify_worker_token(SECRET, altered, stack="prod")


def test_parts_of_two_tokens_make_no_third() -> None:
    other = mint_worker_token(SECRET, stack="prod", identity=WorkerIdentity(endpoint="images", worker_id="w0-xyz"))
    mixed = ".".join([*other.split(".")[:3], TOKEN.split(".")[3]])

    with pytest.raises(InvalidWorkerToken):
        verify_worker_token(SECRET, mixed, stack="prod")


MALFORMED = {
    "empty": "",
    "too few parts": "hg1.a.b",
    "too many parts": TOKEN + ".x",
    "another version": "hg2" + TOKEN[3:],
    "no base64": "hg1.%.w0-abc.x",
    "no UTF-8": f"hg1.{base64.urlsafe_b64encode(bytes([255])).decode()}.w0-abc.x",
    "beyond ASCII": "hg1.Y2hhdA.w0-é.x",
    "half a surrogate": "hg1.Y2hhdA.\ud800.x",
    "a NUL": "hg1.Y2hhdA.a\0b.x",
    "without a signature": TOKEN.rpartition(".")[0] + ".",
    "endless": TOKEN + "A" * TOKEN_LENGTH_MAX,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_token_is_refused(case: str) -> None:
    with pytest.raises(InvalidWorkerToken):
        verify_worker_token(SECRET, MALFORMED[case], stack="prod")


@given(st.text(max_size=100))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidWorkerToken):
        verify_worker_token(SECRET, text, stack="prod")
