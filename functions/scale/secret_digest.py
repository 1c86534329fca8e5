"""What is secret in an autogroup, as a digest that tells nothing of it: so a rotated secret is a new version of its workers.

A plain hash of a short password could be guessed from the table. This one is keyed with the secret that workers' tokens are made
with, which the scale and report functions alone can read; its context keeps it apart from the tokens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Final

from functions.core.model import Autogroup
from functions.scale.turn import ScaleSettings

DIGEST_CONTEXT: Final = "headgate-autogroup-secrets-v1"
DIGEST_LENGTH: Final = 16  # hexadecimal digits


def secret_digests(settings: ScaleSettings, endpoint: str, autogroups: Iterable[Autogroup]) -> Mapping[str, str]:
    """Return the digest of each autogroup that has something secret: its secret environment, the login of its image."""
    held = {one.name: _held(settings, f"{endpoint}/{one.name}") for one in autogroups}
    return {name: _digest(settings.worker_token_secret, secrets) for name, secrets in held.items() if any(secrets)}


def _held(settings: ScaleSettings, path: str) -> tuple[dict[str, str], str | None]:
    return dict(settings.secret_env.get(path, {})), settings.image_login.get(path)


def _digest(key: bytes, secrets: tuple[dict[str, str], str | None]) -> str:
    message = f"{DIGEST_CONTEXT}\0{json.dumps(secrets, sort_keys=True)}"
    return hmac.digest(key, message.encode(), hashlib.sha256).hex()[:DIGEST_LENGTH]
