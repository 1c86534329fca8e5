"""What a rotation of the signing keys needs of the world, and where route and report find the public halves.

Contracts as in `functions.ports`, whose errors they raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from functions.core.key_rotation import SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """What `/pubkey/` serves: the Ed25519 keys as JSON objects, and the RSA key of Vast's own workers in PEM ("": none)."""

    keys: tuple[Mapping[str, str], ...]
    rsa: str = ""


class PublicKeySource(Protocol):
    """Where route and report find the public keys."""

    def public_keys(self) -> PublicKeys:
        """Return what was published last. One read. Raises StoreUnavailable and, if nothing was published, UnreadableItem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKeys:
    """The signing keys as they were read. `version` tells that very content apart; "" if there was none."""

    keys: SigningKeys
    version: str


class KeyVault(Protocol):
    """Where the signing keys are kept. Every method raises StoreUnavailable."""

    def load(self) -> HeldKeys:
        """Return the keys as they are; none before the first save. Raises UnreadableItem."""

    def save(self, keys: SigningKeys, *, over: HeldKeys) -> None:
        """Replace the keys that were read as `over`. Raises VaultChanged if they are not the ones that are held any more."""


class PublicKeyBoard(Protocol):
    """Where public halves are shown to whoever asks. Raises StoreUnavailable."""

    def publish(self, keys: SigningKeys) -> None:
        """Show the public halves of all these keys and no others, unless those of a later revision are shown already."""


class KeyMaker(Protocol):
    """Where new keys come from: unpredictable, never the same twice."""

    def seed(self) -> bytes:
        """Return the seed of an Ed25519 key, 32 bytes."""

    def rsa(self) -> str:
        """Return an RSA key of 2048 bits in PEM (PKCS#8, unencrypted)."""
