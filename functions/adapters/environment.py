"""The functions' environment variables, read once when a handler is imported. A missing one stops the function, by its name."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Final

PUBLIC_KEY_BYTES: Final = 32
PUBLIC_KEY_FIELDS: Final = frozenset({"key_id", "algorithm", "public_key"})


class Misconfigured(Exception):
    """The function was deployed without something that it needs; nothing can be served until that is mended."""


def required(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that must be there. Raises Misconfigured."""
    value = environ.get(name, "")
    if not value:
        raise Misconfigured(f"the environment variable {name} is missing: deploy the stack again")
    return value


def public_keys(environ: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """Return the keys that `/pubkey/` serves, at least one. Raises Misconfigured."""
    try:
        keys = json.loads(required(environ, "HEADGATE_PUBLIC_KEYS"))
        sound = bool(keys) and all(_is_public_key(key) for key in keys)
    except (TypeError, ValueError) as exc:
        raise Misconfigured(f"HEADGATE_PUBLIC_KEYS: {exc}") from exc
    if not sound:
        raise Misconfigured("HEADGATE_PUBLIC_KEYS must be a JSON list of {key_id, algorithm, public_key}, Ed25519 each")
    return tuple(keys)


def _is_public_key(key: Mapping[str, str]) -> bool:
    if set(key) != PUBLIC_KEY_FIELDS or key["algorithm"] != "Ed25519":
        return False
    return len(base64.b64decode(key["public_key"], validate=True)) == PUBLIC_KEY_BYTES
