"""Calls to the Vast API: one exchange each, in time and at the documented pace, and its errors as ours.

Errors, at this edge alone (source: https://docs.vast.ai/api-reference/rate-limits-and-errors, and what third-party clients met):

* no answer in time, connection lost, 5xx, a redirect, an answer that is no JSON object -> `MarketplaceBusy`: it may have happened
* 429, in whatever form -> `MarketplaceThrottled`: it has not; the daily search quota -> `MarketplaceRefused`
* `no_such_ask` under any status, in the code or in the text -> `OfferGone`; `no_such_instance` likewise, and
  `instances_not_found` of several -> `InstanceGone`
* any other 4xx, or 200 with `"success": false` -> `MarketplaceRefused` with the marketplace's own code

The key travels in the Authorization header only: never in a URL, a message, a log or a repr. What the marketplace says is quoted
with the key, and whatever else of the call is secret, struck out; and no error keeps a request, whose headers hold the key, as
its cause. Nothing is repeated here but reads, and those only after a rate limit: a create that timed out may have rented.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeGuard

import requests

from functions.adapters.timely_session import TimelySession
from functions.adapters.vast_pace import Pace
from functions.ports import Clock, InstanceGone, MarketplaceBusy, MarketplaceRefused, MarketplaceThrottled, OfferGone

CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 12.0  # between two bytes
CALL_S_MAX: Final = 25.0  # for the whole exchange, however slowly it trickles
BODY_BYTES_MAX: Final = 32 * 1024 * 1024
MESSAGE_LENGTH_MAX: Final = 200
READ_TRIES_MAX: Final = 3
STRUCK_LENGTH_MIN: Final = 6  # shorter ones would take ordinary words with them
USER_AGENT: Final = "headgate"

_GONE_CODES: Final = frozenset({"no_such_instance", "instances_not_found"})  # the latter: none of several
_CREDENTIAL_TEXTS: Final = ("invalid user key", "invalid api key")
_GONE_TEXTS: Final = ("no_such_instance", "could not find contract")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `kind` is what rate limits count; `repeatable`: it changes nothing, so it may be sent again.

    `secrets` are parts of the body that no message may quote.
    """

    kind: str
    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class VastHttp:
    """A connection to the API. `api_key` is asked at every call, so that a rotated key is used at once."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: Callable[[], str],
        clock: Clock,
        session: requests.Session | None = None,
        pace_factor: float = 1.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._session = session or TimelySession(call_s_max=CALL_S_MAX, body_bytes_max=BODY_BYTES_MAX)
        self._pace = Pace(clock, factor=pace_factor)

    def send(self, call: Call) -> dict[str, Any]:
        """Return the answer's JSON object, also one that says `"success": false`. Raises the errors named above."""
        for _ in range(READ_TRIES_MAX - 1 if call.repeatable else 0):
            try:
                return self._send(call)
            except MarketplaceThrottled:
                continue
        return self._send(call)

    def refusal(self, call: Call, answer: Mapping[str, Any], *, status: int = 200) -> Exception:
        """Return our error for an answer that is a refusal."""
        return refusal(status, answer, secrets=(self._api_key(), *call.secrets))

    def may_fetch(self, url: object) -> TypeGuard[str]:
        """Tell whether this is an address that an answer may send us to: over TLS, or on the API's own host.

        What listens on a network of ours, or on this machine, speaks plain HTTP and takes every caller for a friend.
        """
        return isinstance(url, str) and url.startswith(("https://", f"{self._base_url}/"))

    def fetch_text(self, url: str) -> str | None:
        """Return what a public address holds, None if it is not there yet. Sends no key. Raises MarketplaceBusy."""
        assert self.may_fetch(url), "asked for before"
        reply = self._exchange("log file", "GET", url, headers={"User-Agent": USER_AGENT})
        return reply.body.decode(errors="replace") if reply.status == 200 else None

    def _send(self, call: Call) -> dict[str, Any]:
        self._pace.wait(call.kind)
        key = self._api_key()
        headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT, "Accept": "application/json"}
        reply = self._exchange(
            call.kind, call.method, self._base_url + call.path, params=call.params, json=call.body, headers=headers
        )
        if reply.status == 429:
            raise self._pace.refused(call.kind, reply.headers, reply.body)
        if reply.status >= 500 or reply.status == 408 or 300 <= reply.status < 400:
            raise MarketplaceBusy(f"{call.kind}: HTTP {reply.status}")
        answer = _json_object(reply.body)
        if reply.status >= 400:
            raise refusal(reply.status, answer or {}, secrets=(key, *call.secrets))
        if answer is None:
            raise MarketplaceBusy(f"{call.kind}: the answer is no JSON object")
        return answer

    def _exchange(self, what: str, method: str, url: str, **options: Any) -> _Reply:
        try:
            answer = self._session.request(
                method, url, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), allow_redirects=False, **options
            )
            return _Reply(answer.status_code, answer.headers, answer.content)
        except (requests.RequestException, OSError) as exc:
            # Its text may hold the whole URL, and it holds the request: its type says enough.
            failure = type(exc).__name__
        raise MarketplaceBusy(f"{what}: {failure}")


def refusal(status: int, answer: Mapping[str, Any], *, secrets: tuple[str, ...] = ()) -> Exception:
    """Return our error for a refusal of theirs; what the code does not tell, the text may."""
    code = _struck(str(answer.get("error") or ""), secrets)
    text = str(answer.get("msg") or answer.get("message") or answer.get("detail") or "")
    message = _struck(text, secrets)[:MESSAGE_LENGTH_MAX]
    if code == "no_such_ask" or "no_such_ask" in message:
        return OfferGone(message)
    if code in _GONE_CODES or any(sign in message.lower() for sign in _GONE_TEXTS):
        return InstanceGone(message)
    if status == 401 or any(sign in message.lower() for sign in _CREDENTIAL_TEXTS):
        return MarketplaceRefused("auth_error", message or "the key was not accepted")
    return MarketplaceRefused(code[:MESSAGE_LENGTH_MAX] or f"http_{status}", message or f"HTTP {status}")


def _struck(text: str, secrets: tuple[str, ...]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= STRUCK_LENGTH_MIN:
            text = text.replace(secret, "…")
    return text


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
