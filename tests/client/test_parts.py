"""Pauses and events: the pure parts of the client."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.events import EventError, events, text_of
from client.pauses import PollSchedule

SCHEDULE = PollSchedule()


def test_the_first_poll_comes_after_a_second() -> None:
    assert SCHEDULE.poll_s(0, random.Random(1)) == 1.0


def test_a_first_failure_is_retried_at_once() -> None:
    assert SCHEDULE.retry_s(1, random.Random(1)) == 0.0


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_no_pause_is_longer_or_shorter_than_allowed(count: int, seed: int) -> None:
    rng = random.Random(seed)

    assert 0.1 <= SCHEDULE.poll_s(count + 1, rng) <= 5
    assert 0.1 <= SCHEDULE.retry_s(count + 2, rng) <= 5


def test_pauses_grow() -> None:
    rng = random.Random(1)
    early = sum(SCHEDULE.poll_s(1, rng) for _ in range(200))
    late = sum(SCHEDULE.poll_s(6, rng) for _ in range(200))

    assert early < late


STREAM = b': hello\n\ndata: {"a": 1}\n\nevent: x\ndata:{"b": "\xc3\xa9"}\n\ndata: [DONE]\n\ndata: {"c": 3}'


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_it_does_not_matter_how_the_bytes_arrive(cuts: list[int]) -> None:
    places = sorted({0, len(STREAM), *cuts})
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(places)]

    assert list(events(chunks)) == [{"a": 1}, {"b": "é"}, {"c": 3}]


@pytest.mark.parametrize("data", [b"data: {no json}\n\n", b'data: {"error": "x"}\n\n', b'data: {"error": {"message": "x"}}\n\n'])
def test_what_is_no_event_is_an_error(data: bytes) -> None:
    with pytest.raises(EventError):
        list(events([data]))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"token": {"text": " hi", "special": False}}, " hi"),
        ({"token": {"text": "</s>", "special": True}}, ""),
        ({"choices": [{"text": " hi"}]}, " hi"),
        ({"choices": [{"delta": {"content": " hi"}}]}, " hi"),
        ({"choices": [{"delta": {"role": "assistant"}}]}, ""),
        ({"choices": []}, ""),
        ({"choices": [None]}, ""),
        ({}, ""),
    ],
)
def test_the_text_of_an_event_is_found_in_every_dialect(event: dict[str, Any], text: str) -> None:
    assert text_of(event) == text
