"""A workflow as one call: queue it, wait until it has run, fetch what it made.

    POST /prompt ──▶ prompt_id ──▶ GET /history/<id> until it is there ──▶ GET /view for every file of the outputs

The answer is ComfyUI's own record of the run (`outputs`, `status`) with `prompt_id`, and in every file a field `data`: its bytes
in base64. A workflow that failed is answered with 500 and an `error` in its node's words. When the client goes away the workflow is
taken out of the queue, or interrupted if it runs already.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from pyworker.backend import Answer, BadPayload, Server

POLL_FIRST_S: Final = 0.05
POLL_MAX_S: Final = 1.0
RUN_MAX_S: Final = 3600.0  # a video can take most of an hour on one card
CANCEL_TIMEOUT_S: Final = 5.0
FILES_MAX: Final = 64
FILES_BYTES_MAX: Final = 128 * 2**20


class _Lost(Exception):
    """ComfyUI answered something else than what its API says."""


async def run_workflow(server: Server, payload: Mapping[str, Any]) -> Answer:
    """Run `payload["prompt"]`, a workflow in API format, to its end."""
    if not isinstance(payload.get("prompt"), dict):
        raise BadPayload("prompt", "must be a workflow in API format: an object of nodes by their ids")
    queued = await server.call("POST", "/prompt", payload)
    if queued.status != 200:
        return queued
    try:
        prompt_id = str(_object(queued)["prompt_id"])
        async with asyncio.timeout(RUN_MAX_S), _cancelling(server, prompt_id):
            record = await _finished(server, prompt_id)
        return await _answer(server, prompt_id, record)
    except (_Lost, KeyError) as exc:
        return _failure(502, {"message": f"the inference server's answer could not be read: {exc}"})
    except TimeoutError:
        return _failure(504, {"message": f"the workflow did not end within {RUN_MAX_S:g} s"})


async def _finished(server: Server, prompt_id: str) -> dict[str, Any]:
    pause_s = POLL_FIRST_S
    while True:
        record = _object(await server.call("GET", f"/history/{prompt_id}")).get(prompt_id)
        if isinstance(record, dict):
            return record
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, POLL_MAX_S)


@contextlib.asynccontextmanager
async def _cancelling(server: Server, prompt_id: str) -> Any:
    try:
        yield
    except (asyncio.CancelledError, TimeoutError):
        with contextlib.suppress(Exception):  # whatever it is, the client's leaving must go on; the next workflow would only wait
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                await server.call("POST", "/queue", {"delete": [prompt_id]})
                await server.call("POST", "/interrupt", {"prompt_id": prompt_id})
        raise


async def _answer(server: Server, prompt_id: str, record: dict[str, Any]) -> Answer:
    status = record.get("status")
    if isinstance(status, dict) and status.get("status_str") == "error":
        return _failure(500, _error_of(status), prompt_id=prompt_id)
    outputs = record.get("outputs") or {}
    bytes_left = FILES_BYTES_MAX
    for file in list(_files(outputs))[:FILES_MAX]:
        bytes_left -= await _fetch(server, file, bytes_left)
    return Answer(status=200, body=json.dumps({"prompt_id": prompt_id, "outputs": outputs, "status": status}).encode())


async def _fetch(server: Server, file: dict[str, Any], bytes_max: int) -> int:
    """Put a file's bytes into its record, if they fit; return how many there are."""
    query = urlencode({name: str(file.get(name, "")) for name in ("filename", "subfolder", "type")})
    found = await server.call("GET", f"/view?{query}")
    if found.status == 200 and len(found.body) <= bytes_max:
        file["data"] = base64.b64encode(found.body).decode()
    else:
        file["error"] = "too large for one answer" if found.status == 200 else f"the inference server answered {found.status}"
    return len(found.body)


def _files(outputs: Any) -> Iterator[dict[str, Any]]:
    """Yield every file of `{node: {"images": [{"filename": …}], …}}`."""
    for node in outputs.values() if isinstance(outputs, dict) else ():
        for items in node.values() if isinstance(node, dict) else ():
            yield from (item for item in items if isinstance(item, dict) and "filename" in item) if isinstance(items, list) else ()


def _error_of(status: Mapping[str, Any]) -> dict[str, Any]:
    for message in status.get("messages") or ():
        if isinstance(message, list) and len(message) == 2 and message[0] == "execution_error" and isinstance(message[1], dict):
            told = message[1]
            return {
                "type": told.get("exception_type", ""),
                "message": told.get("exception_message", ""),
                "node_type": told.get("node_type", ""),
            }
    return {"message": "the workflow failed"}


def _failure(status: int, error: dict[str, Any], **more: Any) -> Answer:
    return Answer(status=status, body=json.dumps({"error": error, **more}).encode())


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError as exc:
        raise _Lost("no JSON") from exc
    if not isinstance(found, dict):
        raise _Lost("no object")
    return found
