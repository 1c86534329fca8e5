"""TLS to a worker without any authority: its certificate must be the one that the ticket names, and nothing else is asked of it.

A worker makes its certificate itself, tells the control plane its SHA-256, and the control plane puts that into every ticket for
the worker, signed. So a client that trusts the route function's answer knows exactly which certificate to expect: whoever stands in
between, or took over the address, cannot show it, and is refused before any byte of the request is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter

ADAPTERS_MAX: Final = 256  # pinned workers a session; beyond, all are forgotten, and connected to anew


class PinnedAdapter(HTTPAdapter):
    """Speaks TLS with whoever has the certificate of this SHA-256 (hexadecimal), whatever its name, signer or dates."""

    def __init__(self, cert_sha256: str) -> None:
        self.cert_sha256 = cert_sha256
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Ask for the fingerprint instead of a chain."""
        del verify
        host, pool = super().build_connection_pool_key_attributes(request, False, cert)  # noqa: FBT003 - the library's signature
        return host, {**pool, "assert_fingerprint": self.cert_sha256, "assert_hostname": False}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the pool as it was made: the fingerprint is what is checked."""
        del verify
        super().cert_verify(conn, url, False, cert)  # type: ignore[no-untyped-call]  # noqa: FBT003 - as above


def worker_url(session: requests.Session, ticket: Mapping[str, Any]) -> str:
    """Return where the ticket's worker is reached, over pinned TLS if it has a certificate, and prepare `session` for it."""
    url, cert_sha256 = str(ticket["url"]), str(ticket.get("cert_sha256") or "")
    if not cert_sha256:
        return url
    secure = "https://" + url.partition("://")[2]
    known = session.adapters.get(secure + "/")
    if not isinstance(known, PinnedAdapter) or known.cert_sha256 != cert_sha256:
        _mount(session, secure + "/", PinnedAdapter(cert_sha256))
    return secure


def _mount(session: requests.Session, prefix: str, adapter: PinnedAdapter) -> None:
    pinned = [known for known, mounted in session.adapters.items() if isinstance(mounted, PinnedAdapter)]
    for known in pinned if len(pinned) >= ADAPTERS_MAX else [prefix] if prefix in pinned else []:
        session.adapters.pop(known).close()
    session.mount(prefix, adapter)
