"""The signing keys in Secrets Manager, one secret with the whole state in it.

Secrets Manager has no conditional write, but a version's token is unique and the caller's to choose. A state is saved under a
token that is derived from the version it was read as, so of two that want to follow the same version only one can.
Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html (ClientRequestToken)
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from functions.adapters.aws_api import Api, AwsRefused, AwsUnavailable
from functions.core.key_rotation import SigningKeys, TicketKey
from functions.key_ports import HeldKeys
from functions.ports import StoreUnavailable, UnreadableItem, VaultChanged

_NO_VALUE: Final = "ResourceNotFoundException"
_TOKEN_TAKEN: Final = "ResourceExistsException"
_NAMESPACE: Final = uuid.UUID("5f0b7a3e-2f0c-5f53-9f5e-6d8f2f7c1a90")


class SecretKeyVault:
    """Implements `ports.KeyVault` over one secret, which exists and may have no value yet."""

    def __init__(self, api: Api, arn: str) -> None:
        self._api = api
        self._arn = arn

    def load(self) -> HeldKeys:
        """Read the current version."""
        try:
            answer = self._call("GetSecretValue")
        except AwsRefused as exc:
            if exc.code == _NO_VALUE:
                return HeldKeys(keys=SigningKeys(), version="")
            raise StoreUnavailable(f"secret {self._arn}: {exc}") from exc
        text = answer.get("SecretString")  # none: how some of AWS's emulators answer for a secret without a value
        return HeldKeys(keys=self._read(text) if text else SigningKeys(), version=answer["VersionId"])

    def save(self, keys: SigningKeys, *, over: HeldKeys) -> None:
        """Write the next version; the one token that may follow `over` makes a second writer fail."""
        token = str(uuid.uuid5(_NAMESPACE, f"{self._arn} {over.version}"))
        try:
            self._call("PutSecretValue", SecretString=encode_keys(keys), ClientRequestToken=token)
        except AwsRefused as exc:
            if exc.code == _TOKEN_TAKEN:
                raise VaultChanged(f"secret {self._arn} has been written by another") from exc
            raise StoreUnavailable(f"secret {self._arn}: {exc}") from exc

    def _call(self, operation: str, **parameters: str) -> Mapping[str, Any]:
        try:
            return self._api.call(operation, {"SecretId": self._arn, **parameters})
        except AwsUnavailable as exc:
            raise StoreUnavailable(f"secret {self._arn}: {exc}") from exc

    def _read(self, text: str) -> SigningKeys:
        try:
            return decode_keys(json.loads(text))
        except (KeyError, TypeError, ValueError):
            # The cause is cut off on purpose: its message may hold what the secret held.
            raise UnreadableItem(f"secret {self._arn} does not have the shape that is needed") from None


def encode_keys(keys: SigningKeys) -> str:
    """Return the secret's JSON; `secrets` says its shape."""
    return json.dumps(
        {
            "active": keys.active,
            "keys": [
                {
                    "key_id": key.key_id,
                    "seed": base64.b64encode(key.seed).decode(),
                    "published_at_s": key.published_at_s,
                    "retired_at_s": key.retired_at_s,
                }
                for key in keys.keys
            ],
            "rsa": keys.rsa,
            "revision": keys.revision,
        }
    )


def decode_keys(wire: Mapping[str, Any]) -> SigningKeys:
    """Read the secret's JSON. Raises KeyError, TypeError or ValueError."""
    keys = tuple(
        TicketKey(
            key_id=row["key_id"],
            seed=base64.b64decode(row["seed"], validate=True),
            published_at_s=float(row["published_at_s"]),
            retired_at_s=float(row["retired_at_s"]),
        )
        for row in wire["keys"]
    )
    return SigningKeys(keys=keys, active=wire["active"], rsa=wire["rsa"], revision=int(wire["revision"]))
