"""In which order a deployment is taken down.

A resource goes before what it depends on. Pulumi deletes everything that this leaves free in
parallel, in whatever order the network decides; here the order is chosen, and chosen unkindly: what
runs code while it is deleted (an `Invocation`) goes last among what may go. A program that forgot
to say that the invocation needs the role's policy, the table's items or the permission then fails
here every time, instead of sometimes, in production, with a billed GPU left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.aws.plan import Resource

RUNS_CODE: Final = "aws:lambda/invocation:Invocation"


def next_to_delete(standing: Mapping[str, Resource]) -> Resource:
    """Choose the next of the resources still standing, by URN in order of creation, at least one.

    Nothing depends on the one chosen; among those the latest that runs no code when it goes.
    """
    needed = {urn for resource in standing.values() for urn in (*resource.dependencies, resource.parent)}
    free = [resource for urn, resource in standing.items() if urn not in needed]
    return next((resource for resource in reversed(free) if resource.type != RUNS_CODE), free[-1])
