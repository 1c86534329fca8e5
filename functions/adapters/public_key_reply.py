"""What `GET /pubkey/` answers: each generation of workers is served what it can read.

Ours ask with `Accept: application/json` and get every Ed25519 key by its id. Whoever does not ask for JSON (Vast's workers, the
`curl` of 2024) gets one RSA key in PEM, as text.
"""

from __future__ import annotations

from typing import Final

from functions.adapters.function_url import HttpReply, HttpRequest
from functions.key_ports import PublicKeys

PATH: Final = "/pubkey/"
OUTCOME: Final = "public_keys"
_JSON: Final = "application/json"
_PEM: Final = "application/x-pem-file"


def public_key_reply(request: HttpRequest, keys: PublicKeys) -> HttpReply:
    """Return the keys in the form that the asker reads."""
    if _JSON in request.headers.get("accept", "") or not keys.rsa:
        return HttpReply(status=200, body={"keys": [dict(key) for key in keys.keys]}, outcome=OUTCOME)
    return HttpReply(status=200, body=keys.rsa, outcome=OUTCOME, headers={"content-type": _PEM})
