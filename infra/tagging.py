"""Tags on everything that can carry them, so that a bill and an orphan can be traced to their stack.

A transformation of the program and not the provider's `default_tags`: those would need a provider of our own, which ignores what
the stack file says under `aws:` (profile, role, endpoints).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi


def tagged(tags: Mapping[str, str]) -> Callable[[pulumi.ResourceTransformationArgs], pulumi.ResourceTransformationResult | None]:
    """Return a transformation that adds `tags` to each resource whose type has tags; the resource's own win."""

    def add(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        props: Mapping[str, Any] = args.props
        if "tags" not in props:  # the SDK lists every input of the type, set or not
            return None
        return pulumi.ResourceTransformationResult(props={**props, "tags": {**tags, **(props["tags"] or {})}}, opts=args.opts)

    return add
