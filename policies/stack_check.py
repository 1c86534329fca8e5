"""The rules as a check for whoever deploys without CrossGuard, such as the sandbox.

It is asked first with the whole plan, where some values are not known yet, and then with single resources that have become
complete. It remembers them all, so that a rule about the whole stack can be judged as soon as the last value it needs is known.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from policies.declared import Declared
from policies.rules import violations


class Planned(Protocol):
    """What a deployer knows of a resource. `inputs` have the provider's camelCase; values not known yet are no JSON values."""

    @property
    def urn(self) -> str:
        """Tell the resource from all others."""

    @property
    def type(self) -> str:
        """Name its type by Pulumi's token."""

    @property
    def name(self) -> str:
        """Name it as the program does."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Return what it is made from, secrets unwrapped."""


class StackCheck:
    """Judges the resources of one deployment as they become known, from any thread."""

    def __init__(self) -> None:
        self._declared: dict[str, Declared] = {}
        self._lock = threading.Lock()

    def __call__(self, resources: Sequence[Planned]) -> list[str]:
        """Return what the stack violates, as far as it is known, in words for a person; empty if nothing."""
        with self._lock:
            self._declared |= {each.urn: Declared(type=each.type, name=each.name, props=each.inputs) for each in resources}
            known = list(self._declared.values())
        return [str(violation) for violation in violations(known)]
