"""Calls to the Vast API: deadlines, sizes, rate limits, and its errors as ours.

Errors, at this edge alone (source: https://docs.vast.ai/api-reference/rate-limits-and-errors, and what third-party clients met):

* no answer in time, connection lost, 5xx, a redirect, an answer that is no JSON object -> `MarketplaceBusy`: it may have happened
* 429, in whatever form -> `MarketplaceThrottled`: it has not; from then on this kind of call is paced
* `no_such_ask` under any status -> `OfferGone`; `no_such_instance` -> `InstanceGone`
* any other 4xx, or 200 with `"success": false` -> `MarketplaceRefused` with the marketplace's own code

The key travels in the Authorization header only: never in a URL, a message, a log or a repr. Nothing is repeated here but
reads, and those only after a rate limit: a create that timed out may have rented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import requests

from functions.ports import (
    Clock,
    InstanceGone,
    MarketplaceBusy,
    MarketplaceRefused,
    MarketplaceThrottled,
    OfferGone,
)

CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 12.0  # between two bytes
CALL_S_MAX: Final = 25.0  # for the whole answer, however slowly it trickles
BODY_BYTES_MAX: Final = 32 * 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
MESSAGE_LENGTH_MAX: Final = 200
READ_TRIES_MAX: Final = 3
PACED_WAIT_S_MAX: Final = 8.0
USER_AGENT: Final = "headgate"

# Seconds between two calls of a kind, as the marketplace documents them: used once it has refused one for its rate.
INTERVAL_S: Final[Mapping[str, float]] = MappingProxyType(
    {"search": 2.0, "create": 4.5, "list": 1.0, "show": 2.0, "state": 1.0, "destroy": 3.0, "logs": 1.0}
)
_INTERVAL_DEFAULT_S: Final = 2.0
_THRESHOLD: Final = re.compile(r"threshold=(\d+(?:\.\d+)?)")
_CREDENTIAL_TEXTS: Final = ("invalid user key", "invalid api key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `kind` is what rate limits count; `repeatable`: it changes nothing, so it may be sent again."""

    kind: str
    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False


class VastHttp:
    """A connection to the API. `api_key` is asked at every call, so that a rotated key is used at once."""

    def __init__(self, base_url: str, *, api_key: Callable[[], str], clock: Clock, session: requests.Session | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._clock = clock
        self._session = session or requests.Session()
        # Else a ~/.netrc would replace the Authorization header, and a proxy variable would see every call.
        self._session.trust_env = False
        self._pace = _Pace(clock)

    def send(self, call: Call) -> dict[str, Any]:
        """Return the answer's JSON object. Raises the errors named above."""
        for _ in range(READ_TRIES_MAX - 1 if call.repeatable else 0):
            try:
                return self._send(call)
            except MarketplaceThrottled:
                continue
        return self._send(call)

    def fetch_text(self, url: str, *, bytes_max: int) -> str | None:
        """Return what a public address holds, None if it is not there yet. Sends no key. Raises MarketplaceBusy."""
        try:
            answer = self._session.get(url, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), stream=True, allow_redirects=False)
            with answer:
                body = answer.raw.read(bytes_max, decode_content=True)
        except (requests.RequestException, OSError) as exc:
            raise MarketplaceBusy(f"log file: {type(exc).__name__}") from exc
        return body.decode(errors="replace") if answer.status_code == 200 else None

    def _send(self, call: Call) -> dict[str, Any]:
        self._pace.wait(call.kind)
        status, headers, body = self._exchange(call)
        if status == 429:
            raise self._pace.throttled(call.kind, headers, body)
        if status >= 500 or status == 408 or 300 <= status < 400:
            raise MarketplaceBusy(f"{call.kind}: HTTP {status}")
        answer = _json_object(body)
        if status < 300 and answer is not None:
            return answer
        if status < 300:
            raise MarketplaceBusy(f"{call.kind}: the answer is no JSON object")
        raise refusal(status, answer or {})

    def _exchange(self, call: Call) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {self._api_key()}", "User-Agent": USER_AGENT, "Accept": "application/json"}
        deadline_s = self._clock.now_s() + CALL_S_MAX
        try:
            answer = self._session.request(
                call.method,
                self._base_url + call.path,
                params=call.params,
                json=call.body,
                headers=headers,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                stream=True,
                allow_redirects=False,
            )
            with answer:
                return answer.status_code, answer.headers, self._read(answer, deadline_s)
        except (requests.RequestException, OSError) as exc:
            # The exception's text may hold the whole URL and, with some adapters, headers: its type says enough.
            raise MarketplaceBusy(f"{call.kind}: {type(exc).__name__}") from None

    def _read(self, answer: requests.Response, deadline_s: float) -> bytes:
        body = bytearray()
        for chunk in answer.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise requests.ConnectionError("too large")
            if self._clock.now_s() > deadline_s:
                raise requests.Timeout("too slow")
        return bytes(body)


def refusal(status: int, answer: Mapping[str, Any]) -> Exception:
    """Return our error for a refusal of theirs; what the code does not tell, the text may."""
    code = str(answer.get("error") or "")
    message = str(answer.get("msg") or answer.get("message") or answer.get("detail") or "")[:MESSAGE_LENGTH_MAX]
    if code == "no_such_ask" or "no_such_ask" in message:
        return OfferGone(message)
    if code == "no_such_instance":
        return InstanceGone(message)
    if status == 401 or any(text in message.lower() for text in _CREDENTIAL_TEXTS):
        return MarketplaceRefused("auth_error", message or "the key was not accepted")
    return MarketplaceRefused(code or f"http_{status}", message or f"HTTP {status}")


class _Pace:
    """When each kind of call may be made again; unlimited until the marketplace limits it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interval_s: dict[str, float] = {}
        self._free_at_s: dict[str, float] = {}

    def wait(self, kind: str) -> None:
        """Wait until this kind may be called. Raises MarketplaceThrottled when that is too long to wait for."""
        wait_s = self._free_at_s.get(kind, 0.0) - self._clock.now_s()
        if wait_s > PACED_WAIT_S_MAX:
            raise MarketplaceThrottled(f"{kind}: rate limit", retry_after_s=wait_s)
        if wait_s > 0:
            self._clock.wait_s(wait_s)
        self._free_at_s[kind] = self._clock.now_s() + self._interval_s.get(kind, 0.0)

    def throttled(self, kind: str, headers: Mapping[str, str], body: bytes) -> MarketplaceThrottled:
        """Note that the marketplace limits this kind, and return the error that says so."""
        text = body[:1024].decode(errors="replace")
        named = _THRESHOLD.search(text)
        interval_s = float(named[1]) if named else INTERVAL_S.get(kind, _INTERVAL_DEFAULT_S)
        retry_after_s = max(interval_s, _seconds(headers.get("Retry-After", "")))
        self._interval_s[kind] = interval_s
        self._free_at_s[kind] = self._clock.now_s() + retry_after_s
        if "search_quota_exceeded" in text:
            retry_after_s = max(retry_after_s, 600.0)
            self._free_at_s[kind] = self._clock.now_s() + retry_after_s
        return MarketplaceThrottled(f"{kind}: rate limit", retry_after_s=retry_after_s)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0  # an HTTP date, or nothing
    return seconds if 0 <= seconds < 86_400 else 0.0


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
