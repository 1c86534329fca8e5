"""A resource as the rules see it: type, name and inputs, some of which may not be known yet.

Before an update, what comes from another resource is not known. Reading it raises `NotKnownYet`, and the rule is asked again when
the resource is complete; so an unknown value neither passes nor fails. Anything that is no JSON value counts as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class NotKnownYet(Exception):
    """The value depends on a resource that does not exist yet; judge again when it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One resource. `type` is Pulumi's token, such as `aws:lambda/function:Function`; `props` have the provider's camelCase."""

    type: str
    name: str
    props: Mapping[str, Any] = field(repr=False)

    def at(self, *path: str) -> Any:
        """Return the value at a path, None if it is absent. Raises NotKnownYet."""
        value: Any = self.props
        for key in path:
            if value is None:
                return None
            value = _known(value).get(key)
        return _known(value)

    def text(self, *path: str) -> str:
        """Return the text at a path, empty if it is absent. Raises NotKnownYet."""
        return str(self.at(*path) or "")

    def document(self, *path: str) -> Mapping[str, Any]:
        """Return the JSON object that the text at a path spells, empty if there is none. Raises NotKnownYet."""
        value = self.at(*path)
        try:
            parsed = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return {}
        return parsed if isinstance(parsed, Mapping) else {}


def _known(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | Mapping | Sequence):
        return value
    raise NotKnownYet
