"""OpenAI's HTTP API as vLLM, SGLang, llama-server, Ollama and many others speak it: routes, loads, units of output, trials.

Load is in generated tokens (see `pyworker.language`): the tokens that a request allows for each of its choices, and its prompt's at
the prompt weight. A request that states no limit is taken for one of NEW_TOKENS_DEFAULT (chat, responses) or
COMPLETION_TOKENS_DEFAULT (completions, as the API has it). An image or other medium in a prompt counts as MEDIA_TOKENS.

The model's name may be left out of a payload; it is that of MODEL_NAME, else MODEL_ID.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from pyworker.backend import Ask, Route, Trial
from pyworker.language import text_tokens, trial_prompt, whole_number
from pyworker.metrics import bounded_load

NEW_TOKENS_DEFAULT: Final = 256
COMPLETION_TOKENS_DEFAULT: Final = 16
MEDIA_TOKENS: Final = 576  # 24 x 24 patches, LLaVA 1.5's; more recent models take 64 to 2,000 an image, by its size
NESTING_MAX: Final = 4

# A piece of text that is not empty, in whichever field: a role, a finish reason or a usage in an event of its own is no token.
_TEXT: Final = re.compile(rb'"(?:text|content|reasoning|reasoning_content|arguments|delta)":\s*"(?!")')
# vLLM joins the tokens of a slow reader into one event, and lists them if it is asked to.
_TOKEN_IDS: Final = re.compile(rb'"token_ids":\s*\[([\d,\s]+)\]')
_RANKED: Final = ("query", "queries", "documents", "text_1", "text_2")


def token_units(event: bytes) -> int:
    """Count the tokens of an event: those that it lists, else one if it carries text."""
    listed = _TOKEN_IDS.search(event)
    return listed[1].count(b",") + 1 if listed else _TEXT.search(event) is not None


def prompt_tokens(prompt: Any, depth: int = NESTING_MAX) -> float:
    """Estimate the tokens of a prompt: text, token ids, or lists of either; a message's parts; media at MEDIA_TOKENS each."""
    match prompt:
        case str():
            return text_tokens(prompt)
        case list() if depth:
            return sum(1.0 if isinstance(item, int) else prompt_tokens(item, depth - 1) for item in prompt)
        case {"content": content}:
            return prompt_tokens(content, depth - 1) if depth else 0.0
        case {"text": text}:
            return prompt_tokens(text, depth - 1) if depth else 0.0
        case {"type": _}:
            return float(MEDIA_TOKENS)
    return 0.0


def chat_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/v1/chat/completions`."""
    limit = whole_number(payload.get("max_tokens"), default=NEW_TOKENS_DEFAULT)
    return _load(payload, payload.get("messages"), whole_number(payload.get("max_completion_tokens"), default=limit), prompt_weight)


def completion_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/v1/completions`. Several prompts in one request are several generations."""
    prompt = payload.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    limit = whole_number(payload.get("max_tokens"), default=COMPLETION_TOKENS_DEFAULT)
    return _load(payload, prompt, limit * prompts, prompt_weight)


def responses_load(payload: Mapping[str, Any], prompt_weight: float) -> float:
    """Return the load of `/v1/responses`."""
    prompt = [payload.get("instructions"), payload.get("input")]
    return _load(payload, prompt, whole_number(payload.get("max_output_tokens"), default=NEW_TOKENS_DEFAULT), prompt_weight)


def embedding_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the load of `/v1/embeddings`: a unit a token of its input. A server of embeddings generates nothing else."""
    return bounded_load(prompt_tokens(payload.get("input")))


def ranking_load(payload: Mapping[str, Any], _prompt_weight: float) -> float:
    """Return the load of `/v1/rerank` and `/v1/score`: a unit a token of all texts, and the query's again for each document."""
    pairs = max([1, *(len(text) for name in _RANKED if isinstance(text := payload.get(name), list))])
    tokens = sum(
        prompt_tokens(text) if isinstance(text, list) else pairs * prompt_tokens(text) for text in map(payload.get, _RANKED)
    )
    return bounded_load(tokens)


def _load(payload: Mapping[str, Any], prompt: Any, new_tokens: float, prompt_weight: float) -> float:
    choices = max(whole_number(payload.get("n"), default=1), whole_number(payload.get("best_of"), default=1))
    return bounded_load(prompt_weight * prompt_tokens(prompt) + new_tokens * choices)


def with_model(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name the one model that is served, if the payload names none."""
    name = os.environ.get("MODEL_NAME") or os.environ.get("MODEL_ID")
    return payload if "model" in payload or not name else {**payload, "model": name}


CHAT: Final = Route(path="/v1/chat/completions", load=chat_load, units=token_units, prepare=with_model)
COMPLETIONS: Final = Route(path="/v1/completions", load=completion_load, units=token_units, prepare=with_model)
RESPONSES: Final = Route(path="/v1/responses", load=responses_load, units=token_units, prepare=with_model)
EMBEDDINGS: Final = Route(path="/v1/embeddings", load=embedding_load, prepare=with_model)
RERANK: Final = Route(path="/v1/rerank", load=ranking_load, prepare=with_model)
ROUTES: Final = (CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS)


def chat_trial(ask: Ask) -> Trial:
    """Ask for so many tokens of chat, streamed, by nothing but the API's own fields."""
    prompt = trial_prompt(ask)
    payload = {"messages": [{"role": "user", "content": prompt}], "max_tokens": _tokens(ask), "temperature": 0, "stream": True}
    return Trial(route=CHAT, payload=payload, prompt_tokens=text_tokens(prompt))


def completion_trial(**more: Any) -> Callable[[Ask], Trial]:
    """Return a trial of so many tokens of text, streamed; `more` are fields by which this server keeps on to the last one."""

    def trial(ask: Ask) -> Trial:
        prompt = trial_prompt(ask)
        payload = {"prompt": prompt, "max_tokens": _tokens(ask), "temperature": 0, "stream": True, **more}
        return Trial(route=COMPLETIONS, payload=payload, prompt_tokens=text_tokens(prompt))

    return trial


def embedding_trial(ask: Ask) -> Trial:
    """Ask for the embedding of a text of so many tokens."""
    prompt = trial_prompt(replace(ask, prompt_tokens=ask.units))
    return Trial(route=EMBEDDINGS, payload={"input": prompt}, unit_load=text_tokens(prompt))


def bearer(name: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """Return what tells the server its own key, which stands in the variable `name`, if it has one."""

    def headers(environment: Mapping[str, str]) -> Mapping[str, str]:
        key = environment.get(name, "")
        return {"authorization": f"Bearer {key}"} if key else {}

    return headers


def _tokens(ask: Ask) -> int:
    return max(1, round(ask.units))
