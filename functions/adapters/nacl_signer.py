"""The router's signer: Ed25519 through PyNaCl (libsodium), and RSA only where one of Vast's own workers needs it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from nacl.signing import SigningKey

from functions.ports import UnreadableItem


class NaclSigner:
    """The keys that sign now. Implements `ports.Signer`; its repr tells the ticket key's name and nothing more."""

    def __init__(self, *, key_id: str, seed: bytes, rsa: str = "") -> None:
        """Take the 32 bytes of the seed and the RSA key in PEM. Raises ValueError for a seed of any other length."""
        self._key_id = key_id
        self._key = SigningKey(seed)
        self._rsa_pem = rsa
        self._rsa: Callable[[bytes], bytes] | None = None

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

    def sign_rsa(self, message: bytes) -> bytes:
        """Return the raw RSA signature. Raises UnreadableItem."""
        if self._rsa is None:
            self._rsa = self._load_rsa()
        return self._rsa(message)

    def _load_rsa(self) -> Callable[[bytes], bytes]:
        # `cryptography` takes as long to import as all the rest of a cold start.
        from functions.adapters.rsa_signer import rsa_signer  # noqa: PLC0415

        try:
            return rsa_signer(self._rsa_pem)
        except ValueError:
            # The cause is cut off on purpose: its message may hold a part of the key.
            raise UnreadableItem("the signing secret holds no RSA key: invoke the rotate function with `revoke`") from None


def signing_key(secret: Mapping[str, Any]) -> NaclSigner:
    """Return the signer of the secret's active key. Raises ValueError, KeyError or TypeError when the secret is not one."""
    (key,) = (key for key in secret["keys"] if key["key_id"] == secret["active"])
    return NaclSigner(key_id=key["key_id"], seed=base64.b64decode(key["seed"], validate=True), rsa=secret.get("rsa", ""))
