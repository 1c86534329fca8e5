"""The public halves of the signing keys, and the item that shows them. The rotate function alone imports this."""

from __future__ import annotations

import base64
from contextlib import suppress

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from nacl.signing import SigningKey

from functions.adapters.dynamodb import ConditionFailed, DynamoTable
from functions.adapters.public_key_item import public_keys_item
from functions.core.key_rotation import SigningKeys, TicketKey
from functions.key_ports import PublicKeys


class DynamoPublicKeyBoard:
    """Implements `ports.PublicKeyBoard`."""

    def __init__(self, table: DynamoTable) -> None:
        self._table = table

    def publish(self, keys: SigningKeys) -> None:
        """Put the item, unless that of a later revision is there. Before there are keys there is nothing to show."""
        if not keys.keys:
            return
        with suppress(ConditionFailed):
            self._table.put(
                public_keys_item(public_halves(keys), revision=keys.revision),
                ConditionExpression="attribute_not_exists(revision) OR revision <= :revision",
                ExpressionAttributeValues={":revision": {"N": str(keys.revision)}},
            )


def public_halves(keys: SigningKeys) -> PublicKeys:
    """Return what `/pubkey/` serves for these keys."""
    return PublicKeys(keys=tuple(_public_half(key) for key in keys.keys), rsa=rsa_public_half(keys.rsa))


def rsa_public_half(pem: str) -> str:
    """Return the public half of an RSA key, in PEM (SubjectPublicKeyInfo), as Vast's workers read it."""
    key = load_pem_private_key(pem.encode(), password=None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _public_half(key: TicketKey) -> dict[str, str]:
    raw = bytes(SigningKey(key.seed).verify_key)
    return {"key_id": key.key_id, "algorithm": "Ed25519", "public_key": base64.b64encode(raw).decode()}
