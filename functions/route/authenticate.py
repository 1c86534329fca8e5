"""Who calls, and whether that client may: from the text of an API key to what it opens.

A key is looked up by its SHA-256, so the table holds nothing that opens anything. What is cached, known or not, is cached for
KEY_TTL_S: a key that was taken away works that long at most, and one that has expired not at all, since its end is cached with it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from functions.adapters.function_url import HttpRequest
from functions.core.model import ApiKey, Scope
from functions.route.caches import Found, RouteCaches
from functions.route.call import BODY_BYTES_MAX
from functions.route.service import RoutePorts
from protocol.problem import Problem, RequestRefused

API_KEY_LENGTH_MAX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who was let in. `text` is the key as it was sent."""

    key: ApiKey
    text: str = field(repr=False)


def let_in(request: HttpRequest, scope: Scope, *, ports: RoutePorts, caches: RouteCaches) -> tuple[Caller, dict[str, Any]]:
    """Return who sends a request with a body, and its body. Raises RequestRefused (401, 403, 400, 413).

    The key is looked for in the header, then in the query, then in the body; wherever it stands outside the body, nothing of the
    body is looked at before it has been found to be one for `scope`.
    """
    text = request.bearer() or request.query.get("api_key")
    caller = authenticate(text, scope, ports=ports, caches=caches) if text else None
    body = request.json_object(size_max=BODY_BYTES_MAX)
    if caller is None:
        in_body = body.get("api_key")
        caller = authenticate(in_body if isinstance(in_body, str) else None, scope, ports=ports, caches=caches)
    return caller, body


def authenticate(text: str | None, *scopes: Scope, ports: RoutePorts, caches: RouteCaches) -> Caller:
    """Return whom the key lets in, if it is one for any of these scopes. Raises RequestRefused (401, 403).

    At most one read every KEY_TTL_S a key, known or not.
    """
    if not text:
        raise _unauthorized("missing_api_key", "an API key is needed")
    if len(text) > API_KEY_LENGTH_MAX:
        raise _unauthorized("invalid_api_key", "this API key is not valid")
    key_sha256 = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    now_s = ports.clock.now_s()
    key = _known_key(key_sha256, ports=ports, caches=caches, now_s=now_s)
    # The table found the hash by an index; that it is this very hash is compared in constant time.
    if key is None or not hmac.compare_digest(key.key_sha256, key_sha256):
        raise _unauthorized("invalid_api_key", "this API key is not valid")
    if key.expires_at_s is not None and now_s >= key.expires_at_s:
        raise _unauthorized("expired_api_key", "this API key has expired")
    if key.scopes.isdisjoint(scopes):
        raise _forbidden(scopes)
    return Caller(key=key, text=text)


def _known_key(key_sha256: str, *, ports: RoutePorts, caches: RouteCaches, now_s: float) -> ApiKey | None:
    held = caches.keys.get(key_sha256, now_s=now_s) or caches.unknown_keys.get(key_sha256, now_s=now_s)
    if held is None:
        held = Found(value=ports.store.api_key(key_sha256))
        cache = caches.unknown_keys if held.value is None else caches.keys
        cache.put(key_sha256, held, now_s=now_s)
    return held.value


def _unauthorized(code: str, message: str) -> RequestRefused:
    remedy = "send `Authorization: Bearer <API key>`, with a key of the stack's `apiKeys`"
    return RequestRefused(Problem(status=401, code=code, message=message, remedy=remedy))


def _forbidden(scopes: Sequence[Scope]) -> RequestRefused:
    named = " or ".join(f"`{scope}`" for scope in scopes)
    message = f"this API key has not the scope {named}"
    remedy = "use a key whose `scopes` in the stack file name it, or add it there and deploy"
    return RequestRefused(Problem(status=403, code="missing_scope", message=message, remedy=remedy))
