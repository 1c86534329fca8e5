"""API keys: made here, shown once as a secret output, stored in the table as their SHA-256 alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_random as random

from infra.config import ApiKeySettings
from infra.state_table import StateTable

KEY_PREFIX: Final = "hg_"
KEY_BYTES: Final = 24  # 192 bits: no hash of it can be searched, so a fast one will do


class ApiKeys(pulumi.ComponentResource):
    """The stack's API keys; `plaintext` maps each name to its key and is a secret."""

    def __init__(self, api_keys: Mapping[str, ApiKeySettings], *, table: StateTable, opts: pulumi.ResourceOptions) -> None:
        super().__init__("headgate:index:ApiKeys", "api-keys", opts=opts)
        keys = {name: self._declare(name, settings, table) for name, settings in api_keys.items()}
        self.plaintext: pulumi.Output[dict[str, str]] = pulumi.Output.secret(_together(keys))
        self.register_outputs({})

    def _declare(self, name: str, settings: ApiKeySettings, table: StateTable) -> pulumi.Output[str]:
        generated = random.RandomBytes(f"api-key-{name}", length=KEY_BYTES, opts=pulumi.ResourceOptions(parent=self))
        key = pulumi.Output.concat(KEY_PREFIX, generated.hex)
        table.put(f"api-key-{name}", key.apply(lambda text: key_item(text, settings.endpoints)), parent=self)
        return key


def _together(keys: Mapping[str, pulumi.Output[str]]) -> pulumi.Output[dict[str, str]]:
    return pulumi.Output.all(**keys)


def key_item(key: str, endpoints: tuple[str, ...]) -> dict[str, object]:
    """Return the item by which the route function recognises `key`, for the endpoint groups that it covers."""
    key_sha256 = hashlib.sha256(key.encode()).hexdigest()
    return {
        "pk": {"S": f"KEY#{key_sha256}"},
        "sk": {"S": "KEY"},
        "key_sha256": {"S": key_sha256},
        "endpoints": {"SS": sorted(set(endpoints))},
    }
