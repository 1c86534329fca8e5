"""The one item that shows the public keys: written by rotate, read by route and report, by each environment at most every CACHED_S.

Public keys are public: what matters is that nobody but the rotate function can write them, which its role alone allows. They are in
the table and not in an environment variable, so that a rotation needs no deployment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from functions.adapters.dynamodb import DynamoTable
from functions.adapters.dynamodb_items import Item, Key
from functions.key_ports import PublicKeys, PublicKeySource
from functions.ports import Clock, StoreUnavailable, UnreadableItem

# With a worker's pause between two fetches (10 s) it stays below `key_rotation.LEARN_S`.
CACHED_S: Final = 30.0
PARTITION: Final = "PUBLIC-KEYS"


def public_keys_key() -> Key:
    """Key of the item."""
    return {"pk": {"S": f"{PARTITION}#"}, "sk": {"S": PARTITION}}


def public_keys_item(keys: PublicKeys, *, revision: int) -> Item:
    """Return the item that shows these keys."""
    rows = json.dumps([dict(key) for key in keys.keys])
    return {**public_keys_key(), "keys": {"S": rows}, "rsa": {"S": keys.rsa}, "revision": {"N": str(revision)}}


def read_public_keys(table: DynamoTable) -> PublicKeys:
    """Return the keys that are shown. Raises StoreUnavailable and UnreadableItem."""
    item = table.get(public_keys_key())
    if item is None:
        raise UnreadableItem(f"{PARTITION}: no key has been published; invoke the rotate function")
    try:
        return PublicKeys(keys=tuple(json.loads(item["keys"]["S"])), rsa=item["rsa"]["S"])
    except (KeyError, TypeError, ValueError) as exc:
        raise UnreadableItem(f"{PARTITION}: the item is not what it should be") from exc


class CachedPublicKeys:
    """The public keys, read at most CACHED_S ago; older ones are served on while the table does not answer."""

    def __init__(self, source: PublicKeySource, *, clock: Clock) -> None:
        self._read: Callable[[], PublicKeys] = source.public_keys
        self._clock = clock
        self._held: tuple[PublicKeys, float] | None = None

    def __call__(self) -> PublicKeys:
        """Return the keys. Raises StoreUnavailable and UnreadableItem while there are none to return."""
        now_s = self._clock.now_s()
        if self._held is None or now_s >= self._held[1]:
            self._held = (self._read_or_keep(), now_s + CACHED_S)
        return self._held[0]

    def _read_or_keep(self) -> PublicKeys:
        try:
            return self._read()
        except StoreUnavailable:
            if self._held is None:
                raise
            return self._held[0]
