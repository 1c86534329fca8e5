"""Signature Version 4: how a request to AWS proves who sends it.

A request is signed with a key that is derived from the secret once a day, region and service, and kept: deriving it is four of
the six HMACs of a signature. Bodies are small here and always hashed; query strings are not used, so there is none to sign.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Whose requests they are. repr names the key and never shows the secret."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """One request: `path` is URI-encoded as it travels; header names are lower case, `host` among them."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Signer:
    """Signs requests to one service of one region. Safe to use from any thread."""

    def __init__(self, credentials: Credentials, *, region: str, service: str) -> None:
        self._credentials = credentials
        self._scope = f"{region}/{service}/aws4_request"
        self._parts = (region, service, "aws4_request")
        self._key = ("", b"")  # the day, and the key that is derived for it

    def signed(self, request: Unsigned, *, now_s: float) -> dict[str, str]:
        """Return the request's headers with the date, the session's token and the signature."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        headers = {**request.headers, "x-amz-date": stamp}
        if self._credentials.session_token:
            headers["x-amz-security-token"] = self._credentials.session_token
        names = sorted(headers)
        signed_names = ";".join(names)
        scope = f"{stamp[:8]}/{self._scope}"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{_hash(_canonical(request, headers, names, signed_names))}"
        signature = hmac.digest(self._key_of(stamp[:8]), text.encode(), "sha256").hex()
        credential = f"{self._credentials.access_key_id}/{scope}"
        headers["authorization"] = f"{ALGORITHM} Credential={credential}, SignedHeaders={signed_names}, Signature={signature}"
        return headers

    def _key_of(self, day: str) -> bytes:
        held_day, key = self._key
        if held_day != day:
            key = f"AWS4{self._credentials.secret_access_key}".encode()
            for part in (day, *self._parts):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, key)
        return key


def _canonical(request: Unsigned, headers: Mapping[str, str], names: list[str], signed_names: str) -> bytes:
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    # What is encoded already is encoded once more: only S3 wants its paths as they travel.
    path = quote(request.path, safe="/-_.~")
    return f"{request.method}\n{path}\n\n{lines}\n{signed_names}\n{_hash(request.body)}".encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
