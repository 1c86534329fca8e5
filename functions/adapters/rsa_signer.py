"""RSA, PKCS#1 v1.5 over SHA-256: what Vast's own workers verify. Imported when the first of them is routed to, and not before."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def rsa_signer(pem: str) -> Callable[[bytes], bytes]:
    """Return what signs with the RSA key of a PEM. Raises ValueError."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("no RSA key")  # noqa: TRY004 - to the caller it is the value of a secret
    return lambda message: key.sign(message, PKCS1v15(), SHA256())
