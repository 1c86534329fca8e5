"""The worker's credential: stateless, naming its group and worker, checked without a read.

`hg1.<base64url(endpoint)>.<worker id>.<base64url(HMAC-SHA256(secret, context | stack | endpoint | worker id))>`

The scaler mints it at the rent; the worker sends it with every report; the report function recomputes the MAC. A stolen token
speaks for that one worker only, and dies with the worker's item, since a report for a gone worker changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

TOKEN_VERSION: Final = "hg1"
TOKEN_LENGTH_MAX: Final = 512
TOKEN_CONTEXT: Final = "headgate-worker-token-v1"


class InvalidWorkerToken(Exception):
    """The token is malformed or not ours; answer 401 and change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """Who a valid token speaks for."""

    endpoint: str
    worker_id: str


def mint_worker_token(secret: bytes, *, stack: str, identity: WorkerIdentity) -> str:
    """Return the token of one worker. The same arguments always give the same token."""
    mac = _mac(secret, stack=stack, identity=identity)
    return ".".join((TOKEN_VERSION, _encode(identity.endpoint.encode()), identity.worker_id, _encode(mac)))


def verify_worker_token(secret: bytes, token: str, *, stack: str) -> WorkerIdentity:
    """Return whose token it is, comparing in constant time. Raises InvalidWorkerToken."""
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii() or not token.isprintable():
        raise InvalidWorkerToken
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != TOKEN_VERSION:
        raise InvalidWorkerToken
    identity = WorkerIdentity(endpoint=_decode_text(parts[1]), worker_id=parts[2])
    # The whole token is compared, not the MAC alone: base64 has several texts for one value, a token has one.
    if not hmac.compare_digest(mint_worker_token(secret, stack=stack, identity=identity).encode(), token.encode()):
        raise InvalidWorkerToken
    return identity


def _mac(secret: bytes, *, stack: str, identity: WorkerIdentity) -> bytes:
    # NUL cannot occur in any of the parts, so that no two triples share a message.
    message = f"{TOKEN_CONTEXT}\0{stack}\0{identity.endpoint}\0{identity.worker_id}"
    return hmac.digest(secret, message.encode(), hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode_text(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidWorkerToken from exc
