"""In which order a deployment is taken down.

A resource goes before what it depends on. Pulumi deletes everything that this leaves free in
parallel, in whatever order the network decides; here the order is chosen, and chosen unkindly: what
runs code while it is deleted (an `Invocation`) goes last among what may go. A program that forgot
to say that the invocation needs the role's policy, the table's items or the permission then fails
here every time, instead of sometimes, in production, with a billed GPU left behind.

Invocations that are free at the same time do go in parallel, since each may take minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.aws.plan import Resource

RUNS_CODE: Final = "aws:lambda/invocation:Invocation"


def next_to_delete(standing: Mapping[str, Resource]) -> list[Resource]:
    """Choose the next of the resources still standing, by URN in order of creation, at least one.

    Nothing depends on those chosen. It is the one that was made last and runs no code when it goes,
    or, if there is no such one, all of those that do run code.
    """
    needed = {urn for resource in standing.values() for urn in (*resource.dependencies, resource.parent)}
    free = [resource for urn, resource in standing.items() if urn not in needed]
    quiet = [resource for resource in free if resource.type != RUNS_CODE]
    return quiet[-1:] or free
