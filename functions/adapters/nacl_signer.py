"""Ed25519 through PyNaCl (libsodium)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from nacl.signing import SigningKey


class NaclSigner:
    """One signing key. Implements `ports.Signer`; its repr tells the key's name and nothing more."""

    def __init__(self, *, key_id: str, seed: bytes) -> None:
        """Take the 32 bytes of the seed. Raises ValueError for any other length."""
        self._key_id = key_id
        self._key = SigningKey(seed)

    def __repr__(self) -> str:
        """Name the key."""
        return f"NaclSigner(key_id={self._key_id!r})"

    @property
    def key_id(self) -> str:
        """Name of the key, which goes into the ticket."""
        return self._key_id

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature, 64 bytes."""
        return self._key.sign(message).signature


def signing_key(secret: Mapping[str, Any]) -> NaclSigner:
    """Return the signer of the secret's active key. Raises ValueError, KeyError or TypeError when the secret is not one."""
    (key,) = (key for key in secret["keys"] if key["key_id"] == secret["active"])
    return NaclSigner(key_id=key["key_id"], seed=base64.b64decode(key["seed"], validate=True))
