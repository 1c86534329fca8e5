"""The speed model: exact, whoever looks and how often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.inference.engine import Engine, Sequence
from sandbox.inference.speed import REFERENCE_DLPERF, Speed, gpu_factor

SPEED = Speed(base_s=0.01, per_stream_s=0.01, slots=2, prompt_weight=0.0)


def submit(engine: Engine, tokens: int, *, now_s: float = 0.0, prompt_tokens: int = 0) -> Sequence:
    return engine.submit(prompt_tokens=prompt_tokens, new_tokens=tokens, now_s=now_s)


def test_a_single_stream_gets_a_token_an_iteration() -> None:
    engine = Engine(SPEED)
    sequence = submit(engine, 100)
    engine.advance(1.0)

    assert engine.tokens(sequence) == 50


def test_streams_share_the_batch() -> None:
    """Two streams: 30 ms an iteration instead of 20."""
    engine = Engine(SPEED)
    first, second = submit(engine, 100), submit(engine, 100)
    engine.advance(1.5)

    assert (engine.tokens(first), engine.tokens(second)) == (50, 50)


def test_beyond_the_slots_sequences_wait_in_order() -> None:
    engine = Engine(SPEED)
    sequences = [submit(engine, 10) for _ in range(4)]

    assert [sequence.started_s is not None for sequence in sequences] == [True, True, False, False]


def test_a_waiting_sequence_starts_the_moment_a_slot_is_free() -> None:
    engine = Engine(SPEED)
    first, _, third = submit(engine, 10), submit(engine, 20), submit(engine, 10)
    engine.advance(100.0)

    assert third.started_s == first.ended_s == pytest.approx(0.3)


def test_a_sequence_that_ends_makes_the_others_faster() -> None:
    """Ten iterations of 30 ms together, then ten of 20 ms alone."""
    engine = Engine(SPEED)
    submit(engine, 10)
    second = submit(engine, 20)
    engine.advance(100.0)

    assert second.ended_s == pytest.approx(0.5)


def test_a_cancelled_sequence_frees_its_slot() -> None:
    engine = Engine(SPEED)
    first, _, third = submit(engine, 10), submit(engine, 10), submit(engine, 10)
    engine.cancel(first, now_s=0.1)

    assert third.started_s == pytest.approx(0.1)


def test_a_waiting_sequence_can_be_cancelled() -> None:
    engine = Engine(SPEED)
    waiting = [submit(engine, 10) for _ in range(3)][-1]
    engine.cancel(waiting, now_s=0.1)

    assert engine.waiting == 0


def test_a_prompt_delays_the_first_token() -> None:
    engine = Engine(Speed(base_s=0.01, per_stream_s=0.01, slots=2, prompt_weight=0.5))
    sequence = submit(engine, 10, prompt_tokens=20)
    engine.advance(0.2)
    before = engine.tokens(sequence)
    engine.advance(0.22)

    assert (before, engine.tokens(sequence)) == (0, 1)


STEPS = st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from(["submit", "cancel", "look"]), st.integers(1, 30)), max_size=40)


def run(steps: list[tuple[float, str, int]], *, looks: bool) -> list[tuple[float | None, float | None]]:
    engine, sequences, now_s = Engine(SPEED), list[Sequence](), 0.0
    for pause_s, what, number in steps:
        now_s += pause_s
        if what == "submit":
            sequences.append(submit(engine, number, now_s=now_s))
        elif what == "cancel" and sequences:
            engine.cancel(sequences[number % len(sequences)], now_s=now_s)
        elif looks:
            engine.advance(now_s)
        assert engine.running <= SPEED.slots
        assert not engine.waiting or engine.running == SPEED.slots
    engine.advance(now_s + 100)
    return [(sequence.started_s, sequence.ended_s) for sequence in sequences]


@given(STEPS)
def test_looking_changes_nothing(steps: list[tuple[float, str, int]]) -> None:
    watched, alone = run(steps, looks=True), run(steps, looks=False)

    assert [pytest.approx(times) for times in alone] == watched


@given(STEPS)
def test_every_sequence_ends(steps: list[tuple[float, str, int]]) -> None:
    assert all(ended_s is not None for _, ended_s in run(steps, looks=False))


@pytest.mark.parametrize(
    ("tokens_per_s", "slots", "stream"), [(800, 8, 0), (2000, 10, 200), (100, 1, 0), (100, 4, 100), (100, 4, 1)]
)
def test_a_full_batch_makes_the_tokens_that_were_asked_for(tokens_per_s: float, slots: int, stream: float) -> None:
    speed = Speed.from_throughput(tokens_per_s=tokens_per_s, slots=slots, stream_tokens_per_s=stream)

    assert slots / speed.iteration_s(slots) == pytest.approx(tokens_per_s)
    assert min(speed.base_s, speed.per_stream_s) >= 0


def test_a_single_stream_makes_the_tokens_that_were_asked_for() -> None:
    speed = Speed.from_throughput(tokens_per_s=800, slots=8, stream_tokens_per_s=300)

    assert 1 / speed.iteration_s(1) == pytest.approx(300)


@pytest.mark.parametrize(
    ("gpu_name", "dlperf", "factor"),
    [("", 0, 1), ("RTX 3090", 0, 1), ("", 2 * REFERENCE_DLPERF, 2), ("RTX 3090", 2 * REFERENCE_DLPERF, 2), ("Abacus", 0, 1)],
)
def test_the_gpu_scales_the_speed(gpu_name: str, dlperf: float, factor: float) -> None:
    assert gpu_factor(gpu_name=gpu_name, dlperf=dlperf) == pytest.approx(factor)
