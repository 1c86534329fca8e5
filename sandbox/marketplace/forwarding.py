"""Hand the serverless part of this host to a running Headgate: endpoints, workergroups and the router's own calls.

The real service has two hosts, a marketplace and a router; its CLI sends both kinds of calls to the one host that `--url` names.
With `--router URL` the simulator plays the marketplace, and everything about endpoints is answered by the Headgate at that URL,
whole: a list from here and calls about it from there would not fit together. A request is handed on as it came, key included, so
it is Headgate that authenticates it: the caller uses a key that Headgate knows. No fault and no rate limit meets such a call.
"""

from __future__ import annotations

from typing import Final, Self

import aiohttp

from sandbox.marketplace.api import JSON_TYPE, Reply, Request, encode

TIMEOUT_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
FORWARDED: Final = frozenset(
    {
        *("route", "pubkey", "get_endpoint_workers", "get_workergroup_workers", "get_autogroup_workers"),
        *("get_endpoint_logs", "get_workergroup_logs", "get_autogroup_logs", "update_workers"),
        *("api/v0/endptjobs", "api/v0/autojobs", "api/v0/workergroups"),
    },
)


class Forwarder:
    """A Headgate's route function at `url` (its Function URL, or the sandbox's address of it). `async with` opens and closes it."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @staticmethod
    def takes(path: str) -> bool:
        """Say whether a request for this path is Headgate's."""
        words = path.strip("/").split("/")
        return "/".join(words[:3] if words[0] == "api" else words) in FORWARDED

    async def forward(self, request: Request) -> Reply:
        """Return Headgate's answer; 502 in the router's shape when there is none."""
        assert self._session is not None, "enter the forwarder first"
        headers = {"Content-Type": JSON_TYPE}
        if request.authorization is not None:
            headers["Authorization"] = request.authorization
        try:
            async with self._session.request(
                request.method,
                f"{self._url}{request.path}",
                params=dict(request.query),
                data=request.body or None,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                return Reply(status=answer.status, body=await _whole(answer), content_type=answer.content_type)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            return Reply(status=502, body=encode({"error_msg": f"no answer from the router at {self._url}: {type(exc).__name__}"}))


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Read a body that is not too large. Raises ClientPayloadError if it is."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)
