"""API keys: made here, shown once as a secret output, stored in the table as their SHA-256 alone.

A key is made when its name first stands in the stack file and unmade when it no longer does; nothing else touches it. So to replace
one is to put a new name before the old, and to take one away is to remove it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_random as random

from infra.api_key_settings import ApiKeySettings, KeyVersion
from infra.state_table import StateTable

KEY_PREFIX: Final = "hg_"
KEY_BYTES: Final = 24  # 192 bits: no hash of it can be searched, so a fast one will do
# A client's first key bears the name of the client alone, as keys did before a client could have several.
FIRST_VERSION: Final = "v1"


class ApiKeys(pulumi.ComponentResource):
    """The stack's API keys; `plaintext` maps each client to the key to give out, and is a secret."""

    def __init__(self, api_keys: Mapping[str, ApiKeySettings], *, table: StateTable, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:ApiKeys", "api-keys", opts=opts)
        keys = {label: self._declare(label, settings, table) for label, settings in api_keys.items()}
        self.plaintext: pulumi.Output[dict[str, str]] = pulumi.Output.secret(_together(keys))
        self.register_outputs({})

    def _declare(self, label: str, settings: ApiKeySettings, table: StateTable) -> pulumi.Output[str]:
        """Declare a client's keys and return the one to give out."""
        first, *_ = [self._key(label, settings, version, table) for version in settings.versions]
        return first

    def _key(self, label: str, settings: ApiKeySettings, version: KeyVersion, table: StateTable) -> pulumi.Output[str]:
        # No label holds a dot, so no two keys share a name.
        name = f"api-key-{label}" if version.name == FIRST_VERSION else f"api-key-{label}.{version.name}"
        generated = random.RandomBytes(name, length=KEY_BYTES, opts=pulumi.ResourceOptions(parent=self))
        key = pulumi.Output.concat(KEY_PREFIX, generated.hex)
        table.put(name, key.apply(lambda text: key_item(text, label, settings, version)), parent=self)
        return key


def _together(keys: Mapping[str, pulumi.Output[str]]) -> pulumi.Output[dict[str, str]]:
    return pulumi.Output.all(**keys)


def key_item(key: str, label: str, settings: ApiKeySettings, version: KeyVersion) -> dict[str, object]:
    """Return the item by which the route function recognises `key`: the fields of its `ApiKey`."""
    key_sha256 = hashlib.sha256(key.encode()).hexdigest()
    numbers = {
        "expires_at_s": version.expires_at_s,
        "requests_per_s": settings.requests_per_s,
        "load_per_s": settings.load_per_s,
    }
    return {
        "pk": {"S": f"KEY#{key_sha256}"},
        "sk": {"S": "KEY"},
        "key_sha256": {"S": key_sha256},
        "label": {"S": label},
        "endpoints": {"SS": sorted(set(settings.endpoints))},
        "scopes": {"SS": sorted(set(settings.scopes))},
        **{name: {"N": repr(value)} for name, value in numbers.items() if value is not None},
    }
