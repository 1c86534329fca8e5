"""A certificate that the worker makes for itself, new with every run, and nobody signs.

A rented machine has no name that an authority could vouch for. So clients do not ask who signed the certificate, but whether it is
the one whose fingerprint stands in the ticket, which the control plane has signed: the worker told the fingerprint in its report,
under its own credential. The private key is never written to a file that stays.
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Pinned, not judged by date: wide enough for any machine's clock.
VALID_FROM: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
VALID_TO: Final = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A TLS context that presents the certificate, and its SHA-256 as 64 lowercase hexadecimal digits."""

    context: ssl.SSLContext = field(repr=False)
    sha256: str


def make_certificate() -> Certificate:
    """Make a key (P-256: a handshake costs a tenth of RSA's) and a certificate for it, which names no host."""
    # Imported here: a worker without TLS need not pay for it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "headgate worker")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_TO)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = _context(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return Certificate(context=context, sha256=certificate.fingerprint(hashes.SHA256()).hex())


def _context(pem: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # Python loads keys from files alone: one that only we can read, and that is gone before anybody connects.
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
    return context
