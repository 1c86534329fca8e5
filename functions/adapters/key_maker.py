"""New keys, from the system's own randomness, made where they will be kept: no seed ever passes through a deployment."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SEED_BYTES: Final = 32
RSA_BITS: Final = 2048  # what Vast's own router signs with
RSA_EXPONENT: Final = 65_537


class LocalKeyMaker:
    """Implements `ports.KeyMaker`."""

    def seed(self) -> bytes:
        """Return the seed of an Ed25519 key."""
        return secrets.token_bytes(SEED_BYTES)

    def rsa(self) -> str:
        """Return an RSA key in PEM."""
        key = generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
