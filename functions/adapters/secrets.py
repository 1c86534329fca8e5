"""Secrets Manager: read when first needed, kept for SECRET_TTL_S, never logged.

A rotation is live within SECRET_TTL_S. While Secrets Manager does not answer, the value that was read last goes on serving; without
one, the caller fails. Messages name the secret and what is wrong with its shape, never its content.

The shapes, JSON text each:

* signing (written by `key_vault`, read by `nacl_signer`): `{"keys": [{"key_id": "k1795392000", "seed": "<base64, 32 bytes>",
  "published_at_s": …, "retired_at_s": …}], "active": "k1795392000", "rsa": "<PEM>", "revision": …}`
* worker token: `{"secret": "<base64, 32 bytes>"}`
* marketplace: `{"api_key": "…", "secret_env": {"<group>/<autogroup>": {"HF_TOKEN": "…"}}, "image_login": {"…": "-u U -p P reg"}}`
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from functions.adapters.aws_api import Api, AwsRefused, AwsUnavailable
from functions.ports import Clock, StoreUnavailable, UnreadableItem

SECRET_TTL_S: Final = 300.0
SECRET_BYTES_MIN: Final = 32

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketplaceSecret:
    """The marketplace's key, and by `<group>/<autogroup>` the variables that only the worker may see and the registry's login."""

    api_key: str = field(repr=False)
    secret_env: Mapping[str, Mapping[str, str]] = field(repr=False)
    image_login: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SecretReader:
    """Reads secrets through Secrets Manager. Calling it returns a secret's text as it is stored; raises StoreUnavailable."""

    api: Api

    def __call__(self, arn: str) -> str:
        """Read one secret."""
        try:
            text: str = self.api.call("GetSecretValue", {"SecretId": arn})["SecretString"]
        except (AwsRefused, AwsUnavailable) as exc:
            raise StoreUnavailable(f"secret {arn}: {exc}") from exc
        return text


class CachedSecret(Generic[_T]):
    """One secret, parsed. Calling it returns the value; raises StoreUnavailable and UnreadableItem."""

    def __init__(
        self,
        arn: str,
        parse: Callable[[Mapping[str, Any]], _T],
        *,
        clock: Clock,
        read: Callable[[str], str],
    ) -> None:
        self._arn = arn
        self._parse = parse
        self._clock = clock
        self._read_text = read
        self._held: tuple[_T, float] | None = None

    def __call__(self) -> _T:
        """Return the value, read at most SECRET_TTL_S ago if Secrets Manager answers."""
        now_s = self._clock.now_s()
        if self._held is None or now_s >= self._held[1]:
            self._held = (self._read_or_keep(), now_s + SECRET_TTL_S)
        return self._held[0]

    def _read_or_keep(self) -> _T:
        try:
            return self._read()
        except StoreUnavailable:
            if self._held is None:
                raise
            _LOG.warning("secret %s cannot be read now; the value read before goes on serving", self._arn)
            return self._held[0]

    def _read(self) -> _T:
        text = self._read_text(self._arn)
        try:
            return self._parse(json.loads(text))
        except (KeyError, TypeError, ValueError):
            # The cause is cut off on purpose: its message may hold what the secret held.
            raise UnreadableItem(f"secret {self._arn} does not have the shape that is needed") from None


def worker_token_secret(secret: Mapping[str, Any]) -> bytes:
    """Return the secret that worker tokens are derived from. Raises ValueError when it is too short to be one."""
    raw = base64.b64decode(secret["secret"], validate=True)
    if len(raw) < SECRET_BYTES_MIN:
        raise ValueError("too short")
    return raw


def marketplace_secret(secret: Mapping[str, Any]) -> MarketplaceSecret:
    """Return the marketplace's key, the workers' secret variables and the logins of their images."""
    return MarketplaceSecret(
        api_key=secret["api_key"], secret_env=secret.get("secret_env", {}), image_login=secret.get("image_login", {})
    )
