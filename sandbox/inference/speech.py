"""How servers are asked and how they answer: the bodies of their HTTP APIs, one `Speech` a route.

A speech reads a request into a `Wish`, and writes words as a whole reply or as the events of a stream. Two marks in a prompt make
the server misbehave on purpose: FAIL fails that request, CRASH ends the process.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FAIL: Final = "[fail]"
CRASH: Final = "[crash]"
BYTES_PER_TOKEN: Final = 4
NEW_TOKENS_DEFAULT: Final = 32
EVENT_STREAM: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
# The smallest PNG: one black pixel.
PNG: Final = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


class Refused(Exception):
    """The request is answered with an error: `status` and `body`."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for, in the engine's terms. `given` is the request itself."""

    text: str
    new_tokens: int
    stream: bool = False
    prompt_tokens: int = 1
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """One route. `event(wish, words)` is that of the last of `words`; `fault` is told inside a stream, None cuts it instead."""

    wish: Callable[[Mapping[str, Any]], Wish]
    whole: Callable[[Wish, list[str]], Any]
    event: Callable[[Wish, list[str]], bytes] = lambda _wish, _words: b""
    head: bytes = b""
    tail: bytes = b""
    fault: bytes | None = None
    content_type: str = EVENT_STREAM


def sse(data: Any) -> bytes:
    """Write one server-sent event."""
    return b"data: " + _json(data) + b"\n\n"


def line(data: Any) -> bytes:
    """Write one line of JSON."""
    return _json(data) + b"\n"


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def wish_of(given: Mapping[str, Any], *, prompt: Any, limit: Any, stream: Any = None) -> Wish:
    """Read a request whose prompt and limit have been found. Raises Refused."""
    text = prompt if isinstance(prompt, str) else json.dumps(prompt)
    limit = NEW_TOKENS_DEFAULT if limit is None else limit
    if not prompt or not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise Refused(400, error_body("the prompt is empty, or the limit of new tokens is no positive number"))
    tokens = max(1, len(text.encode()) // BYTES_PER_TOKEN)
    return Wish(text=text, new_tokens=limit, stream=stream is True, prompt_tokens=tokens, given=given)


def error_body(message: str) -> dict[str, Any]:
    """Return an error as OpenAI's API and llama-server tell it."""
    return {"error": {"message": message, "type": "invalid_request_error", "code": 400}}


def openai_speeches(fault: bytes | None) -> dict[str, Speech]:
    """Return OpenAI's routes of text; `fault` is what the server writes into a stream that fails."""
    return {
        "/v1/completions": Speech(
            wish=lambda given: wish_of(
                given, prompt=given.get("prompt"), limit=given.get("max_tokens"), stream=given.get("stream")
            ),
            whole=_completion,
            event=lambda wish, words: sse(_choice("text_completion", wish, words, {"text": words[-1]})),
            tail=b"data: [DONE]\n\n",
            fault=fault,
        ),
        "/v1/chat/completions": Speech(
            wish=lambda given: wish_of(
                given, prompt=given.get("messages"), limit=given.get("max_tokens"), stream=given.get("stream")
            ),
            whole=_chat_completion,
            event=lambda wish, words: sse(_choice("chat.completion.chunk", wish, words, {"delta": {"content": words[-1]}})),
            head=sse({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
            tail=b"data: [DONE]\n\n",
            fault=fault,
        ),
    }


def _choice(kind: str, wish: Wish, words: list[str], part: dict[str, Any]) -> dict[str, Any]:
    more: dict[str, Any] = {"token_ids": [len(words[-1])]} if wish.given.get("return_token_ids") else {}
    choice = {"index": 0, **part, "finish_reason": "length" if len(words) == wish.new_tokens else None, **more}
    return {"id": "cmpl-1", "object": kind, "model": wish.given.get("model", ""), "choices": [choice]}


def _usage(wish: Wish, words: list[str]) -> dict[str, int]:
    prompt, new = wish.prompt_tokens, len(words)
    return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}


def _completion(wish: Wish, words: list[str]) -> Any:
    return {**_choice("text_completion", wish, words, {"text": "".join(words)}), "usage": _usage(wish, words)}


def _chat_completion(wish: Wish, words: list[str]) -> Any:
    message = {"message": {"role": "assistant", "content": "".join(words)}}
    return {**_choice("chat.completion", wish, words, message), "usage": _usage(wish, words)}


def _sglang_reply(wish: Wish, words: list[str]) -> Any:
    told = {"prompt_tokens": wish.prompt_tokens, "completion_tokens": len(words), "finish_reason": {"type": "length"}}
    return {"text": "".join(words), "meta_info": told}


def _sampling(given: Mapping[str, Any]) -> Mapping[str, Any]:
    found = given.get("sampling_params")
    return found if isinstance(found, dict) else {}


SGLANG_GENERATE: Final = Speech(
    wish=lambda given: wish_of(
        given, prompt=given.get("text"), limit=_sampling(given).get("max_new_tokens"), stream=given.get("stream")
    ),
    whole=_sglang_reply,
    event=lambda wish, words: sse(_sglang_reply(wish, words)),
    tail=b"data: [DONE]\n\n",
    fault=sse({"error": {"message": "the generation was aborted", "code": 500}}),
)


def _llama_reply(wish: Wish, words: list[str], content: str) -> Any:
    stop = len(words) == wish.new_tokens
    counts = {"tokens_predicted": len(words), "tokens_evaluated": wish.prompt_tokens}
    timings = {"timings": {"prompt_n": wish.prompt_tokens, "predicted_n": len(words)}} if stop else {}
    return {"index": 0, "content": content, "stop": stop, "id_slot": 0, **counts, **timings}


LLAMA_COMPLETION: Final = Speech(
    wish=lambda given: wish_of(given, prompt=given.get("prompt"), limit=given.get("n_predict"), stream=given.get("stream")),
    whole=lambda wish, words: _llama_reply(wish, words, "".join(words)),
    event=lambda wish, words: sse(_llama_reply(wish, words, words[-1])),
    fault=sse({"error": {"code": 500, "message": "the context is full", "type": "server_error"}}),
)


def _ollama(part: Callable[[str], dict[str, Any]]) -> Speech:
    def event(wish: Wish, words: list[str]) -> bytes:
        done = len(words) == wish.new_tokens
        last = {"done_reason": "length", "eval_count": len(words), "eval_duration": 10**6, "prompt_eval_count": wish.prompt_tokens}
        return line({"model": wish.given.get("model", ""), **part(words[-1]), "done": done, **(last if done else {})})

    def wish(given: Mapping[str, Any]) -> Wish:
        found = given.get("options")
        options: Mapping[str, Any] = found if isinstance(found, dict) else {}
        prompt = given.get("prompt") or given.get("messages")
        try:
            return wish_of(given, prompt=prompt, limit=options.get("num_predict"), stream=given.get("stream", True))
        except Refused as refused:
            raise Refused(refused.status, {"error": refused.body["error"]["message"]}) from refused

    return Speech(
        wish=wish,
        whole=lambda _wish, words: {**part("".join(words)), "done": True, "eval_count": len(words)},
        event=event,
        fault=line({"error": "an error was encountered while running the model"}),
        content_type=LINES,
    )


OLLAMA_GENERATE: Final = _ollama(lambda text: {"response": text})
OLLAMA_CHAT: Final = _ollama(lambda text: {"message": {"role": "assistant", "content": text}})

OOBA_GENERATE: Final = Speech(
    wish=lambda given: wish_of(given, prompt=given.get("prompt"), limit=given.get("max_new_tokens")),
    whole=lambda _wish, words: {"results": [{"text": "".join(words)}]},
)


def _picture(given: Mapping[str, Any]) -> Wish:
    steps = given.get("steps", 50)
    images = given.get("batch_size", 1) * given.get("n_iter", 1)
    if not isinstance(steps, int) or steps < 1:
        raise Refused(422, {"detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer", "type": "type_error"}]})
    return Wish(text=str(given.get("prompt", "")), new_tokens=steps * images, given=given)


TXT2IMG: Final = Speech(
    wish=_picture,
    whole=lambda wish, _words: {
        "images": [base64.b64encode(PNG).decode()] * wish.given.get("batch_size", 1),
        "parameters": dict(wish.given),
        "info": "{}",
    },
)


def _texts(given: Mapping[str, Any], name: str) -> Wish:
    found = given.get(name)
    texts: list[Any] = found if isinstance(found, list) else [found]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise Refused(422, {"error": f"Input validation error: `{name}` cannot be empty", "error_type": "Validation"})
    return Wish(text=" ".join(texts), new_tokens=max(1, len(" ".join(texts)) // BYTES_PER_TOKEN), given={"texts": texts})


def _vectors(wish: Wish) -> list[list[float]]:
    return [[len(text) / 100, 0.5, -0.5] for text in wish.given["texts"]]


EMBED: Final = Speech(wish=lambda given: _texts(given, "inputs"), whole=lambda wish, _words: _vectors(wish))
EMBEDDINGS: Final = Speech(
    wish=lambda given: _texts(given, "input"),
    whole=lambda wish, _words: {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(_vectors(wish))],
    },
)
