"""The control plane's public keys, fetched at the start, every REFRESH_S, and when a ticket names a key that is not known.

Anybody can name an unknown key, so a re-fetch happens at most once in REFETCH_GAP_S, whoever asks; everybody who asks meanwhile
waits for the one that runs. During a rotation the control plane serves the old and the new key, so a fetched set replaces the
whole old one: a key that is no longer served is no longer trusted, REFRESH_S later at the latest. While the control plane does
not answer, the keys that are known stay.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from nacl.signing import VerifyKey

from protocol.canonical import MalformedJson, parse_object

REFRESH_S: Final = 600.0
REFETCH_GAP_S: Final = 10.0
FETCH_BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
KEYS_MAX: Final = 16
KEYS_BYTES_MAX: Final = 16_384

_log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """The control plane did not serve its keys; try again later."""


class KeyRing:
    """Verification keys by id. `fetch` returns the body of `GET /pubkey/` and raises KeysUnavailable."""

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: Mapping[str, VerifyKey] = {}
        self._fetched_s = -REFETCH_GAP_S
        self._fetching = asyncio.Lock()
        self._fetched = asyncio.Event()

    async def run(self) -> None:
        """Keep the keys fresh for ever; after a failure try again with growing pauses."""
        failures = 0
        while True:
            fetched = await self._refresh()
            failures = 0 if fetched else failures + 1
            await asyncio.sleep(REFRESH_S if fetched else FETCH_BACKOFF_S[min(failures, len(FETCH_BACKOFF_S)) - 1])

    async def fetched(self) -> None:
        """Wait until there are keys."""
        await self._fetched.wait()

    async def find(self, key_id: str) -> VerifyKey | None:
        """Return a key, asking the control plane again for one not known, but not more often than REFETCH_GAP_S."""
        if key_id not in self._keys:
            async with self._fetching:
                if key_id not in self._keys and self._monotonic() - self._fetched_s >= REFETCH_GAP_S:
                    await self._refresh()
        return self._keys.get(key_id)

    async def _refresh(self) -> bool:
        try:
            keys = read_keys(await self._fetch())
        except KeysUnavailable as exc:
            _log.warning("public keys not fetched: %s", exc)
            return False
        else:
            self._keys = keys
            self._fetched.set()
            return True
        finally:
            self._fetched_s = self._monotonic()


def read_keys(body: bytes) -> dict[str, VerifyKey]:
    """Read `{"keys": [{"key_id", "algorithm", "public_key"}]}`; other algorithms are passed over. Raises KeysUnavailable."""
    try:
        rows = parse_object(body, size_max=KEYS_BYTES_MAX)["keys"]
        keys = dict(_key(row) for row in rows[:KEYS_MAX] if row["algorithm"] == "Ed25519")
    except (MalformedJson, KeyError, TypeError, ValueError, binascii.Error) as exc:
        raise KeysUnavailable("the answer holds no list of keys") from exc
    if not keys:
        raise KeysUnavailable("the answer holds no Ed25519 key")
    return keys


def _key(row: Mapping[str, Any]) -> tuple[str, VerifyKey]:
    return str(row["key_id"]), VerifyKey(base64.b64decode(row["public_key"], validate=True))
