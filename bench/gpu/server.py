"""A language model of random weights with continuous batching, in a few lines of torch, behind OpenAI's `/v1/completions`.

    requests ──▶ engine thread: admit into free slots (prefill) ──▶ one token for every slot ──▶ … ──▶ events

Every slot has a place in one key-value cache. A step costs what it costs a real engine: all weights are read once, and each slot's
cache. It is what an inference server is to a worker; it is no server to use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import threading
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from aiohttp import web
from torch.nn.functional import layer_norm, relu, scaled_dot_product_attention

VOCABULARY: Final = 32_000
CONTEXT: Final = 1024
HEAD_WIDTH: Final = 64


@dataclass(slots=True, eq=False)
class Sequence:
    """One generation: its prompt, how many tokens it is to make, and where they go."""

    prompt: list[int]
    limit: int
    out: asyncio.Queue[int | None]
    made: int = 0
    slot: int = -1
    last: int = 0


@dataclass(slots=True)
class Sizes:
    """Of the model and its cache."""

    layers: int
    width: int
    slots: int
    device: str = field(default_factory=lambda: "cuda" if torch.cuda.is_available() else "cpu")


class Model:
    """A decoder. `forward` takes tokens of some slots, from a place in each, and returns the next token of each."""

    def __init__(self, sizes: Sizes) -> None:
        kind = torch.bfloat16 if sizes.device == "cuda" else torch.float32
        make = {"device": sizes.device, "dtype": kind}
        self._heads = sizes.width // HEAD_WIDTH
        self._embedding = torch.randn(VOCABULARY, sizes.width, **make) * 0.02
        self._places = torch.randn(CONTEXT, sizes.width, **make) * 0.02
        shapes = (
            (3 * sizes.width, sizes.width),
            (sizes.width, sizes.width),
            (4 * sizes.width, sizes.width),
            (sizes.width, 4 * sizes.width),
        )
        self._layers = [[torch.randn(shape, **make) * 0.02 for shape in shapes] for _ in range(sizes.layers)]
        cache = (2, sizes.slots, self._heads, CONTEXT, HEAD_WIDTH)
        self._caches = [torch.zeros(cache, **make) for _ in range(sizes.layers)]

    def forward(self, tokens: Any, slots: Any, starts: Any) -> Any:
        """Shapes: tokens (B, N), slots (B), starts (B); returns (B)."""
        with torch.inference_mode():
            return self._next(tokens, slots, starts)

    def _next(self, tokens: Any, slots: Any, starts: Any) -> Any:
        places = starts[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        length = int(places.max()) + 1
        mask = (torch.arange(length, device=tokens.device) <= places[..., None])[:, None]
        x = self._embedding[tokens] + self._places[places]
        for weights, cache in zip(self._layers, self._caches, strict=True):
            x = x + self._attention(layer_norm(x, x.shape[-1:]), weights, cache, (slots, places, mask))
            x = x + relu(layer_norm(x, x.shape[-1:]) @ weights[2].T) @ weights[3].T
        return (x[:, -1] @ self._embedding.T).argmax(-1)

    def _attention(self, x: Any, weights: list[Any], cache: Any, where: tuple[Any, Any, Any]) -> Any:
        slots, places, mask = where
        batch, count, width = x.shape
        query, key, value = (
            part.view(batch, count, self._heads, HEAD_WIDTH).transpose(1, 2) for part in (x @ weights[0].T).split(width, -1)
        )
        for row in range(batch if count > 1 else 0):
            cache[0, slots[row], :, places[row]], cache[1, slots[row], :, places[row]] = key[row], value[row]
        if count == 1:
            cache[0, slots, :, places[:, 0]], cache[1, slots, :, places[:, 0]] = key[:, :, 0], value[:, :, 0]
        length = mask.shape[-1]
        mixed = scaled_dot_product_attention(query, cache[0, slots, :, :length], cache[1, slots, :, :length], attn_mask=mask)
        return mixed.transpose(1, 2).reshape(batch, count, width) @ weights[1].T


class Engine(threading.Thread):
    """Runs sequences until the process ends."""

    def __init__(self, model: Model, sizes: Sizes, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self.arrivals: queue.SimpleQueue[Sequence] = queue.SimpleQueue()
        self._model, self._device, self._loop = model, sizes.device, loop
        self._free, self._running = list(range(sizes.slots)), list[Sequence]()

    def run(self) -> None:
        """Admit, step, hand out, for ever."""
        while True:
            self._admit()
            lasts = self._numbers([[one.last] for one in self._running])
            slots = self._numbers([one.slot for one in self._running])
            starts = self._numbers([len(one.prompt) + one.made - 1 for one in self._running])
            self._hand_out(self._running, self._model.forward(lasts, slots, starts).tolist())

    def _admit(self) -> None:
        while self._free and (not self._running or not self.arrivals.empty()):
            one = self.arrivals.get()
            one.slot = self._free.pop()
            first = self._model.forward(self._numbers([one.prompt]), self._numbers([one.slot]), self._numbers([0]))
            self._running.append(one)
            self._hand_out([one], first.tolist())

    def _hand_out(self, sequences: list[Sequence], tokens: list[int]) -> None:
        made: list[tuple[Sequence, int | None]] = []
        for one, token in zip(list(sequences), tokens, strict=True):
            one.made, one.last = one.made + 1, token
            made.append((one, token))
            if one.made >= one.limit or len(one.prompt) + one.made >= CONTEXT:
                made.append((one, None))
                self._running.remove(one)
                self._free.append(one.slot)
        self._loop.call_soon_threadsafe(_deliver, made)

    def _numbers(self, values: Any) -> Any:
        return torch.tensor(values, device=self._device, dtype=torch.long)


def _deliver(made: list[tuple[Sequence, int | None]]) -> None:
    for one, token in made:
        one.out.put_nowait(token)


class Server:
    """The HTTP side."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_post("/v1/completions", self._completions)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        prompt = [1 + byte for byte in str(asked.get("prompt", "")).encode()[::4]][: CONTEXT // 2] or [1]
        sequence = Sequence(prompt, max(1, int(asked.get("max_tokens", 16))), asyncio.Queue())
        self._engine.arrivals.put(sequence)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while (token := await sequence.out.get()) is not None:
            choice = {"index": 0, "text": f" t{token}", "finish_reason": None}
            await response.write(b"data: " + json.dumps({"object": "text_completion", "choices": [choice]}).encode() + b"\n\n")
        await response.write_eof(b"data: [DONE]\n\n")
        return response


async def serve(sizes: Sizes, port: int) -> None:
    """Serve until the process is ended."""
    engine = Engine(Model(sizes), sizes, asyncio.get_running_loop())
    engine.start()
    runner = web.AppRunner(Server(engine).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"* Running on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.server")
    for name, default in (("port", 5001), ("layers", 16), ("width", 2048), ("slots", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    asyncio.run(serve(Sizes(given.layers, given.width, given.slots), given.port))
