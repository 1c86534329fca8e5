"""Signing keys in memory: the vault and the board of `functions.ports`, and keys that tests can tell apart."""

from __future__ import annotations

from functions.core.key_rotation import SigningKeys
from functions.key_ports import HeldKeys
from functions.ports import VaultChanged


class MemoryVault:
    """Implements KeyVault with the conditional save of the real one."""

    def __init__(self) -> None:
        self.keys = SigningKeys()
        self.version = 0

    def load(self) -> HeldKeys:
        """See KeyVault."""
        return HeldKeys(keys=self.keys, version=str(self.version))

    def save(self, keys: SigningKeys, *, over: HeldKeys) -> None:
        """See KeyVault."""
        if over.version != str(self.version):
            raise VaultChanged
        self.keys, self.version = keys, self.version + 1


class MemoryBoard:
    """Implements PublicKeyBoard; `shown` are the ids that `/pubkey/` would serve."""

    def __init__(self) -> None:
        self.shown: tuple[str, ...] = ()
        self.revision = 0

    def publish(self, keys: SigningKeys) -> None:
        """See PublicKeyBoard."""
        if keys.keys and keys.revision >= self.revision:
            self.shown, self.revision = tuple(key.key_id for key in keys.keys), keys.revision


class CountingMaker:
    """Implements KeyMaker with seeds that count up."""

    def __init__(self) -> None:
        self.made = 0

    def seed(self) -> bytes:
        """See KeyMaker."""
        self.made += 1
        return self.made.to_bytes(32, "big")

    def rsa(self) -> str:
        """See KeyMaker."""
        self.made += 1
        return f"rsa {self.made}"
