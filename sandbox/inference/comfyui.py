"""ComfyUI's API over the engine: a queue of workflows, their history, and the files they made."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any, Final

from aiohttp import web

from sandbox.inference.speech import CRASH, FAIL, PNG, Refused, Wish
from sandbox.inference.standin import StandIn, read_object

STEPS_DEFAULT: Final = 20


class ComfyStandIn(StandIn):
    """Workflows run one after another; a sampler's step is a token."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._numbers = itertools.count(1)
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._history: dict[str, Any] = {}

    def application(self) -> web.Application:
        """Return the routes."""
        app = super().application()
        app.router.add_post("/prompt", self._prompt)
        app.router.add_get("/history/{id}", self._told)
        app.router.add_get("/view", self._view)
        app.router.add_post("/queue", self._queue)
        app.router.add_post("/interrupt", self._queue)
        return app

    async def _prompt(self, request: web.Request) -> web.Response:
        try:
            nodes = read_object(await request.read()).get("prompt")
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        saves = isinstance(nodes, dict) and any(node.get("class_type") == "SaveImage" for node in nodes.values())
        if not isinstance(nodes, dict) or not saves:
            error = {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "", "extra_info": {}}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        prompt_id = f"job-{next(self._numbers)}"
        self._jobs[prompt_id] = asyncio.create_task(self._run(prompt_id, nodes))
        return web.json_response({"prompt_id": prompt_id, "number": len(self._jobs), "node_errors": {}})

    async def _run(self, prompt_id: str, nodes: dict[str, Any]) -> None:
        text, started_s = json.dumps(nodes), time.monotonic()
        if CRASH in text:
            self.crashed.set()
        steps = sum(node["inputs"].get("steps", 0) for node in nodes.values()) or STEPS_DEFAULT
        await self.generate(Wish(text=text, new_tokens=steps))
        if FAIL in text:
            self.voice.failed()
            told = {
                "node_type": "KSampler",
                "exception_message": "Allocation on device",
                "exception_type": "torch.OutOfMemoryError",
            }
            status = {"status_str": "error", "completed": False, "messages": [["execution_error", told]]}
            self._history[prompt_id] = {"outputs": {}, "status": status}
            return
        self.voice.served(seconds=time.monotonic() - started_s)
        images = [{"filename": f"{prompt_id}.png", "subfolder": "", "type": "output"}]
        status = {"status_str": "success", "completed": True, "messages": []}
        self._history[prompt_id] = {"outputs": {"7": {"images": images}}, "status": status}

    async def _told(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        return web.json_response({prompt_id: self._history[prompt_id]} if prompt_id in self._history else {})

    async def _view(self, request: web.Request) -> web.Response:
        known = request.query.get("filename", "").removesuffix(".png") in self._history
        return web.Response(body=PNG, content_type="image/png") if known else web.Response(status=404)

    async def _queue(self, request: web.Request) -> web.Response:
        given = read_object(await request.read())
        for prompt_id in [*given.get("delete", ()), given.get("prompt_id")]:
            if prompt_id in self._jobs:
                self._jobs[prompt_id].cancel()
        return web.Response()
