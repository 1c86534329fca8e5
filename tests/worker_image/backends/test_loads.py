"""Loads and units of every backend: what strangers send can always be counted, and what servers stream is counted right."""

from __future__ import annotations

import datetime as dt
import math
import random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworker.backend import Ask, Backend, load_backend
from pyworker.backends.ollama.metrics import line_units
from pyworker.backends.openai.dialect import prompt_tokens, token_units, with_model
from pyworker.logwatch import LineKind
from sandbox.inference.dialects import DIALECTS

NAMES: Final = ("tgi", "vllm", "sglang", "llamacpp", "ollama", "tei", "sdauto", "ooba", "openai", "comfyui", "helloautoscaler")
_FIELDS: Final = """
    prompt messages input inputs instructions text texts query queries documents text_1 system images options parameters
    sampling_params max_tokens max_completion_tokens max_output_tokens max_new_tokens num_predict n_predict n best_of units
    width height steps batch_size n_iter enable_hr hr_scale hr_second_pass_steps content type
"""
FIELDS: Final = _FIELDS.split()
LEAF: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=20)
VALUE: Final = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3), max_leaves=6
)
PAYLOAD: Final = st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=6)


@pytest.fixture(scope="module")
def backends() -> list[Backend]:
    return [load_backend(name) for name in NAMES]


@given(PAYLOAD, PAYLOAD)
def test_whatever_a_payload_holds_its_load_can_be_counted(backends: list[Backend], payload: Any, node: Any) -> None:
    payloads = (payload, {"prompt": {"1": {"inputs": node}}})
    loads = [route.load(one, 0.2) for backend in backends for route in backend.routes for one in payloads]

    assert all(math.isfinite(load) and load >= 0 for load in loads)


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_asks_for_what_it_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A streamed one by its limit of tokens, one in a piece by its load: both are about what was asked for."""
    monkeypatch.delenv("COMFYUI_TRIAL", raising=False)
    backend = load_backend(name)
    ask = Ask(rng=random.Random(1), units=backend.trial_units_max, prompt_tokens=20)
    trial = backend.trial(ask)
    asked = trial.route.load(trial.payload, 0.0)

    assert (asked if trial.route.units else trial.unit_load) == pytest.approx(ask.units, rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_trials_are_alike(name: str) -> None:
    backend, rng = load_backend(name), random.Random(1)
    trials = [backend.trial(Ask(rng=rng, units=backend.trial_units_min, prompt_tokens=10)) for _ in range(20)]

    assert len({str(trial.payload) for trial in trials}) == (20 if name != "helloautoscaler" else 1)


@pytest.mark.parametrize(
    ("event", "tokens"),
    [
        (b'{"choices":[{"delta":{"role":"assistant","content":""}}]}', 0),
        (b'{"choices":[{"delta":{"content":"a"},"index":0}]}', 1),
        (b'{"choices": [{"delta": {"content": " a"}}]}', 1),
        (b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}', 1),
        (b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"}}]}}]}', 1),
        (b'{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}', 0),
        (b'{"choices":[{"text":" a b c","token_ids":[1, 22, 333]}]}', 3),
        (b'{"choices":[{"text":"","token_ids":[7]}]}', 1),
        (b'{"choices":[{"text":"","token_ids":[],"finish_reason":"length"}]}', 0),
        (b'{"type":"response.output_text.delta","delta":"a"}', 1),
        (b'{"index":0,"content":"a","stop":false,"tokens_predicted":1}', 1),
        (b" [DONE]", 0),
    ],
)
def test_an_event_counts_for_the_tokens_in_it(event: bytes, tokens: int) -> None:
    assert token_units(event) == tokens


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        (b'{"model":"m","response":" a","done":false}', 1),
        (b'{"model":"m","message":{"role":"assistant","content":" a"},"done":false}', 1),
        (b'{"model":"m","response":"","thinking":"hm","done":false}', 1),
        (b'{"model":"m","response":"","done":true,"eval_count":5}', 0),
    ],
)
def test_a_line_of_ollama_counts_for_its_token(line: bytes, tokens: int) -> None:
    assert line_units(line) == tokens


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("x" * 40, 10),
        ([1, 2, 3], 3),
        (["x" * 4, "x" * 8], 3),
        ([[1, 2], [3]], 3),
        ([{"role": "user", "content": "x" * 8}], 2),
        ([{"role": "user", "content": [{"type": "text", "text": "x" * 4}, {"type": "image_url", "image_url": {}}]}], 577),
        (None, 0),
    ],
)
def test_the_tokens_of_a_prompt_in_any_shape(prompt: Any, tokens: float) -> None:
    assert prompt_tokens(prompt) == tokens


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_prompt_that_quotes_a_failure_is_none(name: str) -> None:
    """Servers log prompts if they are asked to: whoever writes one must not be able to declare the worker dead, or ready."""
    rules = load_backend(name).log_rules
    assert rules is not None
    dialect = DIALECTS[name]
    fields = {"now": dt.datetime(2026, 11, 22, tzinfo=dt.UTC), "model": "m", "port": 1, "slots": 4, "seconds": 1.0}
    said = [line.format(**fields) for line in (*dialect.out_of_memory, *dialect.died, *dialect.ready)]
    quoted = [
        f"INFO 11-21 22:18:28 [logger.py:40] Received request cmpl-1: prompt: 'What is this: {line}', params: ..." for line in said
    ]

    assert {rules.classify(line)[0] for line in quoted} == {LineKind.PROGRESS}


def test_a_payload_without_a_model_gets_the_one_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_NAME", raising=False)
    monkeypatch.setenv("MODEL_ID", "tiny")

    assert (with_model({}), with_model({"model": "other"})) == ({"model": "tiny"}, {"model": "other"})
